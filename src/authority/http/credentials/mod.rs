//! Clients and sidecars over HTTP.

mod clients;
mod routes;
mod sidecars;
mod uncached;

pub(super) use routes::routes;
pub(super) use uncached::Uncached;
