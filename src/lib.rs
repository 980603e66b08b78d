//! Doorward: an authorization and login stack.
//!
//! Read top-down. A **change** enters at [`authority`], is written by [`store`] in one transaction
//! together with its feed frame, travels by [`replication`] and reaches the sidecar's copy. A
//! **check** enters at [`sidecar`] and is decided by [`policy`] over that copy. [`domain`] names
//! what exists, [`protocol`] turns bytes into those names and back, [`crypto`] signs and seals,
//! [`runtime`] is the only place that asks the system for time, chance, files and sockets.
//!
//! Which module may import which is a table in `docs/ARCHITECTURE.md`, held by a test.

#[cfg(feature = "authority")]
pub mod authority;
#[cfg(feature = "cli")]
pub mod cli;
pub mod crypto;
pub mod domain;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod policy;
pub mod protocol;
pub mod replication;
pub mod runtime;
#[cfg(feature = "sidecar")]
pub mod sidecar;
pub mod store;
