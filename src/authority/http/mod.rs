//! The authority's HTTP API: parse, authorize, act, show.

pub mod context;
pub mod credentials;
pub mod feed;
pub mod manifests;
pub mod organizations;
pub mod users;
