//! The decision log: what was asked, what was answered and by which facts, as lines of JSON.
//!
//! A thread that decides notes a `Record` in a buffer of its own and hands it to its bounded
//! queue; one writer empties all queues, masks what is to be masked, and writes lines to a spool of
//! files, to standard output, or to both. Nothing on the way of a check waits for it: a full queue
//! drops the record and counts it.
//!
//! A record never holds a token, a credential, a query string or a path.

mod config;
mod fields;
mod format;
mod json;
mod notes;
mod ocsf;
mod packed;
mod queue;
mod record;
mod sampling;
mod spool;
#[cfg(test)]
mod tests;
mod writer;

pub(in crate::sidecar) use config::read;
pub use config::{DecisionLogConfig, Form};
pub use fields::{Field, UnknownField};
pub(in crate::sidecar) use notes::Notes;
pub(in crate::sidecar) use queue::LogCounts;
pub(in crate::sidecar) use record::{AskedToken, Record};
pub use record::{Asker, Door};
pub use sampling::Rate;
pub use spool::{ACTIVE, find};
pub(in crate::sidecar) use writer::DecisionLog;
pub use writer::DecisionLogError;
