//! Path templates: `/orgs/{org}/files/{path...}`.

use std::str::FromStr;

use crate::protocol::forward_auth::CanonicalPath;

/// The most segments of a template.
const MAX_SEGMENTS: usize = 32;

/// One part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// This segment.
    Literal(Box<str>),
    /// Any one segment.
    Capture(Box<str>),
    /// Any number of segments, none included. The last part.
    Rest(Box<str>),
}

/// Where a capture's value stands in a path that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The segment, counted from 0.
    Segment(usize),
    /// All segments from there on.
    Rest(usize),
}

impl Place {
    /// The value.
    pub fn value<'p>(self, path: &'p CanonicalPath<'_>) -> Option<&'p str> {
        match self {
            Self::Segment(place) => path.segment(place),
            Self::Rest(from) => Some(path.rest(from)),
        }
    }
}

/// A template, written as decoded text. A last `/` means nothing, neither here nor in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    parts: Vec<Part>,
}

impl PathTemplate {
    /// Its parts.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The captures with their places.
    pub fn captures(&self) -> impl Iterator<Item = (&str, Place)> {
        self.parts
            .iter()
            .enumerate()
            .filter_map(|(place, part)| match part {
                Part::Literal(_) => None,
                Part::Capture(name) => Some((&**name, Place::Segment(place))),
                Part::Rest(name) => Some((&**name, Place::Rest(place))),
            })
    }

    /// Where the value of a capture stands.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.captures()
            .find_map(|(one, place)| (one == name).then_some(place))
    }
}

impl FromStr for PathTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('/').ok_or("a path begins with `/`")?;
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let mut parts: Vec<Part> = Vec::new();
        if text == "/" {
            return Ok(Self { parts });
        }
        for segment in inner.split('/') {
            if let Some(Part::Rest(name)) = parts.last() {
                return Err(format!("nothing follows `{{{name}...}}`"));
            }
            let part = part(segment)?;
            if let Some(name) = name(&part)
                && parts.iter().any(|other| self::name(other) == Some(name))
            {
                return Err(format!("`{{{name}}}` stands twice"));
            }
            parts.push(part);
        }
        if parts.len() > MAX_SEGMENTS {
            return Err(format!("a path has at most {MAX_SEGMENTS} segments"));
        }
        Ok(Self { parts })
    }
}

fn name(part: &Part) -> Option<&str> {
    match part {
        Part::Literal(_) => None,
        Part::Capture(name) | Part::Rest(name) => Some(name),
    }
}

fn part(segment: &str) -> Result<Part, String> {
    if let Some(inner) = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        let (name, is_rest) = match inner.strip_suffix("...") {
            Some(name) => (name, true),
            None => (inner, false),
        };
        let right = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !right {
            return Err(format!(
                "`{segment}`: a capture is named with lower-case letters, digits and `_`"
            ));
        }
        return Ok(if is_rest {
            Part::Rest(name.into())
        } else {
            Part::Capture(name.into())
        });
    }
    if segment.contains(['{', '}', '*']) {
        return Err(format!(
            "`{segment}`: a capture is a whole segment, `{{name}}`, or the rest, `{{name...}}`"
        ));
    }
    // What no canonical path has would never fit, and a rule that never fits is a mistake.
    let fits = !matches!(segment, "" | "." | "..")
        && !segment.contains(['\\', ';'])
        && !segment.chars().any(char::is_control)
        && !segment.contains('%');
    if !fits {
        return Err(format!(
            "`{segment}` is no segment that a path can have: segments are written decoded, and \
             dot segments, empty ones, `\\` and `;` are refused"
        ));
    }
    Ok(Part::Literal(segment.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_have_their_places() {
        let template: PathTemplate = "/orgs/{org}/files/{path...}".parse().unwrap();
        assert_eq!(template.place("org"), Some(Place::Segment(1)));
        assert_eq!(template.place("path"), Some(Place::Rest(3)));
        assert_eq!(template.place("files"), None);
        let path = CanonicalPath::parse("/orgs/acme/files/a/b%20c").unwrap();
        assert_eq!(Place::Segment(1).value(&path), Some("acme"));
        assert_eq!(Place::Rest(3).value(&path), Some("a/b c"));
        assert!("/".parse::<PathTemplate>().unwrap().parts().is_empty());
        assert_eq!("/a/".parse::<PathTemplate>(), "/a".parse());
    }

    #[test]
    fn a_template_that_nothing_fits_is_refused() {
        for text in [
            "",
            "a",
            "//",
            "/a//b",
            "/a/../b",
            "/a;b",
            "/%61",
            "/a*",
            "/v{n}",
            "/{}",
            "/{A}",
            "/{a}/{a}",
            "/{a...}/b",
        ] {
            assert!(text.parse::<PathTemplate>().is_err(), "{text}");
        }
        let long = "/a".repeat(MAX_SEGMENTS + 1);
        assert!(long.parse::<PathTemplate>().is_err());
    }
}
