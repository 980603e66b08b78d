//! Logouts that providers tell of.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::http::pages::form::Fields;
use crate::authority::login::{self, BackchannelError, Provider, UpstreamError};
use crate::protocol::oauth::FORM;

/// `POST /login/backchannel/{provider}` (OpenID Connect Back-Channel Logout 1.0 §2.8).
pub(super) async fn follow(
    State(authority): State<Arc<Authority>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case(FORM));
    let fields = Fields::parse(&body).filter(|_| is_form);
    let Some(token) = fields
        .as_ref()
        .and_then(|fields| fields.find("logout_token"))
    else {
        return refuse("a form with one `logout_token` is wanted");
    };
    let provider = match Provider::known(&authority, &slug).await {
        Ok(Some(provider)) => provider,
        Ok(None) => return refuse("no such provider"),
        Err(error) => {
            tracing::error!(%error, "a provider cannot be used");
            return later();
        }
    };
    match login::end_sessions(&authority, &provider, token).await {
        Ok(ended) => {
            tracing::info!(provider = slug, ended, "a provider told of a logout");
            (StatusCode::OK, [(CACHE_CONTROL, "no-store")]).into_response()
        }
        Err(BackchannelError::Store(error)) => {
            tracing::error!(%error, "the store failed a logout");
            later()
        }
        Err(BackchannelError::Upstream(
            error @ (UpstreamError::Outbound(_) | UpstreamError::Metadata(_)),
        )) => {
            tracing::warn!(provider = slug, %error, "a logout token cannot be verified");
            later()
        }
        Err(error) => {
            tracing::warn!(provider = slug, %error, "a logout token is refused");
            refuse(&error.to_string())
        }
    }
}

fn refuse(why: &str) -> Response {
    let body = json!({ "error": "invalid_request", "error_description": why });
    (
        StatusCode::BAD_REQUEST,
        [(CACHE_CONTROL, "no-store")],
        Json(body),
    )
        .into_response()
}

fn later() -> Response {
    let body = json!({ "error": "temporarily_unavailable" });
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(CACHE_CONTROL, "no-store")],
        Json(body),
    )
        .into_response()
}
