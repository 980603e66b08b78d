//! The endpoints of OAuth and OpenID Connect.

mod cors;
mod device;
mod form;
mod introspect;
mod refused;
mod revoke;
mod routes;
mod token;
mod userinfo;

pub(super) use routes::routes;
