//! The end of a login: who it is here, what changed of them, and the session. One transaction.

mod arrival;
mod profile;
mod session;
mod who;
mod write;

pub(super) use arrival::Arrival;
pub(super) use write::{Arrived, Visitor, finish};
pub use write::{FinishError, LINK_PROOF};
