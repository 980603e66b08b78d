//! From what became of a request to the answer that the proxy understands.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;

use super::ask::Asked;
use super::challenge::challenge;
use super::outcome::DoorOutcome;
use crate::domain::{DecisionId, Freshness};
use crate::protocol::forward_auth::{Dialect, IDENTITY_HEADERS, STEERING_HEADERS};
use crate::sidecar::tokens::Verified;

const REASON: HeaderName = HeaderName::from_static("doorward-reason");
const REVISION: HeaderName = HeaderName::from_static("doorward-revision");
const DECISION_ID: HeaderName = HeaderName::from_static("doorward-decision-id");
const STALENESS: HeaderName = HeaderName::from_static("doorward-staleness-ms");

/// The answer: always without a body, since nginx and Caddy open a connection for each that has one.
///
/// Exactly 200 allows; Envoy takes no other. nginx knows 401 and 403 besides and makes 500 of the
/// rest, which is right for 503 and is why a malformed request is 403 there.
pub(in crate::sidecar) fn answer(
    dialect: Dialect,
    asked: &Asked,
    id: Option<DecisionId>,
) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::new()));
    *reply.status_mut() = StatusCode::from_u16(match asked.outcome {
        DoorOutcome::Allowed => 200,
        DoorOutcome::Anonymous | DoorOutcome::BadToken => 401,
        DoorOutcome::Login => dialect.login_status(),
        DoorOutcome::Malformed => dialect.malformed_status(),
        DoorOutcome::Unmatched | DoorOutcome::Denied => 403,
        DoorOutcome::Unsure | DoorOutcome::Late => 503,
    })
    .unwrap_or(StatusCode::FORBIDDEN);
    let headers = reply.headers_mut();
    headers.reserve(9);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REASON, HeaderValue::from_static(asked.reason));
    if let Some(freshness) = asked.freshness {
        tell(freshness, headers);
    }
    if let Some(text) = challenge(asked) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(text));
    }
    if let Some(Ok(id)) = id.map(|id| HeaderValue::from_bytes(&id.text())) {
        headers.insert(DECISION_ID, id);
    }
    match asked.outcome {
        DoorOutcome::Allowed => identify(asked, headers),
        DoorOutcome::Login => {
            // For people, who have no keys.
            if dialect.login_status() == 401 {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            let location = asked.login.as_deref().map(HeaderValue::from_str);
            if let Some(Ok(location)) = location {
                headers.insert(LOCATION, location);
            }
        }
        DoorOutcome::Unsure | DoorOutcome::Late => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    reply
}

fn tell(freshness: Freshness, headers: &mut HeaderMap) {
    headers.insert(REVISION, freshness.revision.get().into());
    if let Some(ms) = freshness.staleness_ms() {
        headers.insert(STALENESS, ms.into());
    }
}

/// Every identity header, so that the proxy writes over each that the client sent.
fn identify(asked: &Asked, headers: &mut HeaderMap) {
    let token = asked.token.as_deref();
    let user = token.and_then(Verified::user).map(|id| id.to_string());
    let client = token.map(|token| token.client.as_str());
    let organization = asked.organization.map(|id| id.to_string());
    let values = [user.as_deref(), client, organization.as_deref()];
    for (name, value) in IDENTITY_HEADERS.into_iter().zip(values) {
        let value = value.and_then(|text| HeaderValue::from_str(text).ok());
        headers.insert(
            HeaderName::from_static(name),
            value.unwrap_or(HeaderValue::from_static("")),
        );
    }
}

/// What `GET /forward-auth` says: the headers that every allow sets, and those that a proxy strips
/// from what clients send.
pub(in crate::sidecar) fn headers_document() -> Response<Full<Bytes>> {
    let body = serde_json::json!({
        "identity": IDENTITY_HEADERS,
        "strip": STEERING_HEADERS,
        "dialects": Dialect::ALL.map(Dialect::name),
    });
    let mut reply = Response::new(Full::new(body.to_string().into()));
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}
