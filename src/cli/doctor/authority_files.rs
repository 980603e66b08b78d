//! What lies on an authority's machine.

use std::path::Path;

use super::finding::Findings;
use super::place;
use crate::authority::config::Config;
use crate::authority::keys::read_ring;
use crate::runtime::chain;
use crate::runtime::config::Environment;
use crate::runtime::listen::Address;
use crate::store::StoreConfig;

/// Reads configuration, key file and directories as the daemon would. `None` if they were not named
/// or the configuration is refused.
pub(super) fn examine(
    file: Option<&Path>,
    data: Option<&Path>,
    environment: &Environment,
    findings: &mut Findings,
) -> Option<Config> {
    let named = file.or(data)?;
    findings.about(format!("authority's files ({})", named.display()));
    let config = match Config::load(file, data, environment) {
        Ok(config) => config,
        Err(error) => {
            findings.wrong(chain(&error), "mend the configuration");
            return None;
        }
    };
    if file.is_some() {
        findings.ok("its configuration is accepted");
    }
    if !place::directory("its data directory", &config.data, findings) {
        return Some(config);
    }
    match read_ring(&config.key_file) {
        Ok(_) => findings.ok("its key file is there and private"),
        Err(error) => findings.wrong(
            chain(&error),
            "put the key file back from where it was kept, with mode 600; without it nothing sealed \
             can be opened",
        ),
    }
    if config.key_file.starts_with(&config.data) {
        findings.warning(
            "its key file lies beside its data: one stolen backup has both",
            "set `key_file` to a place of its own, and leave it out of the database's backups",
        );
    }
    store(&config, findings);
    behind_a_proxy(&config, findings);
    Some(config)
}

fn store(config: &Config, findings: &mut Findings) {
    let StoreConfig::Sqlite { path } = &config.store else {
        return;
    };
    if !path.is_file() {
        findings.wrong(
            format!("its database `{}` is not there", path.display()),
            "run `doorward-authority init`, or restore a backup",
        );
    } else if let Some(mode) = place::open_to_others(path) {
        findings.warning(
            format!("its database is open to others (mode {mode:o})"),
            format!("chmod 600 {}", path.display()),
        );
    } else {
        findings.ok("its database is there and private");
    }
}

/// TLS ends in front of it, so that somebody else tells where requests come from.
fn behind_a_proxy(config: &Config, findings: &mut Findings) {
    let public = config.issuer.as_str().starts_with("https:");
    let loopback = config.listen.iter().all(|address| match address {
        Address::Tcp(address) => address.ip().is_loopback(),
        Address::Unix { .. } | Address::Inherited(_) => true,
    });
    if public && config.proxies.is_empty() {
        findings.warning(
            "its issuer is https, so a proxy stands before it, and `proxies` trusts none: all \
             requests seem to come from one address and share one limit",
            "name the proxy's network in `proxies.trusted`",
        );
    }
    if public && !loopback {
        findings.warning(
            "it listens beyond this machine without TLS of its own",
            "let only the proxy reach it: listen on loopback, or close the port to others",
        );
    }
}
