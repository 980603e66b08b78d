//! What Envoy is told to do.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use prost::Message as _;

use super::messages::{
    self, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpResponse, HttpStatus,
    OkHttpResponse, Status,
};

const APPEND: i32 = 0;
const OVERWRITE: i32 = 2;

// google.rpc.Code
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;

/// An answer. There is none by default, and none that says neither yes nor no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The request may pass. Of these headers, those with a value are written over what the client
    /// sent, and those without are taken from it.
    Allow(Vec<(HeaderName, HeaderValue)>),
    /// The client gets this status with these headers, and no body.
    Deny(StatusCode, HeaderMap),
}

impl Answer {
    /// The `CheckResponse`.
    pub fn encode(&self) -> Vec<u8> {
        self.response().encode_to_vec()
    }

    fn response(&self) -> CheckResponse {
        let (code, http_response) = match self {
            Self::Allow(identity) => (OK, HttpResponse::Ok(allowed(identity))),
            Self::Deny(status, headers) => (
                match status.as_u16() {
                    401 => UNAUTHENTICATED,
                    503 => UNAVAILABLE,
                    _ => PERMISSION_DENIED,
                },
                HttpResponse::Denied(denied(*status, headers)),
            ),
        };
        CheckResponse {
            status: Some(Status { code }),
            http_response: Some(http_response),
        }
    }
}

fn allowed(identity: &[(HeaderName, HeaderValue)]) -> OkHttpResponse {
    let mut response = OkHttpResponse::default();
    for (name, value) in identity {
        if value.is_empty() {
            // Envoy may leave out a header without a value, and with it the writing over.
            response.headers_to_remove.push(name.as_str().to_owned());
        } else {
            response.headers.push(option(name, value, OVERWRITE));
        }
    }
    response
}

fn denied(status: StatusCode, headers: &HeaderMap) -> DeniedHttpResponse {
    // What would let pass at the client is no denial.
    let status = if status.is_client_error() || status.is_server_error() || status.is_redirection()
    {
        status
    } else {
        StatusCode::FORBIDDEN
    };
    DeniedHttpResponse {
        status: Some(HttpStatus {
            code: i32::from(status.as_u16()),
        }),
        headers: headers
            .iter()
            .map(|(name, value)| option(name, value, APPEND))
            .collect(),
        body: String::new(),
    }
}

fn option(name: &HeaderName, value: &HeaderValue, append_action: i32) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(messages::HeaderValue {
            key: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            ..messages::HeaderValue::default()
        }),
        append_action,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allow_writes_over_what_has_a_value_and_takes_away_what_has_none() {
        let answer = Answer::Allow(vec![
            (
                HeaderName::from_static("x-auth-user"),
                HeaderValue::from_static("u"),
            ),
            (
                HeaderName::from_static("x-auth-org"),
                HeaderValue::from_static(""),
            ),
        ]);
        let response = CheckResponse::decode(&*answer.encode()).unwrap();
        assert_eq!(response.status, Some(Status { code: OK }));
        let Some(HttpResponse::Ok(ok)) = response.http_response else {
            panic!("an allow: {response:?}");
        };
        assert_eq!(ok.headers_to_remove, ["x-auth-org"]);
        assert_eq!(ok.headers.len(), 1);
        assert_eq!(ok.headers[0].append_action, OVERWRITE);
    }

    #[test]
    fn a_denial_has_a_code_and_a_status_that_deny_whatever_it_was_made_of() {
        for (status, code, told) in [
            (400, PERMISSION_DENIED, 400),
            (401, UNAUTHENTICATED, 401),
            (302, PERMISSION_DENIED, 302),
            (503, UNAVAILABLE, 503),
            (200, PERMISSION_DENIED, 403),
            (101, PERMISSION_DENIED, 403),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let bytes = Answer::Deny(status, HeaderMap::new()).encode();
            let response = CheckResponse::decode(&*bytes).unwrap();
            assert_eq!(response.status, Some(Status { code }));
            let Some(HttpResponse::Denied(denied)) = response.http_response else {
                panic!("a denial: {response:?}");
            };
            assert_eq!(denied.status, Some(HttpStatus { code: told }));
        }
    }
}
