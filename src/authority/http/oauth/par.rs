//! The endpoint for pushed authorization requests (RFC 9126).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::http::credentials::Uncached;
use crate::authority::oauth::dpop;
use crate::authority::oauth::par::{self, NotPushed, PAR_PATH};
use crate::protocol::oauth::authorize::{Parameters, TooLarge};
use crate::protocol::oauth::dpop::{DPOP, DPOP_NONCE};
use crate::protocol::oauth::{Form, OAuthError, OAuthErrorCode, PresentedClient};

use super::admitted::Admitted;
use super::cors::any_origin;
use super::form::{authorization, require_form};
use super::refused::RefusedAnswer;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(PAR_PATH, post(push))
        .layer(from_fn(any_origin))
}

/// `POST /oauth2/par`
async fn push(
    State(authority): State<Arc<Authority>>,
    Admitted(from): Admitted,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, NotPushedAnswer> {
    require_form(&headers)?;
    let presented = PresentedClient::read(authorization(&headers)?, &mut Form::parse(&body)?)?;
    let parameters = Parameters::parse(&body).map_err(|TooLarge| {
        OAuthError::new(OAuthErrorCode::InvalidRequest, "the request is too large")
    })?;
    let pushed = par::push(&authority, &headers, &presented, &parameters, from).await?;
    let body = json!({
        "request_uri": pushed.request_uri.expose(),
        "expires_in": pushed.expires_in,
    });
    let mut response = (StatusCode::CREATED, Uncached(body)).into_response();
    if headers.contains_key(DPOP)
        && let Ok(nonce) = HeaderValue::from_str(&dpop::nonce(&authority))
    {
        response.headers_mut().insert(DPOP_NONCE, nonce);
    }
    Ok(response)
}

/// A refusal about to be answered.
struct NotPushedAnswer(NotPushed);

impl<E: Into<NotPushed>> From<E> for NotPushedAnswer {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for NotPushedAnswer {
    fn into_response(self) -> Response {
        match self.0 {
            NotPushed::Refused(refused) => RefusedAnswer::from(refused).into_response(),
            NotPushed::Request(error) => {
                let body = json!({
                    "error": error.code.as_str(),
                    "error_description": error.description,
                });
                (StatusCode::BAD_REQUEST, Uncached(body)).into_response()
            }
        }
    }
}
