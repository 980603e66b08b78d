//! The walk over a whole document, and what its parts share.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::domain::ServiceName;
use crate::domain::manifest::{Declaration, Manifest, limits};
use crate::domain::text::misleads;
use crate::protocol::problem::{Mistake, Pointer};

use crate::protocol::manifest::MAX_MISTAKES;

use super::references;

const FIELDS: &[&str] = &[
    "service",
    "version",
    "permissions",
    "roles",
    "scopes",
    "grantable_by",
    "replaces",
    "$schema",
];

/// The service whose manifest ships with the authority.
pub(super) const AUTH: &str = "auth";

/// Walks the document. Returns `None` when there is no service to speak of; what it returns holds
/// only if no mistake was noted.
pub(in crate::protocol::manifest) fn manifest(
    value: &Value,
    expected: Option<&ServiceName>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Manifest> {
    let mut walk = Walk { mistakes };
    let root = &Pointer::ROOT;
    let document = walk.object(root, value, "a manifest")?;
    walk.known_fields(root, document, FIELDS);
    let service = walk.service(root, document, expected);
    let version = walk.version(root, document);
    let service = service?;
    let permissions = walk.permissions(root, document, &service);
    let own = references::Own::new(&service, &permissions, document.get("permissions"));
    let grantable_by = walk.grantable_by(root, document, &service);
    let roles = walk.roles(root, document, &own);
    let scopes = walk.scopes(root, document, &own);
    let replaces = walk.replaces(root, document, &roles);
    Some(Manifest {
        version,
        declared: Declaration {
            permissions,
            roles,
            scopes,
            grantable_by,
        },
        replaces,
        service,
    })
}

pub(super) struct Walk<'m> {
    mistakes: &'m mut Vec<Mistake>,
}

impl Walk<'_> {
    pub(super) fn note(&mut self, at: impl fmt::Display, detail: impl Into<String>, allowed: &str) {
        // Past the number that is ever shown only the count matters.
        let mistake = if self.mistakes.len() > MAX_MISTAKES {
            Mistake::new("", "")
        } else {
            Mistake::new(at, detail).allowing(allowed)
        };
        self.mistakes.push(mistake);
    }

    pub(super) fn object<'v>(
        &mut self,
        at: &Pointer<'_>,
        value: &'v Value,
        what: &str,
    ) -> Option<&'v Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.note(at, format!("{} is not {what}", kind(value)), "an object");
        }
        object
    }

    pub(super) fn list<'v>(&mut self, at: &Pointer<'_>, value: &'v Value, of: &str) -> &'v [Value] {
        if let Some(list) = value.as_array() {
            list
        } else {
            self.note(at, format!("{} is not a list", kind(value)), of);
            &[]
        }
    }

    pub(super) fn text<'v>(
        &mut self,
        at: &Pointer<'_>,
        value: &'v Value,
        what: &str,
    ) -> Option<&'v str> {
        let text = value.as_str();
        if text.is_none() {
            self.note(at, format!("{} is not a text", kind(value)), what);
        }
        text
    }

    pub(super) fn known_fields(
        &mut self,
        at: &Pointer<'_>,
        object: &Map<String, Value>,
        fields: &'static [&'static str],
    ) {
        for key in object.keys() {
            if !fields.contains(&key.as_str()) {
                let allowed = fields.iter().filter(|field| !field.starts_with('$'));
                let allowed: Vec<_> = allowed.copied().collect();
                let key: String = key.chars().take(100).collect();
                self.note(
                    at.key(&key),
                    format!("`{key}` is not a field here"),
                    &allowed.join(", "),
                );
            }
        }
    }

    pub(super) fn name<T: FromStr>(
        &mut self,
        at: &Pointer<'_>,
        text: &str,
        allowed: &str,
    ) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.note(at, T::Err::to_string(&error), allowed);
                None
            }
        }
    }

    pub(super) fn description(
        &mut self,
        at: &Pointer<'_>,
        value: Option<&Value>,
    ) -> Option<String> {
        let value = value.filter(|value| !value.is_null())?;
        let text = self.text(at, value, "a description")?.trim();
        let length = text.chars().count();
        if length > limits::MAX_DESCRIPTION {
            self.note(
                at,
                format!("the description has {length} characters"),
                &format!("at most {}", limits::MAX_DESCRIPTION),
            );
        }
        if text
            .chars()
            .any(|char| misleads(char) && !"\n\t".contains(char))
        {
            self.note(
                at,
                "the description holds control characters",
                "printable text, line breaks and tabs",
            );
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(super) fn flag(&mut self, at: &Pointer<'_>, value: Option<&Value>) -> bool {
        match value {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.note(
                    at,
                    format!("{} is not a boolean", kind(other)),
                    "true or false",
                );
                false
            }
        }
    }

    pub(super) fn at_most(&mut self, at: &Pointer<'_>, count: usize, max: usize, what: &str) {
        if count > max {
            self.note(
                at,
                format!("there are {count} {what}"),
                &format!("at most {max}"),
            );
        }
    }

    pub(super) fn service(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
        expected: Option<&ServiceName>,
    ) -> Option<ServiceName> {
        let at = &root.key("service");
        let Some(value) = document.get("service") else {
            self.note(at, "`service` is missing", "the name of the service");
            return None;
        };
        let text = self.text(at, value, "the name of the service")?;
        let service: ServiceName = self.name(at, text, ServiceName::ALLOWED)?;
        if let Some(expected) = expected.filter(|expected| **expected != service) {
            self.note(
                at,
                format!("this is a manifest of `{service}`, sent as one of `{expected}`"),
                &format!("`{expected}`"),
            );
        }
        Some(service)
    }

    pub(super) fn version(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
    ) -> Option<i64> {
        let value = document.get("version").filter(|value| !value.is_null())?;
        let version = value.as_i64().filter(|version| *version >= 0);
        if version.is_none() {
            self.note(
                root.key("version"),
                format!("`{}` is not a version", short(&value.to_string())),
                "a whole number from 0 to 9223372036854775807",
            );
        }
        version
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The beginning of what was sent: enough to find it, short enough to print.
pub(super) fn short(text: &str) -> String {
    text.chars().take(120).collect()
}
