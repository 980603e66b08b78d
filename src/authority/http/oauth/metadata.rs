//! What is published about the authority and its tokens. Any origin may read it: apps that run in a
//! browser begin here.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::authority::app::Authority;
use crate::authority::keys::JWKS_CACHE_CONTROL;
use crate::authority::oauth::metadata;

use super::cors::any_origin;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(document))
        .route("/.well-known/oauth-authorization-server", get(document))
        .route("/.well-known/jwks.json", get(jwks))
        .layer(from_fn(any_origin))
}

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery §4) and
/// `GET /.well-known/oauth-authorization-server` (RFC 8414 §3): one document for both.
async fn document(State(authority): State<Arc<Authority>>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, metadata::CACHE_CONTROL),
    ];
    (headers, metadata::body(&authority)).into_response()
}

/// `GET /.well-known/jwks.json`: the keys of access and ID tokens.
async fn jwks(State(authority): State<Arc<Authority>>) -> Response {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, JWKS_CACHE_CONTROL),
    ];
    (headers, authority.keys.jwks()).into_response()
}
