//! Instances of resources: the things that a service guards, as far as it registers them.
//!
//! An id is the service's own and is compared byte by byte. Attributes are what a declared attribute
//! of a resource can be (`policy::attributes`) and nothing else: a text, an integer, a boolean, or a
//! list of such.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::text::checked_text;
use super::{OrganizationId, ResourceName, ServiceName, Timestamp};

/// The longest id, in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 255;
/// The most attributes of an instance.
pub const MAX_ATTRIBUTES: usize = 64;
/// The longest name of an attribute.
pub const MAX_ATTRIBUTE_NAME: usize = 64;
/// The most values of a list.
pub const MAX_VALUES: usize = 256;
/// The most bytes that the attributes of an instance have as JSON.
pub const MAX_ATTRIBUTES_BYTES: usize = 4096;

/// Why a text is no id of an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstanceIdError {
    /// Nothing.
    #[error("an id cannot be empty")]
    Empty,
    /// Longer than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// A control character.
    #[error("an id holds no control characters")]
    Control,
    /// `*` stands for every resource of a type in answers.
    #[error("`*` is no id: it stands for all resources of a type")]
    All,
}

/// The id of an instance, in the service's own terms: 1 to 255 bytes of UTF-8 without control
/// characters, and not `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct InstanceId(String);

impl InstanceId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = InstanceIdError;

    fn from_str(text: &str) -> Result<Self, InstanceIdError> {
        if text.is_empty() {
            return Err(InstanceIdError::Empty);
        }
        if text.len() > MAX_ID_BYTES {
            return Err(InstanceIdError::TooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(InstanceIdError::Control);
        }
        if text == "*" {
            return Err(InstanceIdError::All);
        }
        Ok(Self(text.to_owned()))
    }
}

checked_text!(InstanceIdError: InstanceId);

/// Which instance: its service, the resource it is one of, and its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// Whose.
    pub service: ServiceName,
    /// Of which kind.
    pub resource: ResourceName,
    /// Which.
    pub id: InstanceId,
}

/// A registered instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Which.
    pub key: InstanceKey,
    /// Where it belongs.
    pub organization: OrganizationId,
    /// What policies may read of it.
    pub attributes: Attributes,
    /// When its organization or attributes last changed.
    pub updated_at: Timestamp,
}

/// What is registered of an instance for policies to read. At most [`MAX_ATTRIBUTES`] of them, and
/// [`MAX_ATTRIBUTES_BYTES`] as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<String, Value>);

/// Why a stored text is not attributes. It was written by something else than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not the attributes of an instance")]
pub struct AttributesError;

impl Attributes {
    /// The canonical JSON: names in order, no blanks. The same attributes always give the same text.
    pub fn canonical_json(&self) -> String {
        // A map of texts to plain values always can be written.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// By name, as properties of a resource.
    pub fn into_properties(self) -> Map<String, Value> {
        self.0.into_iter().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Attributes {
    type Err = AttributesError;

    fn from_str(text: &str) -> Result<Self, AttributesError> {
        serde_json::from_str(text).map_err(|_| AttributesError)
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = deserializer.deserialize_map(Read)?;
        let bytes = read.canonical_json().len();
        if bytes > MAX_ATTRIBUTES_BYTES {
            return Err(D::Error::custom(format_args!(
                "attributes have at most {MAX_ATTRIBUTES_BYTES} bytes as JSON, these have {bytes}"
            )));
        }
        Ok(read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Attributes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut read = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            // The value first: a mistake is then told with the place of its attribute.
            let value = map.next_value::<Checked>()?.0;
            check_name(&name).map_err(A::Error::custom)?;
            if read.len() == MAX_ATTRIBUTES {
                return Err(A::Error::custom(format_args!(
                    "an instance has at most {MAX_ATTRIBUTES} attributes"
                )));
            }
            match read.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(entry) => {
                    return Err(A::Error::custom(format_args!(
                        "the attribute `{}` stands twice",
                        entry.key()
                    )));
                }
            }
        }
        Ok(Attributes(read))
    }
}

/// The names that `attributes.toml` can declare.
fn check_name(name: &str) -> Result<(), String> {
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with("__")
        && name.len() <= MAX_ATTRIBUTE_NAME;
    if !identifier {
        let shown: String = name.chars().take(MAX_ATTRIBUTE_NAME).collect();
        return Err(format!(
            "`{shown}` is not an attribute name: letters, digits and `_`, not a digit first, not \
             `__` first, at most {MAX_ATTRIBUTE_NAME} characters"
        ));
    }
    if name == "organization" {
        return Err("`organization` is a field of the instance, not an attribute".to_owned());
    }
    Ok(())
}

/// A value that an attribute can have.
struct Checked(Value);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ReadValue { in_list: false })
            .map(Self)
    }
}

/// A value inside a list.
struct CheckedItem(Value);

impl<'de> Deserialize<'de> for CheckedItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ReadValue { in_list: true })
            .map(Self)
    }
}

struct ReadValue {
    in_list: bool,
}

impl<'de> Visitor<'de> for ReadValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.in_list {
            "a text, an integer or a boolean"
        } else {
            "a text, an integer, a boolean or a list of such"
        })
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value)
            .map(Value::from)
            .map_err(|_| E::custom("an integer beyond 64 bits with a sign"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        // PostgreSQL keeps no such text.
        if text.contains('\0') {
            return Err(E::custom("a text without NUL is wanted"));
        }
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        if self.in_list {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        let mut values = Vec::new();
        while let Some(CheckedItem(value)) = list.next_element()? {
            if values.len() == MAX_VALUES {
                return Err(A::Error::custom(format_args!(
                    "a list has at most {MAX_VALUES} values"
                )));
            }
            values.push(value);
        }
        Ok(Value::Array(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_any_short_text_that_prints() {
        for id in ["1", "a/b c:d", "Ünïcödé-文書-🗎", "*x", &"x".repeat(255)] {
            assert_eq!(id.parse::<InstanceId>().unwrap().as_str(), id);
        }
        for (id, error) in [
            ("", InstanceIdError::Empty),
            ("*", InstanceIdError::All),
            ("a\0b", InstanceIdError::Control),
            ("a\nb", InstanceIdError::Control),
            (&"x".repeat(256), InstanceIdError::TooLong(256)),
            (&"ü".repeat(128), InstanceIdError::TooLong(256)),
        ] {
            assert_eq!(id.parse::<InstanceId>().unwrap_err(), error, "{id:?}");
        }
    }

    #[test]
    fn the_same_attributes_have_the_same_text_in_whatever_order_they_came() {
        let one: Attributes = r#"{"b": [1, "x", true], "a": -3}"#.parse().unwrap();
        let other: Attributes = r#"{"a":-3,"b":[1,"x",true]}"#.parse().unwrap();
        assert_eq!(one, other);
        assert_eq!(one.canonical_json(), r#"{"a":-3,"b":[1,"x",true]}"#);
        assert_eq!(one.canonical_json().parse::<Attributes>().unwrap(), one);
    }

    #[test]
    fn what_no_declared_attribute_can_be_is_refused() {
        let many: Vec<String> = (0..=MAX_ATTRIBUTES)
            .map(|n| format!("\"a{n}\":1"))
            .collect();
        let many = format!("{{{}}}", many.join(","));
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_ATTRIBUTES_BYTES));
        let list = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(MAX_VALUES));
        for wrong in [
            "[]",
            "null",
            r#"{"a":null}"#,
            r#"{"a":1.5}"#,
            r#"{"a":18446744073709551615}"#,
            r#"{"a":{}}"#,
            r#"{"a":[[1]]}"#,
            r#"{"a":[null]}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"organization":"x"}"#,
            r#"{"1a":1}"#,
            r#"{"__a":1}"#,
            r#"{"a-b":1}"#,
            r#"{"":1}"#,
            &many,
            &long,
            &list,
        ] {
            assert!(wrong.parse::<Attributes>().is_err(), "{wrong:.80}");
        }
    }
}
