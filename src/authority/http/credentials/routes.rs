//! The routes of this folder.

use std::sync::Arc;

use axum::Router;

use crate::authority::app::Authority;

use super::{clients, registration_tokens, sidecars};

/// Every route that is about credentials.
pub(in crate::authority::http) fn routes() -> Router<Arc<Authority>> {
    clients::routes()
        .merge(registration_tokens::routes())
        .merge(sidecars::routes())
}
