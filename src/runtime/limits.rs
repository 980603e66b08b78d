//! Limits that several listeners share. Each is documented where its refusal is.

use std::time::Duration;

/// Bytes of a manifest.
pub const MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of any other request body.
pub const BODY_BYTES: usize = 64 * 1024;
/// Bytes of a batch of checks.
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Bytes of a request's head.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Headers of a request.
pub const HEADERS: usize = 64;
/// How long the head of a request may take, idle time of a kept-alive connection included.
pub const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a request may take from its head to its answer, streams apart.
pub const REQUEST_TIME: Duration = Duration::from_secs(30);
/// How long a request about a manifest may take: one that replaces a role of a million members took
/// 25 s on PostgreSQL.
pub const MANIFEST_TIME: Duration = Duration::from_mins(2);
/// Connections of one listener; further ones wait.
pub const CONNECTIONS: usize = 10_000;
/// How long open requests may go on after a stop was asked for.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);
