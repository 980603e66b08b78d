//! The original request, as a proxy tells it.

use std::borrow::Cow;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::dialect::Dialect;
use super::host::{HostError, canonical_host};
use super::path::{CanonicalPath, PathError};

/// The headers by which an app behind a proxy learns who asks, in lower case. An allow sets every one
/// of them, to nothing where there is nothing, so that the proxy writes over what the client sent.
pub const IDENTITY_HEADERS: [&str; 3] = ["x-auth-user", "x-auth-client", "x-auth-org"];

/// Headers that tell a program behind of another request than the one that was asked about: those in
/// which the dialects tell theirs, and those by which some frameworks are given another path or
/// method. Whoever sends one that its dialect does not read is refused.
pub const STEERING_HEADERS: [&str; 13] = [
    "x-original-method",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-method",
    "x-forwarded-uri",
    "doorward-method",
    "doorward-host",
    "doorward-uri",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// Why the original request cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ReadError {
    /// A header that the dialect needs is missing: the proxy is configured wrongly.
    #[error("`{0}` is missing: does the proxy use the shipped configuration?")]
    Missing(&'static str),
    /// A header that may stand once stands twice.
    #[error("`{0}` stands twice")]
    Twice(&'static str),
    /// A header of another dialect, or one that steers the program behind.
    #[error("`{0}` does not belong to this request")]
    Foreign(&'static str),
    /// A header that programs behind take for another one, `_` being `-` to them.
    #[error("a header is a twin of `{0}`, with `_`")]
    Twin(&'static str),
    /// `Connection` would have the proxy take a header away that the decision rests on.
    #[error("`Connection` names `{0}`")]
    HopByHop(&'static str),
    /// The value is no text, or no method.
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The path.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// The original request.
#[derive(Debug, Clone)]
pub struct Original<'a> {
    /// Its method, case kept.
    pub method: &'a str,
    /// Its host, without port, in lower case.
    pub host: Cow<'a, str>,
    /// Its path and query, as they were sent.
    pub target: &'a str,
    /// Its path.
    pub path: CanonicalPath<'a>,
    /// Its `Authorization`, if there is one.
    pub authorization: Option<&'a HeaderValue>,
    /// Its `DPoP`: the proof that its sender has the key of a token (RFC 9449 §4.1).
    pub proof: Option<&'a HeaderValue>,
    /// The method that a CORS preflight asks for (Fetch §3.2.2): the request is `OPTIONS` with
    /// `Origin` and without credentials.
    pub preflight: Option<&'a str>,
}

/// What is found in one pass over the headers.
#[derive(Default)]
struct Found<'a> {
    method: Option<&'a HeaderValue>,
    host: Option<&'a HeaderValue>,
    uri: Option<&'a HeaderValue>,
    authorization: Option<&'a HeaderValue>,
    proof: Option<&'a HeaderValue>,
    origin: Option<&'a HeaderValue>,
    requested_method: Option<&'a HeaderValue>,
}

/// Reads the original request out of what a proxy sent. `method` and `target` (path and query) are
/// those of the proxy's own request, and mean something to Envoy's dialects only: `target` is then
/// what stands behind the prefix, or what the message tells.
///
/// # Errors
///
/// [`ReadError`]; the request is refused.
pub fn read<'a>(
    dialect: Dialect,
    method: &'a Method,
    target: &'a str,
    headers: &'a HeaderMap,
) -> Result<Original<'a>, ReadError> {
    let found = scan(dialect, headers)?;
    let family = dialect.family();
    let (method, host, uri) = match family {
        Some(family) => (
            text(found.method, family.method)?,
            text(found.host, family.host)?,
            text(found.uri, family.uri)?,
        ),
        None => (method.as_str(), text(found.host, "host")?, target),
    };
    if !is_token(method) {
        return Err(ReadError::Malformed(
            family.map_or("method", |one| one.method),
        ));
    }
    let preflight = match (found.origin, found.requested_method) {
        (Some(_), Some(requested)) if method == "OPTIONS" && found.authorization.is_none() => {
            Some(text(Some(requested), "access-control-request-method")?)
        }
        _ => None,
    };
    Ok(Original {
        method,
        host: canonical_host(host)?,
        target: uri,
        path: CanonicalPath::parse(uri)?,
        authorization: found.authorization,
        proof: found.proof,
        preflight,
    })
}

fn scan(dialect: Dialect, headers: &HeaderMap) -> Result<Found<'_>, ReadError> {
    let mut found = Found::default();
    let family = dialect.family();
    let host = family.map_or("host", |family| family.host);
    for (name, value) in headers {
        let name = name.as_str();
        let (slot, own) = match name {
            "authorization" => (&mut found.authorization, "authorization"),
            "dpop" => (&mut found.proof, "dpop"),
            "origin" => (&mut found.origin, "origin"),
            "access-control-request-method" => {
                (&mut found.requested_method, "access-control-request-method")
            }
            "connection" => {
                hop_by_hop(value)?;
                continue;
            }
            _ if name == host => (&mut found.host, host),
            _ => match family {
                Some(family) if name == family.method => (&mut found.method, family.method),
                Some(family) if name == family.uri => (&mut found.uri, family.uri),
                _ => {
                    foreign(name)?;
                    continue;
                }
            },
        };
        if slot.replace(value).is_some() {
            return Err(ReadError::Twice(own));
        }
    }
    Ok(found)
}

/// Names that nobody but the proxy, or nobody at all, may send. An identity header itself may come:
/// the answer writes over it.
fn foreign(name: &str) -> Result<(), ReadError> {
    if let Some(known) = STEERING_HEADERS.iter().find(|known| **known == name) {
        return Err(ReadError::Foreign(known));
    }
    if name.contains('_')
        && let Some(known) = guarded().find(|known| is_twin(name, known))
    {
        return Err(ReadError::Twin(known));
    }
    Ok(())
}

/// What a decision rests on.
fn guarded() -> impl Iterator<Item = &'static str> {
    IDENTITY_HEADERS.into_iter().chain(STEERING_HEADERS).chain([
        "x-forwarded-host",
        "x-forwarded-proto",
        "authorization",
        "dpop",
    ])
}

/// Whether programs behind take a header of this name for the known one, `_` being `-` to them.
pub fn is_twin(name: &str, known: &str) -> bool {
    name.len() == known.len()
        && name
            .bytes()
            .zip(known.bytes())
            .all(|(one, other)| one == other || (one == b'_' && other == b'-'))
}

/// Whether `Connection` would have a proxy take this header away before the program behind sees it.
pub fn is_hop_by_hop(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|token| {
            token
                .trim_ascii()
                .eq_ignore_ascii_case(name.as_str().as_bytes())
        })
    })
}

fn hop_by_hop(value: &HeaderValue) -> Result<(), ReadError> {
    for token in value.as_bytes().split(|byte| *byte == b',') {
        let token = token.trim_ascii();
        if let Some(known) = guarded().find(|known| token.eq_ignore_ascii_case(known.as_bytes())) {
            return Err(ReadError::HopByHop(known));
        }
    }
    Ok(())
}

fn text<'a>(value: Option<&'a HeaderValue>, name: &'static str) -> Result<&'a str, ReadError> {
    let value = value.ok_or(ReadError::Missing(name))?;
    value.to_str().map_err(|_| ReadError::Malformed(name))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
