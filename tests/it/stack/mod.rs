//! Authority and sidecar together: a change here, a decision there.

mod story;
mod world;
