//! Configuration: a TOML file, overridden by environment variables, read once at start.
//!
//! A daemon's own `config` module names its keys by calling the [`Reader`]; what it did not ask for
//! is unknown and refused. All mistakes are reported together, each with the key it is about. A
//! variable is called after the key: `tokens.access` of the authority is
//! `DOORWARD_AUTHORITY__TOKENS__ACCESS`. (Two underscores, because Kubernetes sets variables such
//! as `DOORWARD_AUTHORITY_PORT` by itself.)

mod environment;
mod error;
mod reader;
mod units;

pub use environment::Environment;
pub use error::{ConfigError, Mistake};
pub use reader::Reader;
pub use units::{parse_duration, parse_size};
