//! The authority over loopback HTTP.

mod access;
mod http;
mod credentials;
mod manifests;
mod members;
mod organizations;
mod users;
