//! The userinfo endpoint.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::authority::app::Authority;
use crate::authority::credentials::{Actor, AuthError, authenticate_shown};
use crate::authority::http::HttpError;
use crate::authority::http::context::PresentedToken;
use crate::authority::http::credentials::Uncached;
use crate::authority::oauth::dpop;
use crate::authority::oauth::userinfo::{USERINFO_PATH, userinfo};
use crate::protocol::oauth::dpop::{DPOP, DPOP_NONCE};
use crate::protocol::problem::Problem;

use super::cors::any_origin;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(USERINFO_PATH, get(answer).post(answer))
        .layer(from_fn(any_origin))
}

/// `GET` or `POST /oauth2/userinfo`: the token comes in the header, or not at all (RFC 9700 §4.3.2).
async fn answer(
    State(authority): State<Arc<Authority>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let token = PresentedToken::read(&headers)?;
    let shown = token.shown(&headers, &method, USERINFO_PATH);
    let (actor, _) = authenticate_shown(&authority, shown).await?;
    let Actor::User {
        user_id, scopes, ..
    } = actor
    else {
        return Err(insufficient());
    };
    if !scopes.contains("openid") {
        return Err(insufficient());
    }
    let told = userinfo(&authority, user_id, &scopes)
        .await?
        .ok_or(AuthError::Revoked)?;
    let mut response = Uncached(told).into_response();
    if headers.contains_key(DPOP)
        && let Ok(nonce) = HeaderValue::from_str(&dpop::nonce(&authority))
    {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    Ok(response)
}

/// RFC 6750 §3.1.
fn insufficient() -> HttpError {
    let problem = Problem::new(
        403,
        "insufficient-scope",
        "the token may not be used for this",
    )
    .because("a user's token of scope `openid` is wanted");
    HttpError::from(problem).with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(
            "Bearer realm=\"doorward\", error=\"insufficient_scope\", scope=\"openid\"",
        ),
    )
}
