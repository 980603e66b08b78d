//! Listeners: TCP, a Unix socket, or a socket inherited from systemd.
//!
//! One listener per address. `SO_REUSEPORT` is never set: with it a stale process could share a
//! port unseen and answer from an old copy.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::config::Environment;

const BACKLOG: i32 = 1024;
/// The first descriptor that systemd passes (`sd_listen_fds(3)`).
const FIRST_INHERITED: i32 = 3;

/// Where to listen. Text forms: `127.0.0.1:7180`, `unix:/run/doorward/check.sock`,
/// `unix:/run/doorward/check.sock?mode=666`, `systemd`, `systemd:name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A socket passed by systemd: the only one, or the one of this `FileDescriptorName=`.
    Inherited(Option<String>),
}

impl Address {
    /// The permissions of a Unix socket that says none: its owner and group.
    pub const DEFAULT_MODE: u32 = 0o660;
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, mode) = match rest.split_once("?mode=") {
                None => (rest, Self::DEFAULT_MODE),
                Some((path, mode)) => {
                    let mode = u32::from_str_radix(mode, 8)
                        .ok()
                        .filter(|mode| *mode <= 0o777)
                        .ok_or_else(|| {
                            format!("`{mode}` is not a mode: octal digits such as `660` are wanted")
                        })?;
                    (path, mode)
                }
            };
            if !path.starts_with('/') {
                return Err(format!("`{path}` is not an absolute path"));
            }
            return Ok(Self::Unix {
                path: path.into(),
                mode,
            });
        }
        match text.split_once(':') {
            None if text == "systemd" => return Ok(Self::Inherited(None)),
            Some(("systemd", name)) => return Ok(Self::Inherited(Some(name.to_owned()))),
            _ => {}
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!(
                "`{text}` is not an address: `127.0.0.1:7180`, `[::1]:7180`, `unix:/path` or \
                 `systemd` is wanted"
            )
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => fmt::Display::fmt(address, f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Inherited(None) => f.write_str("systemd"),
            Self::Inherited(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process has the address.
    #[error("address `{0}` is in use by another process")]
    InUse(String),
    /// Something that is no socket lies at the path.
    #[error("`{0}` exists and is not a socket")]
    NotASocket(String),
    /// systemd passed no such socket.
    #[error("address `{0}`: {1}")]
    NotInherited(String, &'static str),
    /// Anything else, such as a port that needs more rights.
    #[error("cannot listen on `{address}`")]
    Io {
        /// The address.
        address: String,
        /// The system's word.
        source: io::Error,
    },
}

/// A listening socket, accepting once it is given to a runtime.
#[derive(Debug)]
pub struct Listening {
    socket: Socket,
    bound: Bound,
    /// Held while we listen on a Unix socket, so that two starting processes cannot both take it.
    lock: Option<File>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
}

/// What a listener is really bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// A TCP address with its port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Bound {
    /// The TCP address, if it is one.
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listening {
    /// Listens on `address`. A Unix socket that a dead process left behind is replaced; one that
    /// still answers is not.
    ///
    /// # Errors
    ///
    /// [`ListenError`] names the address.
    pub fn bind(address: &Address, environment: &Environment) -> Result<Self, ListenError> {
        match address {
            Address::Tcp(socket) => bind_tcp(*socket),
            Address::Unix { path, mode } => bind_unix(path, *mode),
            Address::Inherited(name) => inherit(name.as_deref(), environment)
                .map_err(|problem| ListenError::NotInherited(address.to_string(), problem)),
        }
    }

    /// What it is bound to.
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Gives the socket to the current runtime.
    ///
    /// # Errors
    ///
    /// The runtime has no I/O.
    pub fn into_acceptor(self) -> io::Result<Acceptor> {
        let socket = match self.socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TokioSocket::Tcp(tokio::net::TcpListener::from_std(listener)?)
            }
            Socket::Unix(listener, file) => {
                listener.set_nonblocking(true)?;
                TokioSocket::Unix(tokio::net::UnixListener::from_std(listener)?, file)
            }
        };
        Ok(Acceptor {
            socket,
            bound: self.bound,
            lock: self.lock,
        })
    }
}

/// Accepts connections.
#[derive(Debug)]
pub struct Acceptor {
    socket: TokioSocket,
    bound: Bound,
    #[expect(dead_code, reason = "unlocked when dropped")]
    lock: Option<File>,
}

#[derive(Debug)]
enum TokioSocket {
    Tcp(tokio::net::TcpListener),
    Unix(
        tokio::net::UnixListener,
        #[expect(dead_code, reason = "removes the socket's file when dropped")] Option<SocketFile>,
    ),
}

/// An accepted connection, not yet bound to a runtime: it may be handed to another thread's.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP, from this address. Nagle's delay is off.
    Tcp(std::net::TcpStream, SocketAddr),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Acceptor {
    /// What it is bound to.
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// One connection failed, or the process has no descriptors left: pause, then go on.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            TokioSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream.into_std()?, peer))
            }
            TokioSocket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted::Unix(stream.into_std()?))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> Result<Listening, ListenError> {
    let fail = |source| io_error(address.to_string(), source);
    let listener = TcpListener::bind(address).map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok(Listening {
        socket: Socket::Tcp(listener),
        bound: Bound::Tcp(bound),
        lock: None,
    })
}

fn bind_unix(path: &Path, mode: u32) -> Result<Listening, ListenError> {
    let name = format!("unix:{}", path.display());
    let fail = |source| io_error(name.clone(), source);
    let lock = lock_beside(path).map_err(fail)?;
    remove_stale(path, &name)?;
    // Permissions are set between bind and listen: before listen, nobody can connect.
    let address = SocketAddrUnix::new(path).map_err(|errno| fail(errno.into()))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| fail(errno.into()))?;
    rustix::net::bind(&socket, &address).map_err(|errno| fail(errno.into()))?;
    let file = SocketFile::at(path).map_err(fail)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(fail)?;
    rustix::net::listen(&socket, BACKLOG).map_err(|errno| fail(errno.into()))?;
    Ok(Listening {
        socket: Socket::Unix(UnixListener::from(socket), Some(file)),
        bound: Bound::Unix(path.to_owned()),
        lock: Some(lock),
    })
}

/// An exclusive lock on a file beside the socket. The file stays when the process ends (removing
/// it would let two processes hold a lock each); the lock does not.
fn lock_beside(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(PathBuf::from(name))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
        if errno == rustix::io::Errno::WOULDBLOCK {
            ErrorKind::AddrInUse.into()
        } else {
            io::Error::from(errno)
        }
    })?;
    Ok(file)
}

fn remove_stale(path: &Path, name: &str) -> Result<(), ListenError> {
    let fail = |source| io_error(name.to_owned(), source);
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.display().to_string()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fail)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // It answers, or it is somebody's whom we may not ask.
        Ok(_) | Err(_) => Err(ListenError::InUse(name.to_owned())),
    }
}

fn io_error(address: String, source: io::Error) -> ListenError {
    if source.kind() == ErrorKind::AddrInUse {
        ListenError::InUse(address)
    } else {
        ListenError::Io { address, source }
    }
}

/// The file of a Unix socket we made; removed when we stop, if it is still ours.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    path.symlink_metadata()
        .map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes a socket that systemd passed (`sd_listen_fds(3)`).
fn inherit(name: Option<&str>, environment: &Environment) -> Result<Listening, &'static str> {
    let index = inherited_index(name, environment, std::process::id())?;
    // Raw descriptors need `unsafe`; the kernel's own duplicate of one does not. Setting
    // close-on-exec, which it does, is also what the protocol asks for.
    let fd = rustix::process::getpid();
    let fd = pidfd_open(fd, PidfdFlags::empty())
        .and_then(|own| pidfd_getfd(own, FIRST_INHERITED + index, PidfdGetfdFlags::empty()))
        .map_err(|_| "the inherited descriptor cannot be taken")?;
    if !sockopt::socket_acceptconn(&fd).unwrap_or(false) {
        return Err("the inherited descriptor is not a listening socket");
    }
    from_fd(fd)
}

fn from_fd(fd: OwnedFd) -> Result<Listening, &'static str> {
    const UNNAMED: &str = "the inherited socket has no address";
    let (socket, bound) = match sockopt::socket_domain(&fd) {
        Ok(AddressFamily::UNIX) => {
            let listener = UnixListener::from(fd);
            let address = listener.local_addr().map_err(|_| UNNAMED)?;
            // A name without a file has no permissions: anybody on the machine could connect, and
            // whoever connects over a Unix socket is trusted.
            let path = address
                .as_pathname()
                .map(Path::to_owned)
                .ok_or("the inherited Unix socket has no file, so no permissions guard it")?;
            // The file is systemd's, not ours to remove.
            (Socket::Unix(listener, None), Bound::Unix(path))
        }
        Ok(AddressFamily::INET | AddressFamily::INET6) => {
            let listener = TcpListener::from(fd);
            let address = listener.local_addr().map_err(|_| UNNAMED)?;
            (Socket::Tcp(listener), Bound::Tcp(address))
        }
        _ => return Err("the inherited socket is neither TCP nor Unix"),
    };
    Ok(Listening {
        socket,
        bound,
        lock: None,
    })
}

fn inherited_index(
    name: Option<&str>,
    environment: &Environment,
    own_pid: u32,
) -> Result<i32, &'static str> {
    let number = |variable| environment.get(variable)?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(own_pid) {
        return Err("systemd passed no socket to this process");
    }
    let count = number("LISTEN_FDS").unwrap_or(0);
    let index = match name {
        None if count == 1 => Some(0),
        None => return Err("systemd passed several sockets: name one, as `systemd:name`"),
        Some(name) => environment
            .get("LISTEN_FDNAMES")
            .unwrap_or("")
            .split(':')
            .take(usize::try_from(count).unwrap_or(0))
            .position(|passed| passed == name)
            .and_then(|index| i32::try_from(index).ok()),
    };
    index.ok_or("systemd passed no socket of this name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: &str) -> Result<Listening, ListenError> {
        Listening::bind(&address.parse().unwrap(), &Environment::default())
    }

    #[test]
    fn addresses_have_one_text_form_each_and_others_are_refused() {
        for text in [
            "127.0.0.1:7180",
            "[::1]:7180",
            "unix:/a.sock",
            "systemd",
            "systemd:check",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert!(matches!(
            "unix:/a.sock?mode=600".parse(),
            Ok(Address::Unix { mode: 0o600, .. })
        ));
        for bad in [
            "",
            "7180",
            "localhost:7180",
            "unix:a.sock",
            "unix:/a?mode=9",
            "unix:/a?mode=7777",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = bind("127.0.0.1:0").unwrap();
        let address = first.bound().tcp().unwrap().to_string();
        let error = bind(&address).unwrap_err();
        assert!(matches!(error, ListenError::InUse(_)));
        assert!(error.to_string().contains(&address), "{error}");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("check.sock");
        let address = format!("unix:{}?mode=600", path.display());
        // As a killed process leaves it: a file nobody listens on.
        drop(UnixListener::bind(&path).unwrap());
        let first = bind(&address).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(bind(&address), Err(ListenError::InUse(_))));
        drop(first);
        assert!(!path.exists());
        let foreign = UnixListener::bind(&path).unwrap();
        assert!(matches!(bind(&address), Err(ListenError::InUse(_))));
        drop(foreign);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "text").unwrap();
        assert!(matches!(bind(&address), Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_that_names_the_socket() {
        let error = bind("unix:/nonexistent/check.sock").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/check.sock"));
    }

    #[test]
    fn an_inherited_socket_that_no_file_guards_is_refused() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("doorward-test-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        assert!(from_fd(listener.into()).unwrap_err().contains("no file"));
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("check.sock")).unwrap();
        assert!(from_fd(listener.into()).is_ok());
    }

    #[test]
    fn inherited_sockets_are_found_by_process_and_name() {
        let environment: Environment = [
            ("LISTEN_PID", "42"),
            ("LISTEN_FDS", "2"),
            ("LISTEN_FDNAMES", "check:admin:beyond"),
        ]
        .into_iter()
        .collect();
        assert_eq!(inherited_index(Some("admin"), &environment, 42), Ok(1));
        assert!(inherited_index(Some("beyond"), &environment, 42).is_err());
        assert!(inherited_index(None, &environment, 42).is_err());
        assert!(inherited_index(Some("admin"), &environment, 43).is_err());
    }
}
