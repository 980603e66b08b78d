//! One question: subject, action, resource and context.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How deep `properties` and `context` may nest where they are read.
const MAX_DEPTH: usize = 32;

/// Why a request was refused: HTTP 400 (or 403), or an error of its item inside a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No body at all.
    #[error("the body is empty: a JSON object is wanted")]
    Empty,
    /// Not text.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Not JSON, or a member of the wrong type, or one that stands twice.
    #[error("{0}")]
    Malformed(String),
    /// A required member is absent (or `null`).
    #[error("`{field}` is missing")]
    Missing {
        /// Its path.
        field: &'static str,
    },
    /// The batch is longer than [`super::MAX_EVALUATIONS`].
    #[error("`evaluations` has more than {limit} items")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The caller may not ask about this service: HTTP 403.
    #[error("the caller may not ask about service `{service}`")]
    NotEntitled {
        /// Whose resource it is.
        service: String,
    },
}

impl RequestError {
    /// The HTTP status that says it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotEntitled { .. } => 403,
            _ => 400,
        }
    }
}

/// The longest message about a document: the parser's may quote a whole text of it.
const MAX_MESSAGE: usize = 300;

impl From<serde_json::Error> for RequestError {
    fn from(error: serde_json::Error) -> Self {
        let mut message = error.to_string();
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        Self::Malformed(message)
    }
}

/// A subject or resource as sent: what is absent may come from a batch's defaults.
#[derive(Debug, Clone, Default)]
pub struct Entity<'a> {
    /// `type`.
    pub kind: Option<Cow<'a, str>>,
    /// `id`.
    pub id: Option<Cow<'a, str>>,
    /// `properties`, unread.
    pub properties: Option<&'a RawValue>,
}

/// An action as sent.
#[derive(Debug, Clone, Default)]
pub struct Action<'a> {
    /// `name`.
    pub name: Option<Cow<'a, str>>,
    /// `properties`, unread.
    pub properties: Option<&'a RawValue>,
}

/// A question as sent, whole or (inside a batch) partial.
#[derive(Debug, Clone, Default)]
pub struct Evaluation<'a> {
    /// Who.
    pub subject: Option<Entity<'a>>,
    /// What is done.
    pub action: Option<Action<'a>>,
    /// To what.
    pub resource: Option<Entity<'a>>,
    /// Circumstances, unread.
    pub context: Option<&'a RawValue>,
}

/// A subject or resource with its required members.
#[derive(Debug, Clone, Copy)]
pub struct Named<'r> {
    /// `type`.
    pub kind: &'r str,
    /// `id`.
    pub id: &'r str,
    /// `properties`, unread.
    pub properties: Option<&'r RawValue>,
}

/// An action with its required member.
#[derive(Debug, Clone, Copy)]
pub struct Verb<'r> {
    /// `name`.
    pub name: &'r str,
    /// `properties`, unread.
    pub properties: Option<&'r RawValue>,
}

/// A whole question.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// Who.
    pub subject: Named<'r>,
    /// What is done.
    pub action: Verb<'r>,
    /// To what.
    pub resource: Named<'r>,
    /// Circumstances, unread.
    pub context: Option<&'r RawValue>,
}

impl Evaluation<'_> {
    /// The question, if nothing required is missing.
    ///
    /// # Errors
    ///
    /// [`RequestError::Missing`] names the first member that is.
    pub fn complete(&self) -> Result<Request<'_>, RequestError> {
        super::resolve(self, self, false)
    }
}

/// Parses the body of `POST /access/v1/evaluation`.
///
/// # Errors
///
/// [`RequestError`]: every one is HTTP 400. Missing members are told by [`Evaluation::complete`].
pub fn parse_evaluation(body: &[u8]) -> Result<Evaluation<'_>, RequestError> {
    document(text(body)?, Form::Single).map(|document| document.request)
}

/// The body as text; an empty one is told apart.
pub(super) fn text(body: &[u8]) -> Result<&str, RequestError> {
    let text = std::str::from_utf8(body).map_err(|_| RequestError::NotUtf8)?;
    if text.trim_ascii().is_empty() {
        return Err(RequestError::Empty);
    }
    Ok(text)
}

/// What an endpoint takes.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub(super) request: Evaluation<'a>,
    pub(super) items: Option<Vec<&'a RawValue>>,
    pub(super) options: Option<&'a RawValue>,
    pub(super) page: Option<&'a RawValue>,
}

/// Which members beside the question mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// None.
    Single,
    /// `evaluations` and `options`.
    Batch,
    /// `page`.
    Search,
}

/// Parses a request of a form.
pub(super) fn document(text: &str, form: Form) -> Result<Document<'_>, RequestError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let document = DocumentSeed(form).deserialize(&mut json)?;
    json.end()?;
    if document
        .items
        .as_ref()
        .is_some_and(|items| items.len() > super::MAX_EVALUATIONS)
    {
        return Err(RequestError::TooMany {
            limit: super::MAX_EVALUATIONS,
        });
    }
    Ok(document)
}

/// The text at `organization` in a `context` or `properties` object; `place` is for messages.
///
/// # Errors
///
/// [`RequestError::Malformed`] when it is not a string or stands twice.
pub fn organization_in<'a>(
    object: &'a RawValue,
    place: &'static str,
) -> Result<Option<Cow<'a, str>>, RequestError> {
    let mut json = serde_json::Deserializer::from_str(object.get());
    Ok(MemberSeed { place }.deserialize(&mut json)?)
}

/// Reads `properties` or `context` whole. Members that stand twice are refused at every level: two
/// readers of such a document may disagree about what it says.
///
/// # Errors
///
/// [`RequestError::Malformed`]: a duplicate, or nesting beyond 32 levels.
pub fn object(raw: &RawValue) -> Result<Map<String, Value>, RequestError> {
    let mut json = serde_json::Deserializer::from_str(raw.get());
    match StrictSeed(MAX_DEPTH).deserialize(&mut json)? {
        Value::Object(map) => Ok(map),
        _ => Err(RequestError::Malformed("an object is wanted".to_owned())),
    }
}

/// Sets a member once.
fn once<T, E: Error>(slot: &mut Option<T>, value: T, path: &str) -> Result<(), E> {
    if slot.replace(value).is_some() {
        return Err(E::custom(format_args!("`{path}` stands twice")));
    }
    Ok(())
}

/// The members with a meaning, at any level.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Subject,
    Action,
    Resource,
    Context,
    Evaluations,
    Options,
    Page,
    Type,
    Id,
    Name,
    Properties,
    Organization,
    Other,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
        Ok(match text {
            "subject" => Key::Subject,
            "action" => Key::Action,
            "resource" => Key::Resource,
            "context" => Key::Context,
            "evaluations" => Key::Evaluations,
            "options" => Key::Options,
            "page" => Key::Page,
            "type" => Key::Type,
            "id" => Key::Id,
            "name" => Key::Name,
            "properties" => Key::Properties,
            "organization" => Key::Organization,
            _ => Key::Other,
        })
    }
}

/// A string, or `null` for none; the path is for messages.
struct TextSeed(&'static str);

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string as `{}`", self.0)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// An object left unread, or `null` for none; the path is for messages.
struct RawSeed(&'static str);

impl<'de> DeserializeSeed<'de> for RawSeed {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        match raw.get().as_bytes().first() {
            Some(b'{') => Ok(Some(raw)),
            Some(b'n') => Ok(None),
            _ => Err(Error::custom(format_args!("`{}` is not an object", self.0))),
        }
    }
}

/// Where a subject or a resource stands, for messages.
#[derive(Clone, Copy)]
pub(super) struct Paths {
    pub(super) whole: &'static str,
    pub(super) kind: &'static str,
    pub(super) id: &'static str,
    properties: &'static str,
}

pub(super) const SUBJECT: Paths = Paths {
    whole: "subject",
    kind: "subject.type",
    id: "subject.id",
    properties: "subject.properties",
};

pub(super) const RESOURCE: Paths = Paths {
    whole: "resource",
    kind: "resource.type",
    id: "resource.id",
    properties: "resource.properties",
};

struct EntitySeed(Paths);

impl<'de> DeserializeSeed<'de> for EntitySeed {
    type Value = Option<Entity<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntitySeed {
    type Value = Option<Entity<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object as `{}`", self.0.whole)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut id, mut properties) = (None, None, None);
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let paths = self.0;
            match key {
                Key::Type => once(
                    &mut kind,
                    map.next_value_seed(TextSeed(paths.kind))?,
                    paths.kind,
                )?,
                Key::Id => once(&mut id, map.next_value_seed(TextSeed(paths.id))?, paths.id)?,
                Key::Properties => {
                    let raw = map.next_value_seed(RawSeed(paths.properties))?;
                    once(&mut properties, raw, paths.properties)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(Entity {
            kind: kind.flatten(),
            id: id.flatten(),
            properties: properties.flatten(),
        }))
    }
}

struct ActionSeed;

impl<'de> DeserializeSeed<'de> for ActionSeed {
    type Value = Option<Action<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ActionSeed {
    type Value = Option<Action<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object as `action`")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut name, mut properties) = (None, None);
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Name => {
                    let text = map.next_value_seed(TextSeed("action.name"))?;
                    once(&mut name, text, "action.name")?;
                }
                Key::Properties => {
                    let raw = map.next_value_seed(RawSeed("action.properties"))?;
                    once(&mut properties, raw, "action.properties")?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(Action {
            name: name.flatten(),
            properties: properties.flatten(),
        }))
    }
}

struct ItemsSeed;

impl<'de> DeserializeSeed<'de> for ItemsSeed {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array as `evaluations`")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            // One beyond the limit is kept as the mark that there were more.
            if items.len() <= super::MAX_EVALUATIONS {
                items.push(item);
            }
        }
        Ok(Some(items))
    }
}

struct DocumentSeed(Form);

impl<'de> DeserializeSeed<'de> for DocumentSeed {
    type Value = Document<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DocumentSeed {
    type Value = Document<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `subject`, `action` and `resource`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut subject, mut action, mut resource, mut context) = (None, None, None, None);
        let (mut items, mut options, mut page) = (None, None, None);
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Subject => {
                    let value = map.next_value_seed(EntitySeed(SUBJECT))?;
                    once(&mut subject, value, "subject")?;
                }
                Key::Action => once(&mut action, map.next_value_seed(ActionSeed)?, "action")?,
                Key::Resource => {
                    let value = map.next_value_seed(EntitySeed(RESOURCE))?;
                    once(&mut resource, value, "resource")?;
                }
                Key::Context => {
                    once(
                        &mut context,
                        map.next_value_seed(RawSeed("context"))?,
                        "context",
                    )?;
                }
                Key::Evaluations if self.0 == Form::Batch => {
                    once(&mut items, map.next_value_seed(ItemsSeed)?, "evaluations")?;
                }
                Key::Options if self.0 == Form::Batch => {
                    once(
                        &mut options,
                        map.next_value_seed(RawSeed("options"))?,
                        "options",
                    )?;
                }
                Key::Page if self.0 == Form::Search => {
                    once(&mut page, map.next_value_seed(RawSeed("page"))?, "page")?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Document {
            request: Evaluation {
                subject: subject.flatten(),
                action: action.flatten(),
                resource: resource.flatten(),
                context: context.flatten(),
            },
            items: items.flatten(),
            options: options.flatten(),
            page: page.flatten(),
        })
    }
}

/// Finds `organization` and skips the rest.
struct MemberSeed {
    place: &'static str,
}

impl<'de> DeserializeSeed<'de> for MemberSeed {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MemberSeed {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            if key == Key::Organization {
                once(
                    &mut found,
                    map.next_value_seed(TextSeed(self.place))?,
                    self.place,
                )?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found.flatten())
    }
}

/// Any JSON, with so many levels left, and no member twice.
struct StrictSeed(usize);

impl<'de> DeserializeSeed<'de> for StrictSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl StrictSeed {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        match self.0.checked_sub(1) {
            Some(left) => Ok(Self(left)),
            None => Err(E::custom(format_args!(
                "nested more than {MAX_DEPTH} levels deep"
            ))),
        }
    }
}

impl<'de> Visitor<'de> for StrictSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self.inner()?)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(format_args!("`{key}` stands twice")));
            }
            let value = map.next_value_seed(self.inner()?)?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"subject":{"type":"user","id":"u"},"action":{"name":"read"},
        "resource":{"type":"billing:invoice","id":"7"},"context":{"organization":"acme"}}"#;

    fn refused(body: &str) -> String {
        match parse_evaluation(body.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(evaluation) => evaluation.complete().unwrap_err().to_string(),
        }
    }

    #[test]
    fn a_request_without_escapes_is_borrowed_from_the_body() {
        let evaluation = parse_evaluation(WHOLE.as_bytes()).unwrap();
        let subject = evaluation.subject.as_ref().unwrap();
        assert!(matches!(subject.id, Some(Cow::Borrowed("u"))));
        let request = evaluation.complete().unwrap();
        assert_eq!(
            (request.resource.kind, request.action.name),
            ("billing:invoice", "read")
        );
        let organization =
            organization_in(request.context.unwrap(), "context.organization").unwrap();
        assert!(matches!(organization, Some(Cow::Borrowed("acme"))));
    }

    #[test]
    fn an_escape_in_a_text_is_read_as_what_it_means() {
        let body = WHOLE.replace("\"u\"", "\"\\u0075\"");
        let evaluation = parse_evaluation(body.as_bytes()).unwrap();
        assert_eq!(evaluation.complete().unwrap().subject.id, "u");
    }

    #[test]
    fn unknown_members_are_ignored_and_order_does_not_matter() {
        let body = r#"{"x":[[{}]],"resource":{"y":1,"id":"7","type":"a:b"},"action":{"name":"n","z":null},
            "subject":{"id":"u","type":"user"},"evaluations":5}"#;
        assert!(
            parse_evaluation(body.as_bytes())
                .unwrap()
                .complete()
                .is_ok()
        );
    }

    #[test]
    fn null_properties_and_null_context_count_as_absent() {
        let body = r#"{"subject":{"type":"user","id":"u","properties":null},"action":{"name":"n"},
            "resource":{"type":"a:b","id":"7"},"context":null}"#;
        let evaluation = parse_evaluation(body.as_bytes()).unwrap();
        let request = evaluation.complete().unwrap();
        assert!(request.context.is_none() && request.subject.properties.is_none());
    }

    #[test]
    fn a_missing_required_member_is_named() {
        for (body, field) in [
            (r"{}", "`subject`"),
            (r#"{"subject":{"id":"u"}}"#, "`subject.type`"),
            (r#"{"subject":{"type":"user","id":null}}"#, "`subject.id`"),
            (r#"{"subject":{"type":"user","id":"u"}}"#, "`action`"),
            (
                r#"{"subject":{"type":"user","id":"u"},"action":{}}"#,
                "`action.name`",
            ),
            (
                r#"{"subject":{"type":"user","id":"u"},"action":{"name":"n"}}"#,
                "`resource`",
            ),
        ] {
            assert!(refused(body).contains(field), "{body}: {}", refused(body));
        }
    }

    #[test]
    fn an_ill_typed_member_is_named() {
        for (body, field) in [
            (r#"{"subject":"alice"}"#, "`subject`"),
            (r#"{"subject":{"id":5}}"#, "`subject.id`"),
            (r#"{"subject":{"properties":[]}}"#, "`subject.properties`"),
            (r#"{"action":{"name":true}}"#, "`action.name`"),
            (r#"{"resource":{"type":{}}}"#, "`resource.type`"),
            (r#"{"context":"x"}"#, "`context`"),
            ("[]", "an object"),
            ("5", "an object"),
        ] {
            assert!(refused(body).contains(field), "{body}: {}", refused(body));
        }
    }

    #[test]
    fn a_member_that_stands_twice_is_refused() {
        for body in [
            r#"{"subject":{},"subject":{}}"#,
            r#"{"subject":{"id":"a","id":"b"}}"#,
            r#"{"subject":{"id":"a","\u0069d":"b"}}"#,
            r#"{"context":{},"context":null}"#,
        ] {
            assert!(refused(body).contains("stands twice"), "{}", refused(body));
        }
        let twice: &RawValue =
            serde_json::from_str(r#"{"organization":"a","organization":"b"}"#).unwrap();
        assert!(organization_in(twice, "context.organization").is_err());
        let inner: &RawValue = serde_json::from_str(r#"{"a":[{"b":1,"b":2}]}"#).unwrap();
        assert!(object(inner).is_err());
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        assert_eq!(refused(""), RequestError::Empty.to_string());
        assert_eq!(refused("  \n"), RequestError::Empty.to_string());
        assert!(refused("{").contains("line 1"));
        assert!(refused(&format!("{WHOLE} x")).contains("trailing"));
        assert_eq!(
            parse_evaluation(b"{\"a\":\"\xff\"}").unwrap_err(),
            RequestError::NotUtf8
        );
    }

    #[test]
    fn a_message_quotes_little_of_what_it_is_about() {
        let body = format!("{{\"subject\":\"{}\"}}", "é".repeat(100_000));
        assert!(refused(&body).len() < 400, "{}", refused(&body).len());
    }

    #[test]
    fn deep_nesting_neither_overflows_nor_passes_where_it_is_read() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let body = format!("{{\"unknown\":{deep}}}");
        assert!(refused(&body).contains("`subject`"));
        let raw = format!("{{\"a\":{deep}}}");
        let raw: &RawValue = serde_json::from_str(&raw).unwrap();
        assert!(object(raw).unwrap_err().to_string().contains("32 levels"));
    }
}
