//! `[watch]` of the configuration.
//!
//! ```toml
//! [watch]
//! most = 10000                            # at once, on this sidecar
//! most_per_caller = 1000                  # those who are no known caller count as one
//! heartbeat = "15s"                       # a sign of life when nothing changes
//! ```

use std::time::Duration;

use crate::runtime::config::Reader;

/// Bounds of watches.
#[derive(Debug, Clone, Copy)]
pub struct WatchConfig {
    /// Watches at once.
    pub most: usize,
    /// Watches of one caller at once.
    pub most_per_caller: usize,
    /// The longest silence.
    pub heartbeat: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            most: 10_000,
            most_per_caller: 1000,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// Reads `[watch]`.
pub(in crate::sidecar) fn read(reader: &mut Reader<'_>) -> WatchConfig {
    let default = WatchConfig::default();
    let config = WatchConfig {
        most: reader.or("most", default.most),
        most_per_caller: reader.or("most_per_caller", default.most_per_caller),
        heartbeat: reader.duration("heartbeat", default.heartbeat),
    };
    if config.heartbeat < Duration::from_secs(1) {
        reader.mistake("heartbeat", "1s or more is wanted".to_owned());
    }
    config
}
