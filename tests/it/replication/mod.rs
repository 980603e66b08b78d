//! Tests: replication.
