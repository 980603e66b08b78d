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

use super::address;
use super::context::RequestId;
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

/// Says when to come again, in whole seconds (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &mut HeaderMap, wait: Duration) {
    headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
}
