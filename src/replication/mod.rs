//! The change feed: from the authority's outbox to a sidecar's copy.

pub mod apply;
pub mod consumer;
pub mod snapshot;
#[cfg(feature = "authority")]
pub mod supplier;
