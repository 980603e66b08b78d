//! Requests of anybody, unless their address asks too much: the extractors that count them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::protocol::problem::Problem;

use super::address;
use super::context::RequestId;
use super::error::HttpError;
use super::pages::{ErrorKind, ErrorPage, Locale, respond};

/// A browser's request that is not one too many; whoever asks too much gets a page that says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admitted(pub(super) ClientAddress);

impl FromRequestParts<Arc<Authority>> for Admitted {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, Response> {
        admitted(parts, authority).map(Self)
    }
}

/// A program's request that is not one too many; whoever asks too much gets a problem that says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdmittedCall(pub(super) ClientAddress);

impl FromRequestParts<Arc<Authority>> for AdmittedCall {
    type Rejection = HttpError;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, HttpError> {
        let from = address::of_parts(parts, authority);
        let Err(wait) = authority.load.admit(from) else {
            return Ok(Self(from));
        };
        let problem = Problem::new(429, "too-many-requests", "too many requests")
            .because("this address asks too much; `Retry-After` says when to come again");
        Err(HttpError::from(problem).with_header(RETRY_AFTER, seconds(wait)))
    }
}

/// Where a browser's request came from, once it is counted.
///
/// # Errors
///
/// The page for whoever asks too much.
#[expect(
    clippy::result_large_err,
    reason = "made once a request, and answered with at once"
)]
pub(super) fn admitted(parts: &Parts, authority: &Authority) -> Result<ClientAddress, Response> {
    let from = address::of_parts(parts, authority);
    match authority.load.admit(from) {
        Ok(()) => Ok(from),
        Err(wait) => Err(refusal(parts, authority, wait)),
    }
}

fn refusal(parts: &Parts, authority: &Authority, wait: Duration) -> Response {
    let id = parts.extensions.get::<RequestId>();
    let page = ErrorPage::new(ErrorKind::TooMany, id.map_or("", RequestId::as_str));
    let locale = Locale::of(&parts.headers);
    let mut response = respond(page.render(locale, &authority.config.brand));
    retry_after(response.headers_mut(), wait);
    response
}

fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs() + 1)
}

/// Says when to come again, in whole seconds (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &mut HeaderMap, wait: Duration) {
    headers.insert(RETRY_AFTER, seconds(wait));
}
