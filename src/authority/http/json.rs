//! Reading requests: bodies, queries and paths, with refusals that say where the mistake is.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path as Steps, Segment};

use crate::protocol::problem::{Mistake, Problem};
use crate::runtime::limits::BODY_BYTES;

use super::error::HttpError;

/// Objects and lists inside one another, in a body.
const MAX_DEPTH: usize = 16;

/// What the `PUT` of a declaration may ask for.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanQuery {
    /// Show the plan; write nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Carry out exactly the plan of this hash, or nothing.
    pub(super) plan: Option<String>,
}

/// A JSON body: `application/json` (or `+json`), UTF-8, at most [`BODY_BYTES`], no field unknown.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, _: &S) -> Result<Self, HttpError> {
        let (parts, body) = request.into_parts();
        let bytes = read_json(&parts.headers, body, BODY_BYTES).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a body that says it is JSON, of at most `max` bytes. Whether it is, is for a parser to
/// tell.
///
/// # Errors
///
/// 415, 413, or 400 when the connection broke.
pub(super) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Bytes, HttpError> {
    if !is_json(headers) {
        return Err(Problem::unsupported_media_type("application/json").into());
    }
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(Problem::too_large(max).into());
    }
    to_bytes(body, max).await.map_err(|error| {
        let too_large = std::error::Error::source(&error)
            .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if too_large {
            Problem::too_large(max).into()
        } else {
            Problem::malformed("the body could not be read to its end").into()
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) else {
        return false;
    };
    let media = value.split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

/// Reads a JSON document into `T`.
///
/// # Errors
///
/// 400 when it is none, 422 with the place of the first mistake.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, HttpError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::malformed(format!(
            "the body is not UTF-8 from byte {} on",
            error.valid_up_to()
        ))
    })?;
    if depth(text) > MAX_DEPTH {
        return Err(Problem::malformed(format!(
            "objects and lists may stand {MAX_DEPTH} deep inside one another"
        ))
        .into());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        mistake(error.inner(), pointer)
    })?;
    deserializer
        .end()
        .map_err(|error| mistake(&error, String::new()))?;
    Ok(value)
}

fn mistake(error: &serde_json::Error, pointer: String) -> HttpError {
    let text = error.to_string();
    match error.classify() {
        Category::Data => {
            let place = format!(" at line {} column {}", error.line(), error.column());
            let detail = text.strip_suffix(&place).unwrap_or(&text);
            Problem::invalid(vec![Mistake::new(pointer, detail)]).into()
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::malformed(format!("the body is not JSON: {text}")).into()
        }
    }
}

fn pointer(steps: &Steps) -> String {
    steps.iter().fold(String::new(), |mut pointer, step| {
        let text = match step {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => return pointer,
        };
        pointer.push('/');
        pointer.push_str(&text);
        pointer
    })
}

/// How deep objects and lists stand inside one another.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Query parameters, none unknown.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| Problem::malformed(error.body_text()).into())
    }
}

/// Captures of the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| Problem::malformed(error.body_text()).into())
    }
}

/// Reads a value out of a path or query.
///
/// # Errors
///
/// 400 with the value's own words.
pub(super) fn parse_text<T>(text: &str) -> Result<T, HttpError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Problem::malformed(error.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::organizations::CreateOrganization;

    fn refused(body: &[u8]) -> Problem {
        let error = parse::<CreateOrganization>(body).unwrap_err();
        error.problem().clone()
    }

    #[test]
    fn a_mistake_in_a_body_is_pointed_at() {
        for (body, status, pointer) in [
            (&br#"{"name": 5, "slug": "acme"}"#[..], 422, Some("/name")),
            (br#"{"name": "A", "slug": "A b"}"#, 422, Some("/slug")),
            (br#"{"name": "A", "slug": "ab", "x": 1}"#, 422, Some("/x")),
            (br#"{"name": "A"}"#, 422, Some("")),
            (
                br#"{"name": "A", "name": "B", "slug": "ab"}"#,
                422,
                Some(""),
            ),
            (br"[]", 422, Some("")),
            (br#"{"name": "A", "slug""#, 400, None),
            (br#"{"name": "A", "slug": "ab"} x"#, 400, None),
            (b"", 400, None),
            (b"{\"name\": \"\xFF\"}", 400, None),
        ] {
            let problem = refused(body);
            let text = String::from_utf8_lossy(body);
            assert_eq!(problem.status, status, "{text}: {problem}");
            assert_eq!(
                problem
                    .errors
                    .first()
                    .map(|mistake| mistake.pointer.as_str()),
                pointer,
                "{text}"
            );
        }
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_texts_do_not_count() {
        let deep = "[".repeat(100_000);
        assert_eq!(refused(deep.as_bytes()).status, 400);
        assert_eq!(depth(r#"{"a": "[[[\"[", "b": [[]]}"#), 3);
    }
}
