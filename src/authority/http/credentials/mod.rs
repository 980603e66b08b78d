//! Tokens, keys, clients and sidecars over HTTP.

mod clients;
mod oauth;
mod routes;
mod sidecars;

pub(super) use routes::routes;
