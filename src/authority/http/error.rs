//! Every refusal, as an RFC 9457 answer.

use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::authority::access::Denied;
use crate::crypto::sign::CLIENT_ALGORITHMS;
use crate::protocol::oauth::dpop::DPOP_NONCE;
use crate::protocol::problem::{PROBLEM_JSON, Problem};
use crate::store::StoreError;

/// What a handler answers instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    problem: Box<Problem>,
    headers: HeaderMap,
}

impl HttpError {
    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// 401 without a word on what was wrong with a credential (RFC 6750 §3). `presented` tells
    /// whether there was one.
    pub fn unauthenticated(presented: bool) -> Self {
        let challenge = if presented {
            "Bearer realm=\"doorward\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"doorward\""
        };
        Self::from(Problem::unauthenticated())
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 401: a better proof of possession is wanted (RFC 9449 §7.1, §9).
    pub fn unproved(error: &'static str, nonce: Option<&str>) -> Self {
        let algorithms = CLIENT_ALGORITHMS.join(" ");
        let challenge =
            format!("DPoP realm=\"doorward\", error=\"{error}\", algs=\"{algorithms}\"");
        let mut refused = Self::unauthenticated(true);
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            refused = refused.with_header(WWW_AUTHENTICATE, value);
        }
        match nonce.map(HeaderValue::from_str) {
            Some(Ok(nonce)) => refused.with_header(HeaderName::from_static(DPOP_NONCE), nonce),
            _ => refused,
        }
    }

    /// 308: the same request belongs to another path.
    pub fn moved(path: &str) -> Self {
        let problem = Problem::new(308, "moved", "this lives at another path now")
            .because(format!("repeat the request at `{path}`"));
        match HeaderValue::from_str(path) {
            Ok(location) => Self::from(problem).with_header(LOCATION, location),
            Err(_) => Self::from(problem),
        }
    }

    /// The answer's body.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl From<Problem> for HttpError {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            headers: HeaderMap::new(),
        }
    }
}

impl From<Denied> for HttpError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound(_) => Problem::not_found(denied.to_string()).into(),
            Denied::Forbidden { ref permission } => Problem::forbidden(denied.to_string())
                .with("permission", permission.as_str())
                .into(),
            Denied::Scope { ref permission } => {
                let problem = Problem::new(
                    403,
                    "insufficient-scope",
                    "the token may not be used for this",
                )
                .because(denied.to_string())
                .with("permission", permission.as_str());
                Self::from(problem).with_header(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static(
                        "Bearer realm=\"doorward\", error=\"insufficient_scope\"",
                    ),
                )
            }
            Denied::Inactive => Self::unauthenticated(true),
            Denied::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        let passing = match &error {
            StoreError::Retry => Some("too many writes at once"),
            StoreError::Unavailable(_) => Some("the store cannot be reached"),
            StoreError::ReadOnly(_) => Some("the store cannot be written: nothing was"),
            _ => None,
        };
        // A conflict is run again; only the last one reaches the caller.
        if error != StoreError::Retry {
            tracing::error!(error = %error, "the store failed a request");
        }
        if error == StoreError::Full {
            return Self::from(Problem::disk_full());
        }
        match passing {
            Some(detail) => Self::from(Problem::unavailable(detail))
                .with_header(RETRY_AFTER, HeaderValue::from_static("1")),
            None => Problem::internal().into(),
        }
    }
}

/// A problem as an answer. The envelope adds the request's id, which only it knows.
pub(super) fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, body).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // The rest of the body is not read, so the connection ends: a client that is not told
        // would send its next request into it.
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = problem_response(&self.problem);
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(*self.problem);
        response
    }
}
