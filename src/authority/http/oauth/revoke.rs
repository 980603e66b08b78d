//! The revocation endpoint.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::routing::post;

use crate::authority::app::Authority;
use crate::authority::oauth::revoke::{REVOKE_PATH, revoke};
use crate::authority::proxies::ClientAddress;
use crate::protocol::oauth::parse_token_query;

use super::cors::any_origin;
use super::form::{authorization, require_form};
use super::refused::RefusedAnswer;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(REVOKE_PATH, post(answer))
        .layer(from_fn(any_origin))
}

/// `POST /oauth2/revoke`: RFC 7009.
async fn answer(
    State(authority): State<Arc<Authority>>,
    from: ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, RefusedAnswer> {
    require_form(&headers)?;
    let query = parse_token_query(authorization(&headers)?, &body)?;
    revoke(&authority, &query, from).await?;
    Ok(StatusCode::OK)
}
