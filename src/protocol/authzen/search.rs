//! `POST /access/v1/search/{subject,resource,action}` and `POST /v1/plan`: who, what on, what.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use super::request::{self, Entity, Evaluation, Named, Paths, Request, RequestError, Verb};
use crate::domain::Freshness;

/// The largest page; a larger one that is asked for gets this.
pub const MAX_PAGE: u32 = 1000;

/// The page's size where none is asked for.
pub const DEFAULT_PAGE: u32 = 100;

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Who may do this?
    Subject,
    /// On what may this be done?
    Resource,
    /// What may be done?
    Action,
    /// Where may this be done, on which terms? (Ours: `POST /v1/plan`.)
    Plan,
}

impl Target {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Subject => 0,
            Self::Resource => 1,
            Self::Action => 2,
            Self::Plan => 3,
        }
    }

    pub(super) const fn of_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Subject,
            1 => Self::Resource,
            2 => Self::Action,
            3 => Self::Plan,
            _ => return None,
        })
    }
}

/// A search as sent.
#[derive(Debug)]
pub struct Search<'a> {
    evaluation: Evaluation<'a>,
    /// The size asked for, at most [`MAX_PAGE`].
    pub limit: Option<u32>,
    /// Where to go on.
    pub cursor: Option<Cursor>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, default)]
    token: Option<Cow<'a, str>>,
    #[serde(default)]
    limit: Option<u64>,
}

impl<'a> Search<'a> {
    /// Parses the body. What is missing is told by [`Self::complete`].
    ///
    /// # Errors
    ///
    /// [`RequestError`], HTTP 400: also for a page token that no search gave, and a size of 0.
    pub fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        let document = request::document(request::text(body)?, request::Form::Search)?;
        let malformed = |message: String| RequestError::Malformed(format!("`page`: {message}"));
        let page: Option<Page<'_>> = document
            .page
            .map(|page| serde_json::from_str(page.get()))
            .transpose()
            .map_err(|error| malformed(error.to_string()))?;
        let (token, limit) = page.map_or((None, None), |page| (page.token, page.limit));
        if limit == Some(0) {
            return Err(malformed("`limit` is 0".to_owned()));
        }
        let cursor = token
            .filter(|token| !token.is_empty())
            .map(|token| token.parse::<Cursor>())
            .transpose()
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            evaluation: document.request,
            limit: limit.map(|limit| u32::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE)),
            cursor,
        })
    }

    /// The question with its target left empty: what is sent of that is ignored, but for its type
    /// and properties.
    ///
    /// # Errors
    ///
    /// [`RequestError::Missing`] names the first member that is.
    pub fn complete(&self, target: Target) -> Result<Request<'_>, RequestError> {
        let Evaluation {
            subject,
            action,
            resource,
            context,
        } = &self.evaluation;
        let missing = |field| RequestError::Missing { field };
        let by_type = matches!(target, Target::Resource | Target::Plan);
        Ok(Request {
            subject: entity(
                subject.as_ref(),
                request::SUBJECT,
                target == Target::Subject,
            )?,
            action: if target == Target::Action {
                Verb {
                    name: "",
                    properties: None,
                }
            } else {
                let action = action.as_ref().ok_or_else(|| missing("action"))?;
                Verb {
                    name: action
                        .name
                        .as_deref()
                        .ok_or_else(|| missing("action.name"))?,
                    properties: action.properties,
                }
            },
            resource: entity(resource.as_ref(), request::RESOURCE, by_type)?,
            context: *context,
        })
    }
}

fn entity<'r>(
    sent: Option<&'r Entity<'_>>,
    paths: Paths,
    wanted: bool,
) -> Result<Named<'r>, RequestError> {
    let missing = |field| RequestError::Missing { field };
    let sent = sent.ok_or_else(|| missing(paths.whole))?;
    Ok(Named {
        kind: sent.kind.as_deref().ok_or_else(|| missing(paths.kind))?,
        id: if wanted {
            ""
        } else {
            sent.id.as_deref().ok_or_else(|| missing(paths.id))?
        },
        properties: sent.properties,
    })
}

/// A page of what was found.
#[derive(Debug, Serialize)]
pub struct SearchAnswer<'a, T> {
    /// Comes first: whoever reads the answer as a stream learns at once that it goes on.
    pub page: PageAnswer,
    /// How fresh, and what is to be known of the page.
    pub context: SearchContext<'a>,
    /// What was found, in order.
    pub results: Vec<T>,
}

/// Where a page ends.
#[derive(Debug, Serialize)]
pub struct PageAnswer {
    /// The token of the next page; empty when there is none.
    pub next_token: String,
    /// How many results this page has. Fewer than asked for does not mean that there are no more.
    pub count: usize,
}

/// What is to be known of a page.
#[derive(Debug, Serialize)]
pub struct SearchContext<'a> {
    revision: u64,
    staleness_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<Moved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Told<'a>>,
}

/// Whether the facts changed since the first page.
#[derive(Debug, Serialize)]
struct Moved {
    first_revision: u64,
    moved: bool,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
}

impl<'a> SearchContext<'a> {
    /// A page of facts this fresh; `moved` says of a later page whether they changed since.
    pub fn new(freshness: Freshness, cursor: Option<&Cursor>, moved: bool) -> Self {
        let millis = |staleness: std::time::Duration| {
            u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX)
        };
        Self {
            revision: freshness.revision.get(),
            staleness_ms: freshness.staleness.map(millis),
            pages: cursor.map(|cursor| Moved {
                first_revision: cursor.revision.get(),
                moved,
            }),
            reason: None,
        }
    }

    /// Adds why nothing is there.
    #[must_use]
    pub const fn because(mut self, reason: super::Reason<'a>) -> Self {
        self.reason = Some(Told {
            code: reason.code,
            message: reason.message,
        });
        self
    }
}

/// A subject or resource that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundEntity<'a> {
    /// Its type, as it was asked for.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// Its id; `*` stands for every resource of the type in its organization.
    pub id: String,
    /// Its organization, of resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<FoundProperties>,
}

/// What is known of a resource that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundProperties {
    /// Its organization's id.
    pub organization: String,
}

/// An action that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundAction {
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"subject":{"type":"user","id":"u"},"action":{"name":"read"},
        "resource":{"type":"a:b","id":"7"},"page":{"limit":5000,"x":1}}"#;

    #[test]
    fn what_is_searched_for_needs_its_type_only_and_the_rest_is_needed_whole() {
        let search = Search::parse(BODY.as_bytes()).unwrap();
        assert_eq!(search.limit, Some(MAX_PAGE));
        assert_eq!(search.complete(Target::Subject).unwrap().subject.id, "");
        assert_eq!(search.complete(Target::Resource).unwrap().resource.id, "");
        assert_eq!(search.complete(Target::Action).unwrap().action.name, "");
        for (cut, target, field) in [
            (r#","id":"u""#, Target::Resource, "subject.id"),
            (r#","id":"u""#, Target::Action, "subject.id"),
            (r#","id":"7""#, Target::Subject, "resource.id"),
            (r#","id":"7""#, Target::Action, "resource.id"),
            (r#""type":"user","#, Target::Subject, "subject.type"),
            (r#""type":"a:b","#, Target::Resource, "resource.type"),
            (r#""name":"read""#, Target::Subject, "action.name"),
            (r#""name":"read""#, Target::Resource, "action.name"),
        ] {
            let body = BODY.replace(cut, "");
            let search = Search::parse(body.as_bytes()).unwrap();
            let refused = search.complete(target).unwrap_err();
            assert_eq!(refused, RequestError::Missing { field }, "{target:?}");
        }
    }

    #[test]
    fn a_page_of_nothing_or_of_no_searchs_token_is_refused() {
        for page in [
            r#"{"limit":0}"#,
            r#"{"limit":-1}"#,
            r#"{"limit":"9"}"#,
            r#"{"token":"x"}"#,
            r#"{"token":5}"#,
            "[]",
        ] {
            let body = format!(r#"{{"page":{page}}}"#);
            let refused = Search::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains("page"), "{page}: {refused}");
        }
        let empty = Search::parse(br#"{"page":{"token":"","limit":3}}"#).unwrap();
        assert_eq!((empty.cursor, empty.limit), (None, Some(3)));
    }
}
