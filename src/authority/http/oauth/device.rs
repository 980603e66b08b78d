//! The device authorization endpoint.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;

use crate::authority::app::Authority;
use crate::authority::http::credentials::Uncached;
use crate::authority::oauth::device::{DEVICE_AUTHORIZATION_PATH, start};
use crate::protocol::oauth::device::{DeviceResponse, parse_device_request};

use super::admitted::Admitted;
use super::form::{authorization, require_form};
use super::refused::RefusedAnswer;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new().route(DEVICE_AUTHORIZATION_PATH, post(answer))
}

/// `POST /oauth2/device_authorization`: RFC 8628 §3.1.
async fn answer(
    State(authority): State<Arc<Authority>>,
    Admitted(from): Admitted,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Uncached<DeviceResponse>, RefusedAnswer> {
    require_form(&headers)?;
    let request = parse_device_request(authorization(&headers)?, &body)?;
    Ok(Uncached(start(&authority, request, from).await?))
}
