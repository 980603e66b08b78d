//! Error answers: RFC 9457 `application/problem+json`.
//!
//! `type` is `urn:doorward:problem:<code>`, and `code` repeats its last part for programs that
//! branch on it. `errors` lists every mistake in what was sent, each with a JSON pointer
//! (RFC 6901), what was wrong and what is allowed.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What every problem's `type` begins with.
const TYPE_PREFIX: &str = "urn:doorward:problem:";

/// How much of a key a pointer shows, in characters. No key that is right anywhere is longer.
const KEY_SHOWN: usize = 200;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One mistake in what was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Mistake {
    /// Where it is: a JSON pointer into the body; empty for the whole.
    pub pointer: String,
    /// What is wrong, naming the value.
    pub detail: String,
    /// What would be right, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

impl Mistake {
    /// A mistake at `pointer`.
    pub fn new(pointer: impl fmt::Display, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.to_string(),
            detail: detail.into(),
            allowed: None,
        }
    }

    /// Adds what is allowed there.
    #[must_use]
    pub fn allowing(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() {
            "the document"
        } else {
            &self.pointer
        };
        write!(f, "{place}: {}", self.detail)?;
        match &self.allowed {
            Some(allowed) => write!(f, " (allowed: {allowed})"),
            None => Ok(()),
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words; the same for each problem of its kind.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// The last part of `type`, for programs.
    pub code: Cow<'static, str>,
    /// What happened this time, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request's id: support finds the log line by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Every mistake in what was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
    /// Further facts that programs may want, such as the holders of a role.
    #[serde(flatten, default)]
    pub extensions: Map<String, Value>,
}

impl Problem {
    /// A problem of the kind `code`, such as `role-still-held`.
    pub fn new(status: u16, code: &'static str, title: &'static str) -> Self {
        Self {
            kind: format!("{TYPE_PREFIX}{code}"),
            title: Cow::Borrowed(title),
            status,
            code: Cow::Borrowed(code),
            detail: None,
            instance: None,
            errors: Vec::new(),
            extensions: Map::new(),
        }
    }

    /// 400: the body or a parameter could not be read at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(400, "malformed-request", "the request cannot be read").because(detail)
    }

    /// 401: no credential, or one that is not valid. Says no more: which one it was is not for
    /// callers to learn.
    pub fn unauthenticated() -> Self {
        Self::new(401, "unauthenticated", "a valid access token is needed")
    }

    /// 403: known, but not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, "forbidden", "the caller may not do this").because(detail)
    }

    /// 404: it does not exist, or the caller may not see whether it does.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not-found", "there is no such thing").because(detail)
    }

    /// 409 of the kind `code`: right in itself, at odds with what is stored.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(409, code, "the request is at odds with the present state").because(detail)
    }

    /// 413: larger than the limit.
    pub fn too_large(max_bytes: usize) -> Self {
        Self::new(413, "too-large", "the body is too large")
            .because(format!("the body may have at most {max_bytes} bytes"))
    }

    /// 415: a body of another media type than the one wanted.
    pub fn unsupported_media_type(wanted: &'static str) -> Self {
        Self::new(
            415,
            "unsupported-media-type",
            "the body has the wrong media type",
        )
        .because(format!("send `Content-Type: {wanted}`"))
    }

    /// 422: readable, but wrong; `errors` lists where and why.
    pub fn invalid(errors: Vec<Mistake>) -> Self {
        let mut problem = Self::new(422, "invalid-request", "the request holds mistakes");
        problem.detail = Some(match errors.as_slice() {
            [only] => only.to_string(),
            several => format!("{} mistakes", several.len()),
        });
        problem.errors = errors;
        problem
    }

    /// 500: ours. The cause is in the log, never in the answer.
    pub fn internal() -> Self {
        Self::new(500, "internal", "something went wrong on our side")
    }

    /// 503: ask again later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, "unavailable", "the service cannot answer now").because(detail)
    }

    /// 507: nothing was written, and asking again helps only once somebody made room.
    pub fn disk_full() -> Self {
        Self::new(507, "disk-full", "the disk of the store is full")
            .because("nothing was written; reads go on")
    }

    /// Adds what happened this time.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the request's id.
    #[must_use]
    pub fn in_request(mut self, id: &str) -> Self {
        self.instance = Some(format!("urn:doorward:request:{id}"));
        self
    }

    /// Adds mistakes.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Mistake>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.code)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        Ok(())
    }
}

/// A JSON pointer (RFC 6901) under construction. Cheap to extend while walking down a document.
#[derive(Debug, Clone, Copy)]
pub struct Pointer<'a> {
    parent: Option<&'a Pointer<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl Pointer<'_> {
    /// The whole document.
    pub const ROOT: Pointer<'static> = Pointer {
        parent: None,
        step: Step::Root,
    };

    /// A member of the object at this place.
    pub const fn key<'b>(&'b self, key: &'b str) -> Pointer<'b> {
        Pointer {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    /// An element of the array at this place.
    pub const fn index(&self, index: usize) -> Pointer<'_> {
        Pointer {
            parent: Some(self),
            step: Step::Index(index),
        }
    }
}

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            fmt::Display::fmt(parent, f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => {
                // Every mistake below a key repeats it: a sender must not make megabytes of each.
                let start: String = key.chars().take(KEY_SHOWN).collect();
                let more = if start.len() < key.len() { "…" } else { "" };
                let start = start.replace('~', "~0").replace('/', "~1");
                write!(f, "/{start}{more}")
            }
            Step::Index(index) => write!(f, "/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_rfc_9457_wants_it() {
        let problem = Problem::conflict("role-still-held", "3 members hold it")
            .in_request("r1")
            .with("holders", 3);
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:doorward:problem:role-still-held",
                "title": "the request is at odds with the present state",
                "status": 409,
                "code": "role-still-held",
                "detail": "3 members hold it",
                "instance": "urn:doorward:request:r1",
                "holders": 3,
            })
        );
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }

    #[test]
    fn a_pointer_escapes_what_rfc_6901_escapes() {
        let roles = Pointer::ROOT.key("permissions");
        let pods = roles.key("pods/log~x");
        assert_eq!(pods.index(3).to_string(), "/permissions/pods~1log~0x/3");
        assert_eq!(Pointer::ROOT.to_string(), "");
        let long = "k".repeat(1_000_000);
        let cut = Pointer::ROOT.key(&long).to_string();
        assert_eq!(cut, format!("/{}…", "k".repeat(KEY_SHOWN)));
    }

    #[test]
    fn a_single_mistake_is_told_in_the_detail() {
        let problem = Problem::invalid(vec![
            Mistake::new("/slug", "`A b` is not a slug").allowing("lower-case letters"),
        ]);
        assert_eq!(
            problem.detail.as_deref(),
            Some("/slug: `A b` is not a slug (allowed: lower-case letters)")
        );
    }
}
