//! The provider for client apps: each endpoint over loopback HTTP, with a manual clock.

pub mod authorize;
pub mod backchannel;
mod consent;
mod discovery;
mod logout;
mod par;
pub mod world;
