//! Reading the configuration again while requests are answered.
//!
//! What proxies are answered by (routes, whose tokens count, gates, the deadline) is replaced whole: a
//! request is decided by the old or by the new, never by some of both. A configuration with a mistake
//! in it changes nothing. The rest is fixed when the process starts, and is named if it differs.

use std::fmt::Debug;
use std::sync::Arc;

use data_encoding::HEXLOWER;

use crate::crypto::digest::sha256;
use crate::domain::Secret;
use crate::runtime::telemetry;
use crate::sidecar::app::{Sidecar, forward_auth};
use crate::sidecar::config::Config;
use crate::sidecar::daemon::DaemonError;

/// The settings that are fixed when the process starts, each with what it was then.
#[derive(Debug)]
pub(in crate::sidecar) struct Fixed(Vec<(&'static str, String)>);

impl Fixed {
    pub(in crate::sidecar) fn of(config: &Config) -> Self {
        let text = |value: &dyn Debug| format!("{value:?}");
        // Not the secrets themselves: this lives as long as the process.
        let hash = |secret: Option<&Secret<String>>| {
            secret.map(|secret| HEXLOWER.encode(&sha256(secret.expose().as_bytes())))
        };
        let callers: Vec<_> = config
            .callers
            .iter()
            .map(|caller| (caller, hash(caller.credential.as_ref())))
            .collect();
        let log = config.decision_log.as_ref();
        let masks = hash(log.and_then(|log| log.hash_key.as_ref()));
        Self(vec![
            ("data", text(&config.data)),
            ("public_url", text(&config.public_url)),
            ("policies", text(&config.policies)),
            ("credential_file", text(&hash(config.credential.as_ref()))),
            ("callers", text(&callers)),
            ("log.format", text(&config.log_format)),
            ("workers", text(&config.workers)),
            ("listen", text(&config.listeners)),
            ("cache", text(&config.cache)),
            ("mapping", text(&config.mapping)),
            ("at_least_wait", text(&config.at_least_wait)),
            ("body_timeout", text(&config.body_timeout)),
            ("max_connections", text(&config.max_connections)),
            ("watch", text(&config.watch)),
            ("decision_log", text(&(&config.decision_log, masks))),
        ])
    }

    /// The settings that have another value in `other`.
    fn differ(&self, other: &Self) -> Vec<&'static str> {
        self.0
            .iter()
            .zip(&other.0)
            .filter(|(one, other)| one != other)
            .map(|((name, _), _)| *name)
            .collect()
    }
}

impl Sidecar {
    /// Takes up a configuration that was read again, and names the settings in it that count from the
    /// next start on.
    ///
    /// # Errors
    ///
    /// [`DaemonError`] with the first mistake: nothing has changed then.
    pub fn reload(&self, config: &Config) -> Result<Vec<&'static str>, DaemonError> {
        let doors = forward_auth(config, &self.entropy)?;
        telemetry::change_filter(&config.log_filter)?;
        self.shared.forward_auth.store(doors.map(Arc::new));
        Ok(self.fixed.differ(&Fixed::of(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::config::Environment;

    fn named(old: &str, new: &str) -> Vec<&'static str> {
        let fixed = |text| Fixed::of(&Config::from_text(text, &Environment::default()).unwrap());
        fixed(old).differ(&fixed(new))
    }

    #[test]
    fn a_changed_setting_that_wants_a_restart_is_named_and_no_other() {
        assert_eq!(named("workers = 2", "workers = 3"), ["workers"]);
        assert_eq!(named("", "[watch]\nmost = 7"), ["watch"]);
        let log = |key| {
            let text = "[decision_log]\nstdout = true\nhash = ['caller']\nhash_key_file = 'FILE'";
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("key");
            std::fs::write(&file, key).unwrap();
            let text = text.replace("FILE", file.to_str().unwrap());
            Fixed::of(&Config::from_text(&text, &Environment::default()).unwrap())
        };
        let (one, two) = ("k".repeat(32), "l".repeat(32));
        assert_eq!(log(&one).differ(&log(&two)), ["decision_log"]);
        assert_eq!(log(&one).differ(&log(&one)), Vec::<&str>::new());
        assert_eq!(named("door_deadline = '100ms'", ""), Vec::<&str>::new());
    }
}
