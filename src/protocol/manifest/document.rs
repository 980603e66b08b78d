//! A document as a [`Value`], with keys that stand twice and too deep nesting found on the way.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::domain::manifest::limits::MAX_DEPTH;
use crate::protocol::problem::{Mistake, Pointer};

use super::MAX_MISTAKES;

/// Reads the whole document.
pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(Value, Vec<Mistake>), D::Error> {
    let mistakes = RefCell::new(Vec::new());
    let root = Node {
        at: &Pointer::ROOT,
        depth: 0,
        mistakes: &mistakes,
    };
    let value = root.deserialize(deserializer)?;
    Ok((value, mistakes.into_inner()))
}

#[derive(Clone, Copy)]
struct Node<'a> {
    at: &'a Pointer<'a>,
    depth: usize,
    mistakes: &'a RefCell<Vec<Mistake>>,
}

impl Node<'_> {
    /// Past the number that is ever shown, a mistake is no longer worth its memory.
    fn note(&self, mistake: impl FnOnce() -> Mistake) {
        let mut mistakes = self.mistakes.borrow_mut();
        if mistakes.len() <= MAX_MISTAKES {
            mistakes.push(mistake());
        }
    }

    /// Notes the first place that is too deep and tells whether this one is.
    fn is_too_deep(&self) -> bool {
        if self.depth == MAX_DEPTH {
            self.note(|| {
                Mistake::new(self.at, "nested too deep")
                    .allowing(format!("{MAX_DEPTH} objects and lists inside one another"))
            });
        }
        self.depth >= MAX_DEPTH
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, a list, a text, a number, a boolean or null")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        if self.is_too_deep() {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Array(list));
        }
        loop {
            let at = self.at.index(list.len());
            let element = Node {
                at: &at,
                depth: self.depth + 1,
                ..self
            };
            match elements.next_element_seed(element)? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        if self.is_too_deep() {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Object(object));
        }
        let mut told = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            let at = self.at.key(&key);
            if object.contains_key(&key) && told.insert(key.clone()) {
                self.note(|| {
                    let key: String = key.chars().take(100).collect();
                    Mistake::new(at, format!("`{key}` stands more than once"))
                        .allowing("each key once")
                });
            }
            let member = Node {
                at: &at,
                depth: self.depth + 1,
                ..self
            };
            let value = members.next_value_seed(member)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
