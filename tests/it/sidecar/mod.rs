//! Tests: sidecar.
