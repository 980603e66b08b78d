//! What a request's headers ask for, read in one pass.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::domain::FreshnessToken;
use crate::protocol::problem::Problem;
use crate::runtime::config::parse_duration;
use crate::sidecar::decision_log::{Asker, Door};

/// The longest request id that is echoed.
const REQUEST_ID_MAX: usize = 256;

/// The headers that mean something here.
#[derive(Debug, Default)]
pub(super) struct Head<'h> {
    pub(super) host: Option<&'h HeaderValue>,
    pub(super) hosts: usize,
    pub(super) content_type: Option<&'h HeaderValue>,
    pub(super) authorization: Option<&'h HeaderValue>,
    pub(super) request_id: Option<&'h HeaderValue>,
    pub(super) at_least: Option<&'h HeaderValue>,
    pub(super) max_staleness: Option<&'h HeaderValue>,
    pub(super) explain: bool,
    /// Not a header: the user at the other end of a Unix socket.
    pub(super) uid: Option<u32>,
}

impl<'h> Head<'h> {
    pub(super) fn read(headers: &'h HeaderMap) -> Self {
        let mut head = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "host" => {
                    head.host = Some(value);
                    head.hosts += 1;
                }
                "content-type" => head.content_type = Some(value),
                "authorization" => head.authorization = Some(value),
                "x-request-id" if value.len() <= REQUEST_ID_MAX => head.request_id = Some(value),
                "doorward-at-least" => head.at_least = Some(value),
                "doorward-max-staleness" => head.max_staleness = Some(value),
                "doorward-explain" => {
                    head.explain = value.as_bytes().eq_ignore_ascii_case(b"true");
                }
                _ => {}
            }
        }
        head
    }

    /// Who asks at a door, as far as the head tells.
    pub(super) fn asker(&self, door: Door) -> Asker<'h> {
        Asker {
            door,
            uid: self.uid,
            request_id: self.request_id.and_then(|id| id.to_str().ok()),
            ..Asker::default()
        }
    }

    /// Whether the body says that it is JSON, with or without parameters.
    pub(super) fn is_json(&self) -> bool {
        let Some(value) = self.content_type else {
            return false;
        };
        let value = value.as_bytes();
        if value == b"application/json" {
            return true;
        }
        let essence = value.split(|byte| *byte == b';').next().unwrap_or(value);
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    }

    /// Refuses a body that says that it is something else.
    pub(super) fn expect_json(&self) -> Result<(), Box<Problem>> {
        if self.is_json() {
            Ok(())
        } else {
            Err(Problem::malformed("send `Content-Type: application/json`").into())
        }
    }

    /// The name in `Host`, without its port, in lower case.
    pub(super) fn host_name(&self) -> Option<String> {
        self.host?.to_str().ok().map(name)
    }
}

/// The name in an authority, without its port, in lower case.
pub(super) fn name(authority: &str) -> String {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    name.to_ascii_lowercase()
}

/// A freshness token, from a header or a query.
pub(super) fn freshness_token(text: &[u8]) -> Result<FreshnessToken, Box<Problem>> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            Problem::malformed(format!(
                "`at least`: {}",
                crate::domain::change::InvalidFreshnessToken
            ))
            .into()
        })
}

/// A maximum staleness, such as `2s` or `500ms`.
pub(super) fn staleness(text: &[u8]) -> Result<Duration, Box<Problem>> {
    let text = std::str::from_utf8(text).unwrap_or("?");
    parse_duration(text)
        .map_err(|message| Problem::malformed(format!("maximum staleness: {message}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn json_is_recognised_with_parameters_and_nothing_else_is() {
        for (value, wanted) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON", true),
            ("text/plain", false),
            ("application/jsonp", false),
        ] {
            let headers = with("content-type", value);
            assert_eq!(Head::read(&headers).is_json(), wanted, "{value}");
        }
        assert!(!Head::read(&HeaderMap::new()).is_json());
    }

    #[test]
    fn a_hosts_name_is_told_without_its_port() {
        for (value, wanted) in [
            ("localhost", "localhost"),
            ("LOCALHOST:7181", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            let headers = with("host", value);
            assert_eq!(Head::read(&headers).host_name().as_deref(), Some(wanted));
        }
    }
}
