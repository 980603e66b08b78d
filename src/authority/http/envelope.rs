//! What surrounds every request: an id, a time limit, headers that browsers heed, and a readable
//! answer whatever goes wrong inside.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request as BodyRequest, State};
use axum::middleware::Next;
use axum::response::Response;
use foldhash::fast::RandomState;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use tracing::{Instrument, Level, Span};

use crate::authority::proxies::Proxies;
use crate::protocol::problem::Problem;
use crate::runtime::Entropy;
use crate::runtime::limits::{BODY_BYTES, MANIFEST_TIME, REQUEST_TIME};
use crate::runtime::serve::Peer;

use super::context::RequestId;
use super::error::problem_response;
use super::oauth::Ready;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the envelopes of one process share.
pub(super) struct Envelopes {
    /// Tells the ids of this process from those of others.
    origin: String,
    next: AtomicU64,
    proxies: Proxies,
    answered: Answered,
}

impl fmt::Debug for Envelopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelopes")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Envelopes {
    pub(super) fn new(entropy: &dyn Entropy, proxies: Proxies) -> Self {
        Self {
            origin: data_encoding::HEXLOWER.encode(&entropy.id_bits()),
            next: AtomicU64::new(0),
            proxies,
            answered: Answered::default(),
        }
    }

    /// What every line about a request says of it, where lines of debugging are wanted: its id, and
    /// the network that it came from.
    fn span<B>(&self, request: &Request<B>, id: &RequestId) -> Span {
        if !tracing::enabled!(Level::DEBUG) {
            return Span::none();
        }
        let peer = request.extensions().get::<Peer>().copied();
        let from = self.proxies.client(peer, request.headers()).network_text();
        tracing::debug_span!("request", request_id = id.as_str(), from)
    }

    /// The id that the caller gave, or a new one: unique, and no secret.
    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        let given = headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|text| {
                (1..=64).contains(&text.len())
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            });
        if let Some(given) = given {
            return RequestId::new(given);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        RequestId::new(&format!("{}-{number:x}", self.origin))
    }

    /// Wraps what is answered without any work.
    pub(super) fn around<B>(&self, request: &Request<B>, ready: Ready) -> Response {
        let id = self.request_id(request.headers());
        let mut response = Response::new(Body::from(ready.body));
        *response.headers_mut() = ready.headers;
        response.headers_mut().insert(X_REQUEST_ID, id.header());
        self.answered_in(
            &self.span(request, &id),
            request.method(),
            ready.route,
            &response,
        );
        response
    }

    /// Tells metrics and log of an answer.
    fn answered_in(&self, span: &Span, method: &Method, route: &str, response: &Response) {
        let status = response.status();
        self.answered.count(method_label(method), route, status);
        span.in_scope(|| tracing::debug!(%method, route, status = status.as_u16(), "answered"));
    }
}

/// Wraps a request.
pub(super) async fn envelope(
    State(envelopes): State<Arc<Envelopes>>,
    mut request: BodyRequest,
    next: Next,
) -> Response {
    let id = envelopes.request_id(request.headers());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("-", MatchedPath::as_str);
    let span = envelopes.span(&request, &id);
    let run = next.run(request).instrument(span.clone());
    let response = match tokio::time::timeout(time_for(route), run).await {
        Ok(response) => response,
        // A write may still commit: the caller has to look.
        Err(_) => problem_response(&Problem::unavailable("the request took too long")),
    };
    let mut response = readable(response, &id, &method);
    envelopes.answered_in(&span, &method, route, &response);
    decorate(response.headers_mut(), id.header());
    response
}

/// A manifest may change a role of a million members, in one transaction.
fn time_for(route: &str) -> Duration {
    if route.ends_with("/manifest") {
        MANIFEST_TIME
    } else {
        REQUEST_TIME
    }
}

/// Gives every refusal a body that names the request, also those made by libraries in plain text.
fn readable(response: Response, id: &RequestId, method: &Method) -> Response {
    if let Some(problem) = response.extensions().get::<Problem>() {
        let mut answer = problem_response(&problem.clone().in_request(id.as_str()));
        for (name, value) in response.headers() {
            if *name != CONTENT_TYPE && *name != http::header::CONTENT_LENGTH {
                answer.headers_mut().append(name.clone(), value.clone());
            }
        }
        return answer;
    }
    let status = response.status();
    let plain = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let problem = match status {
        StatusCode::NOT_FOUND => Problem::not_found("no route has this path"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(405, "method-not-allowed", "the path has no such method")
                .because(format!("`{method}` is not among the allowed methods"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(BODY_BYTES),
        _ if status.is_client_error() => Problem::malformed("the request cannot be read"),
        _ => Problem::internal(),
    };
    let mut answer = problem_response(&problem.in_request(id.as_str()));
    if status.is_client_error() {
        *answer.status_mut() = status;
    }
    if let Some(allow) = response.headers().get(ALLOW) {
        answer.headers_mut().insert(ALLOW, allow.clone());
    }
    answer
}

/// Counters of answers, found by what their labels are: making a label costs more than counting.
/// Methods and routes are of the code, so there are only so many.
#[derive(Default)]
struct Answered(RwLock<HashMap<(&'static str, u16), OfRoutes, RandomState>>);

type OfRoutes = HashMap<String, metrics::Counter, RandomState>;

impl Answered {
    fn count(&self, method: &'static str, route: &str, status: StatusCode) {
        let key = (method, status.as_u16());
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(&key).and_then(|routes| routes.get(route)) {
            counter.increment(1);
            return;
        }
        drop(known);
        let counter = metrics::counter!(
            "doorward_authority_requests_total",
            "method" => method,
            "route" => route.to_owned(),
            "status" => status.as_u16().to_string(),
        );
        counter.increment(1);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(key)
            .or_default()
            .insert(route.to_owned(), counter);
    }
}

/// Anybody can make methods up: those that are not ours share one counter.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Adds what every answer says.
pub(super) fn decorate(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(X_REQUEST_ID, id);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

/// What a panic in a handler answers: 500, the cause in the log.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the layer's"
)]
pub(super) fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    metrics::counter!("doorward_panics_total").increment(1);
    tracing::error!(cause = text, "a request handler panicked");
    let problem = Problem::internal();
    let mut response = problem_response(&problem);
    response.extensions_mut().insert(problem);
    response
}
