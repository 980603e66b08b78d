//! YAML whose mistakes have a line and a field.

use std::fmt::{self, Write as _};
use std::path::Path;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::de::{Error as _, IgnoredAny};
use serde_path_to_error::Segment;

use super::super::error::CliError;

/// A step into a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Into a mapping.
    Key(&'a str),
    /// Into a list, from zero.
    Place(usize),
}

/// A document as it was read.
#[derive(Debug)]
pub(super) struct Document {
    name: String,
    text: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`CliError`] of kind usage.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::usage(format!("{name} cannot be read: {error}")))?;
        Ok(Self { name, text })
    }

    /// The document as a value.
    ///
    /// # Errors
    ///
    /// [`CliError`] of kind usage with file, line and field.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        let deserializer = serde_norway::Deserializer::from_str(&self.text);
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let field = error.path().to_string();
            let steps: Vec<Step<'_>> = error
                .path()
                .iter()
                .map_while(|segment| match segment {
                    Segment::Seq { index } => Some(Step::Place(*index)),
                    Segment::Map { key } => Some(Step::Key(key)),
                    Segment::Enum { .. } | Segment::Unknown => None,
                })
                .collect();
            let told = error
                .inner()
                .location()
                .map_or(1, |location| location.line());
            // The parser knows where it was; a field that stands below is more exact.
            let line = self.line(&steps).max(told);
            let message = error.inner().to_string();
            let message = bare(&message, &field);
            if field == "." {
                return CliError::usage(format!("{}:{line}: {message}", self.name));
            }
            CliError::usage(format!("{}:{line}: {field}: {message}", self.name))
        })
    }

    /// The line of a field, from one; of the nearest one around it that is there.
    pub(super) fn line(&self, steps: &[Step<'_>]) -> usize {
        (0..=steps.len())
            .rev()
            .find_map(|length| {
                let seek = Seek(steps.get(..length)?);
                let error = seek
                    .deserialize(serde_norway::Deserializer::from_str(&self.text))
                    .err()?;
                error
                    .to_string()
                    .contains(FOUND)
                    .then(|| error.location().map(|location| location.line()))?
            })
            .unwrap_or(1)
    }

    /// A mistake in a field.
    pub(super) fn mistake(&self, steps: &[Step<'_>], message: impl fmt::Display) -> CliError {
        let mut field = String::new();
        for step in steps {
            match step {
                Step::Key(key) if field.is_empty() => field.push_str(key),
                Step::Key(key) => {
                    field.push('.');
                    field.push_str(key);
                }
                Step::Place(place) => _ = write!(field, "[{place}]"),
            }
        }
        CliError::usage(format!(
            "{}:{}: {field}: {message}",
            self.name,
            self.line(steps)
        ))
    }

    /// `file:line`.
    pub(super) fn place(&self, steps: &[Step<'_>]) -> String {
        format!("{}:{}", self.name, self.line(steps))
    }
}

/// A message of the parser's without the field and the place that it adds itself.
fn bare<'a>(message: &'a str, field: &str) -> &'a str {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message);
    match message.split_once(": ") {
        Some((part, rest)) if field.starts_with(part) => rest,
        _ => message,
    }
}

/// What the error at the wanted field says.
const FOUND: &str = "this is the field";

/// Walks to a field and fails there, since it is errors that know their line.
struct Seek<'a>(&'a [Step<'a>]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every value that is neither a mapping nor a list ends here.
        f.write_str(if self.0.is_empty() {
            FOUND
        } else {
            "something else"
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(if self.0.is_empty() { FOUND } else { "" }));
        };
        while let Some(key) = map.next_key::<String>()? {
            if key == *wanted {
                map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Place(wanted), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(if self.0.is_empty() { FOUND } else { "" }));
        };
        for _ in 0..*wanted {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Seek(rest))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn document(text: &str) -> Document {
        Document {
            name: "a.yaml".to_owned(),
            text: text.to_owned(),
        }
    }

    const TEXT: &str =
        "# cases\nname: x\ncases:\n  - a: 1\n    b: [2, 3]\n\n  - a: 4\n    c:\n      d: 5\n";

    #[test]
    fn a_field_is_found_by_its_line() {
        let document = document(TEXT);
        let (cases, key) = (Step::Key("cases"), Step::Key);
        for (steps, line) in [
            (&[key("name")][..], 2),
            (&[cases, Step::Place(0), key("b"), Step::Place(1)], 5),
            (&[cases, Step::Place(1), key("c"), key("d")], 9),
            (&[cases, Step::Place(1), key("c"), key("not there")], 9),
        ] {
            assert_eq!(document.line(steps), line, "{steps:?}");
        }
        let error = document.mistake(&[cases, Step::Place(1), key("a")], "no");
        assert_eq!(error.to_string(), "a.yaml:7: cases[1].a: no");
    }

    #[test]
    fn what_does_not_fit_is_told_with_line_and_field() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[expect(dead_code, reason = "only read")]
            cases: Vec<Case>,
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Case {
            #[expect(dead_code, reason = "only read")]
            a: u8,
        }
        let error = document("cases:\n  - a: 1\n  - a: x\n")
            .read::<File>()
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.starts_with("a.yaml:3: cases[1].a: invalid type"),
            "{said}"
        );
        assert!(!said.contains("at line"), "{said}");
    }
}
