//! Many questions at once: defaults, order, and when to stop.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::request::{self, Entity, Evaluation, Named, Paths, Request, RequestError, Verb};
use crate::domain::Decision;

/// The most questions one request may ask.
pub const MAX_EVALUATIONS: usize = 1000;

/// The most bytes of defaults that all items together read: each item reads them anew, so a body of
/// a MiB could else ask for a thousand of them.
const MAX_SHARED_BYTES: usize = 8 * 1024 * 1024;

/// `options.evaluations_semantic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantic {
    /// Every item is answered.
    #[default]
    ExecuteAll,
    /// Ends right after the first deny.
    DenyOnFirstDeny,
    /// Ends right after the first permit.
    PermitOnFirstPermit,
}

impl Semantic {
    /// Whether the answers end with this one.
    pub const fn ends_with(self, decision: Decision) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision.is_allow(),
            Self::PermitOnFirstPermit => decision.is_allow(),
        }
    }
}

/// The body of `POST /access/v1/evaluations`.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The top-level members: the whole question when there are no items, defaults otherwise.
    pub defaults: Evaluation<'a>,
    items: Vec<&'a RawValue>,
    /// When to stop.
    pub semantic: Semantic,
}

#[derive(Deserialize)]
struct Options<'a> {
    #[serde(borrow, default)]
    evaluations_semantic: Option<Cow<'a, str>>,
}

impl<'a> Batch<'a> {
    /// Parses the body.
    ///
    /// # Errors
    ///
    /// [`RequestError`], HTTP 400: also for an unknown semantic. A bad item spoils itself only.
    pub fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        let document = request::document(request::text(body)?, request::Form::Batch)?;
        let semantic = document.options.map_or(Ok(Semantic::default()), semantic)?;
        let (defaults, items) = (document.request, document.items.unwrap_or_default());
        let shared = unread_bytes(&defaults);
        if shared.saturating_mul(items.len()) > MAX_SHARED_BYTES {
            return Err(RequestError::Malformed(format!(
                "`properties` and `context` of the defaults have {shared} bytes: too many for {} \
                 items",
                items.len()
            )));
        }
        Ok(Self {
            defaults,
            items,
            semantic,
        })
    }

    /// How many items there are; with none, the answer has the form of a single evaluation.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items in order, each on its own: one that cannot be read does not spoil the others.
    pub fn items(&self) -> impl Iterator<Item = Result<Evaluation<'a>, RequestError>> {
        self.items.iter().map(|raw| {
            request::document(raw.get(), request::Form::Single).map(|document| document.request)
        })
    }
}

fn unread_bytes(defaults: &Evaluation<'_>) -> usize {
    [
        defaults.subject.as_ref().and_then(|one| one.properties),
        defaults.action.as_ref().and_then(|one| one.properties),
        defaults.resource.as_ref().and_then(|one| one.properties),
        defaults.context,
    ]
    .into_iter()
    .flatten()
    .map(|raw| raw.get().len())
    .sum()
}

fn semantic(options: &RawValue) -> Result<Semantic, RequestError> {
    let options: Options<'_> = serde_json::from_str(options.get())
        .map_err(|error| RequestError::Malformed(format!("`options`: {error}")))?;
    match options.evaluations_semantic.as_deref() {
        None | Some("execute_all") => Ok(Semantic::ExecuteAll),
        Some("deny_on_first_deny") => Ok(Semantic::DenyOnFirstDeny),
        Some("permit_on_first_permit") => Ok(Semantic::PermitOnFirstPermit),
        Some(other) => Err(RequestError::Malformed(format!(
            "`options.evaluations_semantic` is `{}`: `execute_all`, `deny_on_first_deny` or \
             `permit_on_first_permit` is wanted",
            other.chars().take(60).collect::<String>()
        ))),
    }
}

/// An item with what it takes from the defaults.
///
/// A member of the item replaces the default's member whole. With `fill`, a `type`, `id` or `name`
/// that the item's member lacks is taken from the default's; `properties` never are.
///
/// # Errors
///
/// [`RequestError::Missing`].
pub fn resolve<'r>(
    defaults: &'r Evaluation<'_>,
    item: &'r Evaluation<'_>,
    fill: bool,
) -> Result<Request<'r>, RequestError> {
    let subject = entity(
        item.subject.as_ref(),
        defaults.subject.as_ref(),
        fill,
        request::SUBJECT,
    )?;
    let own = item.action.as_ref();
    let default = defaults.action.as_ref();
    let action = own
        .or(default)
        .ok_or(RequestError::Missing { field: "action" })?;
    let spare = default.filter(|_| fill);
    let name = action
        .name
        .as_deref()
        .or_else(|| spare.and_then(|spare| spare.name.as_deref()))
        .ok_or(RequestError::Missing {
            field: "action.name",
        })?;
    Ok(Request {
        subject,
        action: Verb {
            name,
            properties: action.properties,
        },
        resource: entity(
            item.resource.as_ref(),
            defaults.resource.as_ref(),
            fill,
            request::RESOURCE,
        )?,
        context: item.context.or(defaults.context),
    })
}

fn entity<'r>(
    own: Option<&'r Entity<'_>>,
    default: Option<&'r Entity<'_>>,
    fill: bool,
    paths: Paths,
) -> Result<Named<'r>, RequestError> {
    let missing = |field| RequestError::Missing { field };
    let chosen = own.or(default).ok_or_else(|| missing(paths.whole))?;
    let spare = default.filter(|_| fill);
    let kind = chosen
        .kind
        .as_deref()
        .or_else(|| spare.and_then(|spare| spare.kind.as_deref()));
    let id = chosen
        .id
        .as_deref()
        .or_else(|| spare.and_then(|spare| spare.id.as_deref()));
    Ok(Named {
        kind: kind.ok_or_else(|| missing(paths.kind))?,
        id: id.ok_or_else(|| missing(paths.id))?,
        properties: chosen.properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: &str = r#""subject":{"type":"user","id":"u","properties":{"p":1}}"#;

    #[test]
    fn an_items_member_replaces_the_default_whole_and_properties_never_merge() {
        let body = format!(
            r#"{{{SUBJECT},"action":{{"name":"read"}},"context":{{"a":1}},
            "evaluations":[{{"subject":{{"type":"user","id":"v"}},"resource":{{"type":"a:b","id":"1"}},"context":{{"b":2}}}}]}}"#
        );
        let batch = Batch::parse(body.as_bytes()).unwrap();
        let item = batch.items().next().unwrap().unwrap();
        let request = resolve(&batch.defaults, &item, true).unwrap();
        assert_eq!((request.subject.id, request.action.name), ("v", "read"));
        assert!(request.subject.properties.is_none());
        assert_eq!(request.context.unwrap().get(), r#"{"b":2}"#);
    }

    #[test]
    fn a_missing_type_is_filled_from_the_default_only_where_that_is_configured() {
        let body = format!(
            r#"{{{SUBJECT},"action":{{"name":"read"}},"resource":{{"type":"a:b","properties":{{"x":1}}}},
            "evaluations":[{{"resource":{{"id":"1"}}}}]}}"#
        );
        let batch = Batch::parse(body.as_bytes()).unwrap();
        let item = batch.items().next().unwrap().unwrap();
        let filled = resolve(&batch.defaults, &item, true).unwrap();
        assert_eq!(filled.resource.kind, "a:b");
        assert!(filled.resource.properties.is_none());
        assert_eq!(
            resolve(&batch.defaults, &item, false).unwrap_err(),
            RequestError::Missing {
                field: "resource.type"
            }
        );
    }

    #[test]
    fn an_unknown_semantic_is_refused_and_the_known_ones_are_read() {
        for (text, wanted) in [
            ("execute_all", Semantic::ExecuteAll),
            ("deny_on_first_deny", Semantic::DenyOnFirstDeny),
            ("permit_on_first_permit", Semantic::PermitOnFirstPermit),
        ] {
            let body = format!(r#"{{"options":{{"evaluations_semantic":"{text}","x":1}}}}"#);
            assert_eq!(Batch::parse(body.as_bytes()).unwrap().semantic, wanted);
        }
        for bad in [
            r#"{"options":{"evaluations_semantic":"some"}}"#,
            r#"{"options":{"evaluations_semantic":5}}"#,
            r#"{"options":[]}"#,
            r#"{"evaluations":{}}"#,
        ] {
            assert!(Batch::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_item_that_cannot_be_read_does_not_spoil_the_others() {
        let body = r#"{"evaluations":[5,{"subject":"x"},{"subject":{"type":"user","id":"u"}}]}"#;
        let batch = Batch::parse(body.as_bytes()).unwrap();
        let read: Vec<bool> = batch.items().map(|item| item.is_ok()).collect();
        assert_eq!(read, [false, false, true]);
    }

    #[test]
    fn a_batch_has_a_bounded_number_of_items() {
        let body = |items: usize| format!(r#"{{"evaluations":[{}]}}"#, vec!["{}"; items].join(","));
        assert!(Batch::parse(body(MAX_EVALUATIONS).as_bytes()).is_ok());
        assert!(matches!(
            Batch::parse(body(MAX_EVALUATIONS + 1).as_bytes()),
            Err(RequestError::TooMany { .. })
        ));
    }

    #[test]
    fn large_defaults_are_not_multiplied_by_many_items() {
        let body = |bytes: usize, items: usize| {
            format!(
                r#"{{"context":{{"a":"{}"}},"evaluations":[{}]}}"#,
                "x".repeat(bytes),
                vec!["{}"; items].join(",")
            )
        };
        assert!(Batch::parse(body(900_000, 3).as_bytes()).is_ok());
        assert!(Batch::parse(body(8_000, MAX_EVALUATIONS).as_bytes()).is_ok());
        let large = body(900_000, MAX_EVALUATIONS);
        let refused = Batch::parse(large.as_bytes());
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("too many for 1000 items")
        );
    }

    #[test]
    fn the_semantics_end_right_after_the_item_that_triggers_them() {
        let ends =
            |semantic: Semantic| [Decision::Allow, Decision::Deny].map(|d| semantic.ends_with(d));
        assert_eq!(ends(Semantic::ExecuteAll), [false, false]);
        assert_eq!(ends(Semantic::DenyOnFirstDeny), [false, true]);
        assert_eq!(ends(Semantic::PermitOnFirstPermit), [true, false]);
    }
}
