//! What a caller may tell hand-written policies: `attributes.toml`.
//!
//! ```toml
//! [resources."documents:document"]
//! owner = "User"
//! labels = "Set<String>"
//!
//! [subject]              # read as `principal.department`
//! department = "String"
//!
//! [action]               # read as `context.action.method`
//! method = "String"
//!
//! [context]
//! mfa = "Bool"
//! now = "datetime"       # filled by Doorward, never by the caller
//! ```
//!
//! A property that is not declared never reaches a policy. One that is declared and has another
//! type denies the request and is named in the answer: a policy that silently misses an attribute
//! it relies on is a hole.

use std::collections::BTreeMap;

use cedar_policy::{Context, RestrictedExpression};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml::Spanned;

use crate::domain::{ResourceName, ServiceName, Timestamp};

use super::custom::Problem;
use super::entities;

/// The name of `context.now`, which Doorward fills.
pub(super) const NOW: &str = "now";

/// The types in words, for messages.
const TYPES: &str = "`String`, `Long`, `Bool`, `decimal`, `ipaddr`, `datetime`, `User` and \
                     `Set<…>` of one of them";

/// A value that is not a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scalar {
    String,
    Long,
    Bool,
    Decimal,
    Ip,
    Datetime,
    User,
}

impl Scalar {
    /// Spelled so that no entity type of a service's namespace can stand in its place.
    const fn schema_text(self) -> &'static str {
        match self {
            Self::String => "__cedar::String",
            Self::Long => "__cedar::Long",
            Self::Bool => "__cedar::Bool",
            Self::Decimal => "__cedar::decimal",
            Self::Ip => "__cedar::ipaddr",
            Self::Datetime => "__cedar::datetime",
            Self::User => "User",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::Long => "Long",
            Self::Bool => "Bool",
            Self::Decimal => "decimal",
            Self::Ip => "ipaddr",
            Self::Datetime => "datetime",
            Self::User => "User",
        }
    }

    fn expression(self, value: &Value) -> Option<RestrictedExpression> {
        let expression = match (self, value) {
            (Self::String, Value::String(text)) => RestrictedExpression::new_string(text.clone()),
            (Self::Long, Value::Number(number)) => RestrictedExpression::new_long(number.as_i64()?),
            (Self::Bool, Value::Bool(value)) => RestrictedExpression::new_bool(*value),
            (Self::User, Value::String(id)) => {
                RestrictedExpression::new_entity_uid(entities::user(id))
            }
            (Self::Decimal, Value::String(text)) => {
                evaluated(RestrictedExpression::new_decimal(text))?
            }
            (Self::Ip, Value::String(text)) => evaluated(RestrictedExpression::new_ip(text))?,
            (Self::Datetime, Value::String(text)) => {
                evaluated(RestrictedExpression::new_datetime(text))?
            }
            _ => return None,
        };
        Some(expression)
    }
}

/// The expression, if Cedar can make a value of it: what these constructors take is Cedar's to say.
fn evaluated(expression: RestrictedExpression) -> Option<RestrictedExpression> {
    Context::from_pairs([(String::new(), expression.clone())])
        .ok()
        .map(|_| expression)
}

/// The type of a declared attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    scalar: Scalar,
    set: bool,
}

impl Declared {
    fn parse(text: &str) -> Option<Self> {
        let (inner, set) = match text
            .strip_prefix("Set<")
            .and_then(|rest| rest.strip_suffix('>'))
        {
            Some(inner) => (inner, true),
            None => (text, false),
        };
        let scalar = match inner {
            "String" => Scalar::String,
            "Long" => Scalar::Long,
            "Bool" => Scalar::Bool,
            "decimal" => Scalar::Decimal,
            "ipaddr" => Scalar::Ip,
            "datetime" => Scalar::Datetime,
            "User" => Scalar::User,
            _ => return None,
        };
        Some(Self { scalar, set })
    }

    /// The type as the schema spells it.
    pub(super) fn schema_text(self) -> String {
        let scalar = self.scalar.schema_text();
        if self.set {
            format!("Set<{scalar}>")
        } else {
            scalar.to_owned()
        }
    }

    fn name(self) -> String {
        let scalar = self.scalar.name();
        if self.set {
            format!("Set<{scalar}>")
        } else {
            scalar.to_owned()
        }
    }

    fn expression(self, value: &Value) -> Option<RestrictedExpression> {
        match (self.set, value) {
            (false, value) => self.scalar.expression(value),
            (true, Value::Array(values)) => values
                .iter()
                .map(|value| self.scalar.expression(value))
                .collect::<Option<Vec<_>>>()
                .map(RestrictedExpression::new_set),
            (true, _) => None,
        }
    }
}

/// A declared attribute whose value in the request is of another type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("`{part}.{attribute}` is not of the declared type `{wanted}`")]
pub struct WrongType {
    /// Which part of the request: `resource`, `subject`, `action` or `context`.
    pub part: &'static str,
    /// The attribute's name.
    pub attribute: String,
    /// The declared type.
    pub wanted: String,
}

/// One part's attributes, by name.
pub(super) type Part = BTreeMap<String, Declared>;

/// Every attribute that hand-written policies may read. See the module's text for the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    resources: BTreeMap<String, Part>,
    pub(super) subject: Part,
    pub(super) action: Part,
    pub(super) context: Part,
}

#[cfg(feature = "prove")]
fn merged(part: &str, one: &Part, other: &Part) -> Result<Part, String> {
    let mut union = one.clone();
    for (name, declared) in other {
        match union.insert(name.clone(), *declared) {
            Some(before) if before != *declared => {
                return Err(format!(
                    "the attribute `{name}` of `{part}` is `{}` on one side and `{}` on the other",
                    before.name(),
                    declared.name()
                ));
            }
            _ => {}
        }
    }
    Ok(union)
}

type RawPart = BTreeMap<Spanned<String>, Spanned<String>>;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    resources: BTreeMap<Spanned<String>, RawPart>,
    subject: RawPart,
    action: RawPart,
    context: RawPart,
}

impl Attributes {
    /// Parses the declarations in `text`; `file` is the name that problems are reported under.
    ///
    /// # Errors
    ///
    /// Every problem found, with its position.
    pub fn parse(file: &str, text: &str) -> Result<Self, super::CustomError> {
        let raw: Raw = toml::from_str(text).map_err(|source| {
            let start = source.span().map_or(0, |span| span.start);
            let message = source.message().to_owned();
            super::CustomError::from(vec![Problem::at(file, text, start, message)])
        })?;
        let mut problems = Vec::new();
        let mut part = |raw: RawPart, taken: &[&str]| -> Part {
            raw.into_iter()
                .filter_map(|(name, declared)| {
                    match check(name.get_ref(), declared.get_ref(), taken) {
                        Ok(one) => Some((name.into_inner(), one)),
                        Err(message) => {
                            let start = name.span().start;
                            problems.push(Problem::at(file, text, start, message));
                            None
                        }
                    }
                })
                .collect()
        };
        let subject = part(raw.subject, &["organization", "user"]);
        let action = part(raw.action, &[]);
        let context = part(raw.context, &["action"]);
        let mut resources = BTreeMap::new();
        let mut bad_types = Vec::new();
        for (name, declared) in raw.resources {
            let declared = part(declared, &["organization"]);
            if is_resource_type(name.get_ref()) {
                resources.insert(name.into_inner(), declared);
            } else {
                bad_types.push(name);
            }
        }
        problems.extend(bad_types.into_iter().map(|name| {
            let message = format!("`{}` is not a resource type", name.get_ref());
            Problem::at(file, text, name.span().start, message)
                .allowing("`service:resource`".to_owned())
        }));
        if context.get(NOW).is_some_and(|now| now.name() != "datetime") {
            let start = text.find(NOW).unwrap_or(0);
            let message = "`now` is filled by Doorward and is a `datetime`".to_owned();
            problems.push(Problem::at(file, text, start, message));
        }
        if problems.is_empty() {
            Ok(Self {
                resources,
                subject,
                action,
                context,
            })
        } else {
            Err(problems.into())
        }
    }

    /// Everything that either declares, for policies of both.
    ///
    /// # Errors
    ///
    /// The attribute that both declare with different types.
    #[cfg(feature = "prove")]
    pub(super) fn union(&self, other: &Self) -> Result<Self, String> {
        let mut union = self.clone();
        for (name, part) in &other.resources {
            let mine = union.resources.entry(name.clone()).or_default();
            *mine = merged(name, mine, part)?;
        }
        union.subject = merged("subject", &self.subject, &other.subject)?;
        union.action = merged("action", &self.action, &other.action)?;
        union.context = merged("context", &self.context, &other.context)?;
        Ok(union)
    }

    /// The attributes of a resource type.
    pub(super) fn of_resource(
        &self,
        service: &ServiceName,
        resource: &ResourceName,
    ) -> Option<&Part> {
        if self.resources.is_empty() {
            return None;
        }
        self.resources.get(&format!("{service}:{resource}"))
    }

    /// Whether policies may read the time.
    pub(super) fn declares_now(&self) -> bool {
        self.context.contains_key(NOW)
    }

    /// The request's context as Cedar takes it.
    pub(super) fn context(
        &self,
        context: Option<&Map<String, Value>>,
        action: Option<&Map<String, Value>>,
        now: Option<Timestamp>,
    ) -> Result<Context, WrongType> {
        let mut pairs = expressions("context", &self.context, context, self.declares_now())?;
        if self.declares_now()
            && let Some(now) = now
        {
            // Cedar's datetime has milliseconds, all three digits or none.
            let expression = RestrictedExpression::new_datetime(format!("{now:.3}"));
            let wrong = || wrong_type("context", NOW, "datetime".to_owned());
            pairs.push((NOW.to_owned(), evaluated(expression).ok_or_else(wrong)?));
        }
        let action = expressions("action", &self.action, action, false)?;
        if !action.is_empty() {
            let record = RestrictedExpression::new_record(action)
                .map_err(|_| wrong_type("context", "action", "record".to_owned()))?;
            pairs.push(("action".to_owned(), record));
        }
        if pairs.is_empty() {
            return Ok(Context::empty());
        }
        Context::from_pairs(pairs)
            .map_err(|_| wrong_type("request", "context", "record".to_owned()))
    }
}

/// The declared properties among those sent; [`NOW`] is skipped when Doorward fills it.
pub(super) fn expressions(
    part: &'static str,
    declared: &Part,
    sent: Option<&Map<String, Value>>,
    skip_now: bool,
) -> Result<Vec<(String, RestrictedExpression)>, WrongType> {
    let Some(sent) = sent else {
        return Ok(Vec::new());
    };
    let mut expressions = Vec::new();
    for (name, one) in declared {
        if skip_now && name == NOW {
            continue;
        }
        if let Some(value) = sent.get(name) {
            let expression = one
                .expression(value)
                .ok_or_else(|| wrong_type(part, name, one.name()))?;
            expressions.push((name.clone(), expression));
        }
    }
    Ok(expressions)
}

fn wrong_type(part: &'static str, attribute: &str, wanted: String) -> WrongType {
    WrongType {
        part,
        attribute: attribute.to_owned(),
        wanted,
    }
}

fn is_resource_type(text: &str) -> bool {
    text.split_once(':').is_some_and(|(service, resource)| {
        service.parse::<ServiceName>().is_ok() && resource.parse::<ResourceName>().is_ok()
    })
}

fn check(name: &str, declared: &str, taken: &[&str]) -> Result<Declared, String> {
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with("__")
        && name.len() <= 64;
    if !identifier {
        return Err(format!(
            "`{name}` is not an attribute name: letters, digits and `_`, not a digit first, not \
             `__` first, at most 64 characters"
        ));
    }
    if taken.contains(&name) {
        return Err(format!(
            "`{name}` is a fact of Doorward's own and cannot be declared"
        ));
    }
    Declared::parse(declared)
        .ok_or_else(|| format!("`{declared}` is not an attribute type; allowed are {TYPES}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bad_declaration_is_reported_with_its_place_and_what_is_allowed() {
        let text = "[resources.\"documents:document\"]\nowner = \"Person\"\n\n[subject]\nuser = \"String\"\n[context]\nnow = \"String\"\n\n[resources.\"Documents\"]\na = \"Long\"\n";
        let error = Attributes::parse("attributes.toml", text).unwrap_err();
        let shown = error.to_string();
        for wanted in [
            "attributes.toml:2:1: `Person` is not an attribute type; allowed are `String`",
            "attributes.toml:5:1: `user` is a fact of Doorward's own",
            "attributes.toml:7:1: `now` is filled by Doorward",
            "attributes.toml:9:12: `Documents` is not a resource type",
        ] {
            assert!(shown.contains(wanted), "{wanted}\nin\n{shown}");
        }
        let error = Attributes::parse("attributes.toml", "[subjects]\na = \"Long\"").unwrap_err();
        assert!(
            error.to_string().contains("unknown field `subjects`"),
            "{error}"
        );
    }

    #[test]
    fn a_value_of_another_type_is_named_and_an_undeclared_one_is_dropped() {
        let text = "[context]\nmfa = \"Bool\"\nip = \"ipaddr\"\nat = \"datetime\"\nn = \"Long\"\nwho = \"Set<User>\"";
        let attributes = Attributes::parse("a", text).unwrap();
        let context = |value: Value| {
            attributes
                .context(value.as_object(), None, None)
                .map(|context| context.into_iter().count())
        };
        assert_eq!(
            context(
                json!({"mfa": true, "ip": "10.0.0.1/8", "at": "2026-01-01", "n": -3,
                           "who": ["a", "b"], "other": {}})
            ),
            Ok(5)
        );
        for (name, wrong) in [
            ("mfa", json!("true")),
            ("mfa", json!(null)),
            ("ip", json!("10.0.0.256")),
            ("at", json!("yesterday")),
            ("n", json!(1.5)),
            ("n", json!(u64::MAX)),
            ("who", json!("a")),
            ("who", json!(["a", 1])),
        ] {
            let error = context(json!({ name: wrong })).unwrap_err();
            assert_eq!((error.part, error.attribute.as_str()), ("context", name));
        }
    }

    #[test]
    fn the_caller_cannot_set_the_clock() {
        let attributes = Attributes::parse("a", "[context]\nnow = \"datetime\"").unwrap();
        let sent = json!({"now": "1999-01-01"});
        let context = attributes.context(sent.as_object(), None, None).unwrap();
        assert!(context.get("now").is_none());
        let now = Timestamp::from_unix_micros(1_795_000_000_123_456);
        let context = attributes
            .context(sent.as_object(), None, Some(now))
            .unwrap();
        let shown = format!("{:?}", context.get("now"));
        assert!(shown.contains("2026-11-18"), "{shown}");
    }
}
