//! The endpoints of OAuth and OpenID Connect.

mod cors;
mod form;
mod refused;
mod routes;
mod token;

pub(super) use routes::routes;
