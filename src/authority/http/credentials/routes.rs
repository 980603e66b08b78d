//! The routes of this folder.

use std::sync::Arc;

use axum::Router;

use crate::authority::app::Authority;

use super::{clients, sidecars};

/// Every route that is about credentials.
pub(in crate::authority::http) fn routes() -> Router<Arc<Authority>> {
    clients::routes().merge(sidecars::routes())
}
