//! Rows of manifests.
