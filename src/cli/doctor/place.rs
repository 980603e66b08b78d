//! Where things are: addresses, and what the file system says of files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::finding::Findings;
use crate::cli::http::Endpoint;
use crate::runtime::listen::Address;

/// A full file system stops a daemon long before the last byte is used: SQLite needs room for what
/// it is about to write.
const ROOM_WRONG: u64 = 64 * 1024 * 1024;
const ROOM_LITTLE: u64 = 1024 * 1024 * 1024;

/// Where somebody on this machine reaches a daemon that listens there: by socket if it has one,
/// which answers everything.
pub(super) fn of(listen: &[Address]) -> Option<Endpoint> {
    let socket = listen.iter().find_map(|address| match address {
        Address::Unix { path, .. } => Some(Endpoint::Unix(path.clone())),
        Address::Tcp(_) | Address::Inherited(_) => None,
    });
    socket.or_else(|| {
        listen.iter().find_map(|address| match address {
            Address::Tcp(address) => {
                let mut address = *address;
                if address.ip().is_unspecified() {
                    address.set_ip(if address.is_ipv4() {
                        std::net::Ipv4Addr::LOCALHOST.into()
                    } else {
                        std::net::Ipv6Addr::LOCALHOST.into()
                    });
                }
                address.to_string().parse().ok()
            }
            Address::Unix { .. } | Address::Inherited(_) => None,
        })
    })
}

/// The access of others to a file, as far as there is any; `None` where it is not there.
pub(super) fn open_to_others(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// A directory that a daemon keeps its own things in: there, private, with room.
pub(super) fn directory(what: &str, path: &Path, findings: &mut Findings) -> bool {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            findings.wrong(
                format!("{what} `{shown}` is no directory"),
                "name a directory",
            );
            return false;
        }
        Err(error) => {
            findings.wrong(
                format!("{what} `{shown}` cannot be looked at: {error}"),
                "start the daemon once as its own user, or run this as that user",
            );
            return false;
        }
    }
    if let Some(mode) = open_to_others(path) {
        findings.warning(
            format!("{what} `{shown}` is open to others (mode {mode:o})"),
            format!("chmod 700 {shown}"),
        );
    }
    room(what, path, findings);
    true
}

fn room(what: &str, path: &Path, findings: &mut Findings) {
    let Ok(system) = rustix::fs::statvfs(path) else {
        return;
    };
    let room = system.f_bavail.saturating_mul(system.f_frsize);
    let mib = room / (1024 * 1024);
    let text = format!("{what} `{}` has {mib} MiB of room", path.display());
    if room < ROOM_WRONG {
        findings.wrong(
            text,
            "make room on this file system: writes are about to fail",
        );
    } else if room < ROOM_LITTLE {
        findings.warning(text, "make room on this file system before writes fail");
    } else {
        findings.ok(text);
    }
}
