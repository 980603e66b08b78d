//! Their routes.

use std::sync::Arc;

use axum::Router;

use crate::authority::app::Authority;

use super::{account, device, invitation, signed_out};

pub(in crate::authority::http) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .merge(account::routes())
        .merge(device::routes())
        .merge(invitation::routes())
        .merge(signed_out::routes())
}
