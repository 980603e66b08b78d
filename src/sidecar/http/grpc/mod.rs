//! Envoy's `ext_authz` over gRPC: the same doors over HTTP/2, on a listener of its own.
//!
//! tonic frames the messages, hyper speaks HTTP/2 without TLS. Every path that does not end in an
//! [`Answer`](crate::protocol::ext_authz::Answer) ends in a gRPC error, which Envoy takes for an outage
//! of the sidecar: with `failure_mode_allow: false` nothing passes.

mod call;
mod codec;
mod connection;

pub(super) use connection::serve;
