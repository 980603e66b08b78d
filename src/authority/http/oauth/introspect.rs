//! The introspection endpoint.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;

use crate::authority::app::Authority;
use crate::authority::http::credentials::Uncached;
use crate::authority::oauth::introspect::{INTROSPECT_PATH, introspect};
use crate::authority::proxies::ClientAddress;
use crate::protocol::oauth::{Introspection, parse_token_query};

use super::form::{authorization, require_form};
use super::refused::RefusedAnswer;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new().route(INTROSPECT_PATH, post(answer))
}

/// `POST /oauth2/introspect`: RFC 7662.
async fn answer(
    State(authority): State<Arc<Authority>>,
    from: ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Uncached<Introspection>, RefusedAnswer> {
    require_form(&headers)?;
    let query = parse_token_query(authorization(&headers)?, &body)?;
    Ok(Uncached(introspect(&authority, &query, from).await?))
}
