//! What is published about tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::authority::app::Authority;
use crate::authority::keys::JWKS_CACHE_CONTROL;
use crate::protocol::oauth::Metadata;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/.well-known/jwks.json", get(jwks))
        .route("/.well-known/oauth-authorization-server", get(metadata))
}

/// `GET /.well-known/jwks.json`: the keys of access and ID tokens.
async fn jwks(State(authority): State<Arc<Authority>>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, JWKS_CACHE_CONTROL),
    ];
    (headers, authority.keys.jwks())
}

/// `GET /.well-known/oauth-authorization-server`: what works, and nothing else.
async fn metadata(State(authority): State<Arc<Authority>>) -> Json<Metadata> {
    let issuer = authority.config.issuer.as_str();
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Json(Metadata {
        issuer: issuer.to_owned(),
        token_endpoint: format!("{issuer}/oauth2/token"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        scopes_supported: texts(&[
            "doorward:admin",
            "doorward:feed",
            "doorward:manifest",
            "doorward:organizations",
        ]),
        response_types_supported: Vec::new(),
        grant_types_supported: texts(&["client_credentials"]),
        token_endpoint_auth_methods_supported: texts(&[
            "client_secret_basic",
            "client_secret_post",
        ]),
    })
}

/// A body that holds a secret: kept by nobody on the way (RFC 6749 §5.1).
pub(in crate::authority::http) struct Uncached<T>(pub(in crate::authority::http) T);

impl<T: serde::Serialize> IntoResponse for Uncached<T> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ];
        (headers, Json(self.0)).into_response()
    }
}
