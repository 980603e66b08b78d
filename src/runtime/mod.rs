//! The edge of the process: the only place that asks the system for time, chance, files, sockets
//! and signals.

pub mod backoff;
pub mod chain;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod exit;
pub mod files;
pub mod limits;
pub mod listen;
pub mod notify;
pub mod serve;
pub mod signals;
pub mod tasks;
pub mod telemetry;

pub use chain::chain;
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use exit::Exit;
pub use tasks::{Stop, Tasks};
