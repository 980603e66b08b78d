//! From a `CheckRequest` to the request that it is about.

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use prost::Message as _;

use super::messages::{CheckRequest, HttpRequest};

/// The path of the one method that is spoken.
pub const CHECK_PATH: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Why a `CheckRequest` tells no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ToldError {
    /// It is none.
    #[error("the message is no `CheckRequest`")]
    Message,
    /// `attributes.request.http` is missing.
    #[error("`attributes.request.http` is missing")]
    NoRequest,
    /// The method is no token.
    #[error("the method is malformed")]
    Method,
    /// `query` and `fragment` are always empty: Envoy tells both in `path`.
    #[error("`query` or `fragment` is set")]
    Apart,
    /// Headers are told in `headers` and in `header_map`.
    #[error("`headers` and `header_map` are both set")]
    BothMaps,
    /// A header's name or value is none, or there are too many.
    #[error("a header is malformed")]
    Header,
    /// A pseudo-header or `Host` says something else than the request's own field.
    #[error("`{0}` is not what the request's own field says")]
    Contradiction(&'static str),
}

/// A request as Envoy tells it: for `forward_auth::read` in Envoy's dialect, with the host in `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers. Those that stood twice stand twice if Envoy sends them raw
    /// (`encode_raw_headers`), and are joined by commas otherwise.
    pub headers: HeaderMap,
}

impl Told {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`ToldError`]; the request is refused.
    pub fn decode(message: &[u8]) -> Result<Self, ToldError> {
        let request = CheckRequest::decode(message).map_err(|_| ToldError::Message)?;
        let http = request
            .attributes
            .and_then(|attributes| attributes.request)
            .and_then(|request| request.http)
            .ok_or(ToldError::NoRequest)?;
        if !http.query.is_empty() || !http.fragment.is_empty() {
            return Err(ToldError::Apart);
        }
        let headers = headers(&http)?;
        Ok(Self {
            method: Method::from_bytes(http.method.as_bytes()).map_err(|_| ToldError::Method)?,
            target: http.path,
            headers,
        })
    }
}

fn headers(http: &HttpRequest) -> Result<HeaderMap, ToldError> {
    let raw = http.header_map.as_ref().map(|map| &map.headers);
    if raw.is_some_and(|raw| !raw.is_empty()) && !http.headers.is_empty() {
        return Err(ToldError::BothMaps);
    }
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(&http.host).map_err(|_| ToldError::Header)?;
    headers.insert(HOST, host);
    for entry in &http.headers {
        add(&mut headers, http, &entry.key, entry.value.as_bytes())?;
    }
    for header in raw.into_iter().flatten() {
        // One of the two is set, and empty ones are the same.
        let ((value, []) | ([], value)) = (header.value.as_bytes(), &*header.raw_value) else {
            return Err(ToldError::Header);
        };
        add(&mut headers, http, &header.key, value)?;
    }
    Ok(headers)
}

fn add(
    headers: &mut HeaderMap,
    http: &HttpRequest,
    name: &str,
    value: &[u8],
) -> Result<(), ToldError> {
    let same = |own: &str, name| {
        (value == own.as_bytes())
            .then_some(())
            .ok_or(ToldError::Contradiction(name))
    };
    match name {
        ":method" => same(&http.method, ":method"),
        ":path" => same(&http.path, ":path"),
        ":authority" => same(&http.host, ":authority"),
        _ if name.eq_ignore_ascii_case("host") => same(&http.host, "host"),
        // The scheme, the protocol of an extended CONNECT: nothing rests on them.
        _ if name.starts_with(':') => Ok(()),
        _ => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ToldError::Header)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| ToldError::Header)?;
            headers
                .try_append(name, value)
                .map(drop)
                .map_err(|_| ToldError::Header)
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
