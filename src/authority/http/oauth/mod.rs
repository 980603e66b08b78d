//! The endpoints of OAuth and OpenID Connect.

mod admitted;
mod authorize;
mod browser;
mod consent;
mod cors;
mod device;
mod form;
mod introspect;
mod logout;
mod metadata;
mod par;
mod refused;
mod registration;
mod revoke;
mod routes;
mod token;
mod userinfo;

pub(super) use metadata::{Published, Ready};
pub(super) use routes::routes;
