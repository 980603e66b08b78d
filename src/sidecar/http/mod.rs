//! The sidecar's endpoints.
