//! Tokens, keys, clients and sidecars over HTTP.

mod clients;
mod oauth;
mod routes;
mod sidecars;

pub(super) use oauth::Uncached;
pub(super) use routes::routes;
