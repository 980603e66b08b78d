//! The change feed: from the authority's outbox to a sidecar's copy.
//!
//! Authority: [`apply`] keeps a copy of its own through the sidecars' applier, [`snapshot`] makes
//! signed files of it, [`supplier`] streams sealed frames under signed heads. Sidecar: [`consumer`]
//! follows, [`fetch`] installs snapshots, [`copies`] keeps the files. Nothing is applied before its
//! signature and its chain hold.

#[cfg(feature = "authority")]
mod ages;
#[cfg(feature = "authority")]
pub mod apply;
#[cfg(feature = "sidecar")]
pub mod client;
#[cfg(feature = "sidecar")]
pub mod consumer;
#[cfg(feature = "sidecar")]
pub mod copies;
#[cfg(feature = "authority")]
pub mod endpoint;
#[cfg(feature = "sidecar")]
pub mod fetch;
#[cfg(feature = "authority")]
pub mod fleet;
#[cfg(feature = "authority")]
mod keeper;
pub mod signing;
#[cfg(feature = "authority")]
pub mod snapshot;
#[cfg(feature = "authority")]
pub mod stream;
#[cfg(feature = "authority")]
pub mod supplier;
