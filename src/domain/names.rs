//! Names that services declare: of themselves, their resources, actions and roles.
//!
//! Every name is ASCII, so that it has one spelling in URLs, headers, Cedar and logs.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest service, resource, action or role name (`VARCHAR(50)`).
pub const MAX_NAME_LEN: usize = 50;

/// Why a text is not a name. `what` says which kind of name was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing where a name belongs.
    #[error("a {what} name cannot be empty")]
    Empty {
        /// The kind of name.
        what: &'static str,
    },
    /// Longer than [`MAX_NAME_LEN`].
    #[error("a {what} name has at most {MAX_NAME_LEN} characters, `{start}…` has {len}")]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// How it begins.
        start: String,
        /// Its length in characters.
        len: usize,
    },
    /// A character outside the kind's alphabet, or a first or last one that may not stand there.
    #[error("`{name}` is not a {what} name: {allowed}")]
    Character {
        /// The kind of name.
        what: &'static str,
        /// The name as given.
        name: String,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A composed key does not have the right number of parts.
    #[error("`{text}` is not a {what}: {form} is wanted")]
    Form {
        /// The kind of key.
        what: &'static str,
        /// The text as given.
        text: String,
        /// The form that is wanted.
        form: &'static str,
    },
}

/// Checks a name against its kind's alphabet.
fn check(
    what: &'static str,
    text: &str,
    inner: fn(u8) -> bool,
    allowed: &'static str,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    let len = text.chars().count();
    if len > MAX_NAME_LEN {
        return Err(NameError::TooLong {
            what,
            start: text.chars().take(20).collect(),
            len,
        });
    }
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    if bytes.iter().all(|byte| inner(*byte)) && edge(bytes.first()) && edge(bytes.last()) {
        Ok(())
    } else {
        Err(NameError::Character {
            what,
            name: text.to_owned(),
            allowed,
        })
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $inner:expr, $pattern:literal, $allowed:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Cow<'_, str>", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The alphabet in words, for messages and the JSON Schema.
            pub const ALLOWED: &'static str = $allowed;

            /// The same as a regular expression, for schemas.
            pub const PATTERN: &'static str = $pattern;

            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check($what, text, $inner, $allowed)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<Cow<'_, str>> for $name {
            type Error = NameError;

            fn try_from(text: Cow<'_, str>) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// A service: `billing`.
    ServiceName, "service",
        |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
        "^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$",
        "lower-case letters, digits and `-`, with a letter or digit at both ends";
    /// A kind of thing a service guards: `invoice`, `deployments.apps/scale`.
    ResourceName, "resource",
        |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_./".contains(&byte),
        "^[a-z0-9]([a-z0-9_./-]{0,48}[a-z0-9])?$",
        "lower-case letters, digits, `-`, `_`, `.` and `/`, with a letter or digit at both ends";
    /// What is done to it: `read`, `deletecollection`.
    ActionName, "action",
        |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte),
        "^[a-z0-9]([a-z0-9_.-]{0,48}[a-z0-9])?$",
        "lower-case letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
    /// A role of a service: `viewer`.
    RoleName, "role",
        |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte),
        "^[a-z0-9]([a-z0-9_.-]{0,48}[a-z0-9])?$",
        "lower-case letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
}

/// A permission by its names. Text form: `service:resource:action`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct PermissionKey {
    /// The service that declares it.
    pub service: ServiceName,
    /// The kind of thing.
    pub resource: ResourceName,
    /// What is done to it.
    pub action: ActionName,
}

impl FromStr for PermissionKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let mut parts = text.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(service), Some(resource), Some(action), None) => Ok(Self {
                service: service.parse()?,
                resource: resource.parse()?,
                action: action.parse()?,
            }),
            _ => Err(NameError::Form {
                what: "permission",
                text: text.chars().take(200).collect(),
                form: "`service:resource:action`",
            }),
        }
    }
}

impl fmt::Display for PermissionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.service, self.resource, self.action)
    }
}

/// A role by its names. Text form: `service/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct RoleKey {
    /// The service that declares it.
    pub service: ServiceName,
    /// Its name within the service.
    pub name: RoleName,
}

impl FromStr for RoleKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((service, name)) => Ok(Self {
                service: service.parse()?,
                name: name.parse()?,
            }),
            None => Err(NameError::Form {
                what: "role",
                text: text.chars().take(200).collect(),
                form: "`service/role`",
            }),
        }
    }
}

impl fmt::Display for RoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}

macro_rules! text_key {
    ($($name:ident),*) => {$(
        impl TryFrom<Cow<'_, str>> for $name {
            type Error = NameError;

            fn try_from(text: Cow<'_, str>) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(key: $name) -> Self {
                key.to_string()
            }
        }
    )*};
}
text_key!(PermissionKey, RoleKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_through_their_text_form() {
        for text in [
            "billing:invoice:read",
            "k8s:deployments.apps/scale:update",
            "a:b:c",
        ] {
            assert_eq!(text.parse::<PermissionKey>().unwrap().to_string(), text);
        }
        assert_eq!(
            "billing/viewer".parse::<RoleKey>().unwrap().to_string(),
            "billing/viewer"
        );
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_what_is_allowed() {
        for text in [
            "", "a:b", "a:b:c:d", "A:b:c", "a:b:", ":b:c", "a:b c:d", "ä:b:c", "-a:b:c",
        ] {
            assert!(text.parse::<PermissionKey>().is_err(), "{text}");
        }
        let long = "x".repeat(51);
        assert!(matches!(
            long.parse::<ServiceName>(),
            Err(NameError::TooLong { len: 51, .. })
        ));
        let error = "Billing".parse::<ServiceName>().unwrap_err().to_string();
        assert!(
            error.contains("`Billing`") && error.contains("lower-case"),
            "{error}"
        );
    }
}
