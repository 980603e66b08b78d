//! The one integration binary: it links once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic; their names are their documentation"
)]

mod authority;
mod conformance;
mod fuzz;
mod gate;
mod hardening;
mod interop;
mod login;
mod oauth;
mod openapi;
mod pages;
mod policies;
mod proxies;
mod replication;
mod sidecar;
mod stack;
mod store;
mod support;
mod tidy;
