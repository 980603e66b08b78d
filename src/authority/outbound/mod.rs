//! HTTP requests that the authority makes: to identity providers, to clients that want to hear of
//! a logout, to metadata documents of clients.
//!
//! Where they go is often for somebody else to say, so each is bounded in time and size, follows
//! no redirect, and never reaches an address of this machine or of a private network unless the
//! configuration names the host. A name is resolved once, and the connection goes to the address
//! that was checked.

mod address;
mod client;
#[cfg(test)]
mod tests;

pub use address::is_public;
pub use client::{
    ANSWER_BYTES, AllowedHost, Answer, Outbound, OutboundConfig, OutboundError, OutboundSetupError,
};
