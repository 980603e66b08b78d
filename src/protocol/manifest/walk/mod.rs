//! From a document to a `Manifest`: every rule that one document can be held to.

mod document;
mod permissions;
mod references;
mod roles;

pub(super) use document::manifest;
