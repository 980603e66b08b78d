//! The authority over loopback HTTP.

mod access;
mod manifests;
