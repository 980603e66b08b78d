//! The token endpoint.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::authority::app::Authority;
use crate::authority::http::credentials::Uncached;
use crate::authority::oauth::dpop;
use crate::authority::oauth::token::{self, TOKEN_PATH};
use crate::protocol::oauth::dpop::{DPOP, DPOP_NONCE};
use crate::protocol::oauth::parse_token_request;

use super::admitted::Admitted;
use super::cors::any_origin;
use super::form::{authorization, require_form};
use super::refused::RefusedAnswer;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(TOKEN_PATH, post(answer))
        .layer(from_fn(any_origin))
}

/// `POST /oauth2/token`: RFC 6749 §3.2.
async fn answer(
    State(authority): State<Arc<Authority>>,
    Admitted(from): Admitted,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RefusedAnswer> {
    require_form(&headers)?;
    let request = parse_token_request(authorization(&headers)?, &body)?;
    let granted = token::grant(&authority, &headers, request, from).await?;
    let mut response = Uncached(granted).into_response();
    if headers.contains_key(DPOP)
        && let Ok(nonce) = HeaderValue::from_str(&dpop::nonce(&authority))
    {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    Ok(response)
}
