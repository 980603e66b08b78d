//! The gate: people who log in through a sidecar at a real authority, to an app that has no login.

mod dead_ends;
mod doors;
mod revoked;
mod sealed;
mod sign_in;
mod sign_out;
pub mod world;
