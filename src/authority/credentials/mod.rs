//! Machine credentials: who calls, and with which tokens.

pub mod actor;

pub use actor::Actor;
