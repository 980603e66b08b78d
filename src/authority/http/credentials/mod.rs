//! Clients and sidecars over HTTP.

mod clients;
mod registration_tokens;
mod routes;
mod sidecars;
mod uncached;

pub(super) use routes::routes;
pub(super) use uncached::Uncached;
