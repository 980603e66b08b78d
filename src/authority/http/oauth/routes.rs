//! The routes of this folder.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use crate::authority::app::Authority;

use super::{device, introspect, revoke, token, userinfo};

/// More than any request here needs: an assertion and a handful of parameters.
const FORM_BYTES: usize = 64 * 1024;

/// Every route that clients call.
pub(in crate::authority::http) fn routes() -> Router<Arc<Authority>> {
    token::routes()
        .merge(device::routes())
        .merge(introspect::routes())
        .merge(revoke::routes())
        .merge(userinfo::routes())
        .layer(DefaultBodyLimit::max(FORM_BYTES))
}
