//! The routes of this folder.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use crate::authority::app::Authority;

use super::{
    authorize, consent, device, introspect, logout, metadata, par, registration, revoke, token,
    userinfo,
};

/// More than any request here needs: an assertion and a handful of parameters.
const FORM_BYTES: usize = 64 * 1024;

/// Every route that clients call, and those that browsers visit on their behalf.
pub(in crate::authority::http) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .merge(authorize::routes())
        .merge(consent::routes())
        .merge(device::routes())
        .merge(introspect::routes())
        .merge(logout::routes())
        .merge(metadata::routes())
        .merge(par::routes())
        .merge(registration::routes())
        .merge(revoke::routes())
        .merge(token::routes())
        .merge(userinfo::routes())
        .layer(DefaultBodyLimit::max(FORM_BYTES))
}
