//! manifests.
