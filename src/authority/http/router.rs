//! Every route of the authority, and what stands around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;

use crate::authority::app::Authority;
use crate::runtime::limits::BODY_BYTES;
use crate::runtime::telemetry;
use crate::store::{StoreError, feed};

use super::answer::Show;
use super::envelope::{Envelopes, envelope, panicked};
use super::error::HttpError;
use super::{
    credentials, feed as feed_routes, instances, invitations, login, manifests, oauth,
    organizations, pages, people, providers, users,
};

/// Every route.
pub(super) fn router(authority: Arc<Authority>, envelopes: Arc<Envelopes>) -> Router {
    // Before the first request: what is counted without a recorder is lost.
    if let Err(error) = telemetry::metrics() {
        tracing::warn!(%error, "`/metrics` will not answer");
    }
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .merge(credentials::routes())
        .merge(feed_routes::routes())
        .merge(instances::routes())
        .merge(invitations::routes())
        .merge(login::routes(&authority))
        .merge(manifests::routes())
        .merge(oauth::routes())
        .merge(organizations::routes())
        .merge(providers::routes())
        .merge(users::routes())
        .merge(pages::routes::routes())
        .merge(people::routes())
        .fallback(pages::routes::not_found)
        // One after another in one: each on its own would be boxed, and so would its future.
        .layer((
            from_fn_with_state(envelopes, envelope),
            CatchPanicLayer::custom(panicked),
            DefaultBodyLimit::max(BODY_BYTES),
        ))
        .with_state(authority)
}

/// `GET /healthz`: the process answers.
async fn healthz() -> Show<serde_json::Value> {
    Show(json!({ "status": "ok" }))
}

/// `GET /readyz`: the store answers too.
async fn readyz(
    State(authority): State<Arc<Authority>>,
) -> Result<Show<serde_json::Value>, HttpError> {
    let head = authority
        .store
        .read::<_, StoreError>(|tx| feed::head(tx))
        .await?;
    Ok(Show(json!({
        "status": "ok",
        "revision": head.position.revision,
    })))
}

/// `GET /metrics`: Prometheus' text format.
async fn metrics() -> Response {
    match telemetry::metrics() {
        Ok(handle) => (
            [(CONTENT_TYPE, "text/plain; version=0.0.4")],
            handle.render(),
        )
            .into_response(),
        Err(_) => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}
