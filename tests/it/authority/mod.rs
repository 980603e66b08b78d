//! The authority over loopback HTTP.

mod access;
mod credentials;
mod http;
mod manifest_http;
mod manifests;
mod members;
mod organizations;
mod users;
