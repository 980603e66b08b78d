//! The path of an original request, in the one spelling that every program behind must find in it.
//!
//! A rule for `/admin` is worth nothing if `/public/../admin`, `/a%2f..%2fadmin` or `/%61dmin` reaches
//! the same handler: proxies hand the path on as it was sent (Traefik aside), so the path is decoded
//! once, and one that another program might read otherwise is refused instead of mended.

use std::borrow::Cow;

/// The longest request target that is looked at, query included.
pub const MAX_PATH: usize = 16 * 1024;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`: `*`, an absolute form, nothing.
    #[error("the path does not begin with `/`")]
    Form,
    /// Longer than [`MAX_PATH`].
    #[error("the path is too long")]
    TooLong,
    /// A byte that no URI has, a control character, `\`, `;` or `#`.
    #[error("the path has a character that programs read differently")]
    Character,
    /// `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the path's percent-encoding is no text")]
    Encoding,
    /// An encoded `/`, `\`, `;`, `%xx` or control character.
    #[error("the path encodes a character that programs read differently")]
    EncodedDelimiter,
    /// A letter, digit, `-`, `.`, `_` or `~` that is encoded (RFC 3986 §6.2.2.2).
    #[error("the path encodes a character that needs no encoding")]
    EncodedUnreserved,
    /// `.` or `..` as a segment.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
}

/// A path of segments: no dot segments, no empty ones but the last, every percent-encoding decoded
/// once. Decoding it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    /// Begins with `/`; without the last `/` unless it is the only one.
    decoded: Cow<'a, str>,
}

impl<'a> CanonicalPath<'a> {
    /// Reads a request target as it was sent: path, and a query that is left unread.
    ///
    /// # Errors
    ///
    /// [`PathError`]; the request is refused.
    pub fn parse(target: &'a str) -> Result<Self, PathError> {
        if target.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        // A fragment is never sent; who sees one behind a query may cut there and others not.
        if target.contains('#') {
            return Err(PathError::Character);
        }
        let path = target.split('?').next().unwrap_or_default();
        if !path.starts_with('/') {
            return Err(PathError::Form);
        }
        // `\` and `;` begin a path parameter, or a new segment, to some.
        if path
            .bytes()
            .any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'\\' | b';'))
        {
            return Err(PathError::Character);
        }
        let decoded = decode(path)?;
        for segment in inner_segments(&decoded) {
            match segment {
                "" => return Err(PathError::EmptySegment),
                "." | ".." => return Err(PathError::DotSegment),
                _ => {}
            }
        }
        Ok(Self {
            decoded: without_last_slash(decoded),
        })
    }

    /// The decoded path: `/` and then the segments. A last `/` is not told.
    pub fn as_str(&self) -> &str {
        &self.decoded
    }

    /// The segment at a place, counted from 0.
    pub fn segment(&self, place: usize) -> Option<&str> {
        self.segments().nth(place)
    }

    /// What follows the first `segments` of them, without a `/` before it; empty if nothing does.
    pub fn rest(&self, segments: usize) -> &str {
        let mut rest = self.decoded.strip_prefix('/').unwrap_or_default();
        for _ in 0..segments {
            rest = rest.split_once('/').map_or("", |(_, after)| after);
        }
        rest
    }

    /// The segments; none of `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        let inner = self.decoded.strip_prefix('/').unwrap_or_default();
        inner.split('/').filter(|segment| !segment.is_empty())
    }
}

/// All segments, without the empty one that a last `/` makes.
fn inner_segments(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.strip_prefix('/').unwrap_or_default();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    // Only of `/` itself is nothing left.
    let nothing = inner.is_empty() && path.len() <= 1;
    inner.split('/').filter(move |_| !nothing)
}

fn without_last_slash(path: Cow<'_, str>) -> Cow<'_, str> {
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(match path.strip_suffix('/') {
            Some("") | None => path,
            Some(rest) => rest,
        }),
        Cow::Owned(mut path) => {
            if path.len() > 1 && path.ends_with('/') {
                path.pop();
            }
            Cow::Owned(path)
        }
    }
}

fn decode(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex))
        else {
            return Err(PathError::Encoding);
        };
        match high << 4 | low {
            b'/' | b'\\' | b';' | 0..=0x1f | 0x7f => return Err(PathError::EncodedDelimiter),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                return Err(PathError::EncodedUnreserved);
            }
            byte => out.push(byte),
        }
    }
    let decoded = String::from_utf8(out).map_err(|_| PathError::Encoding)?;
    // C1 controls, and what a second decoding would change.
    if decoded.chars().any(char::is_control) || decodes_again(decoded.as_bytes()) {
        return Err(PathError::EncodedDelimiter);
    }
    Ok(Cow::Owned(decoded))
}

fn decodes_again(decoded: &[u8]) -> bool {
    decoded.windows(3).any(
        |three| matches!(three, [b'%', high, low] if hex(*high).is_some() && hex(*low).is_some()),
    )
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_told_without_query_and_last_slash() {
        for (sent, told) in [
            ("/", "/"),
            ("/?x=//..", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a/b?c=%2f..", "/a/b"),
            ("/caf%C3%A9/100%25", "/café/100%"),
            ("/a%20b/", "/a b"),
            ("/.well-known/...", "/.well-known/..."),
            ("/wiki/C%23", "/wiki/C#"),
            ("/~user/@me/a:b,c=d|e", "/~user/@me/a:b,c=d|e"),
        ] {
            let path = CanonicalPath::parse(sent).unwrap();
            assert_eq!(path.as_str(), told, "{sent}");
        }
        let path = CanonicalPath::parse("/a/b%20c/").unwrap();
        assert!(path.segments().eq(["a", "b c"]));
        assert_eq!((path.segment(1), path.segment(2)), (Some("b c"), None));
        assert_eq!(["a/b c", "b c", "", ""], [0, 1, 2, 3].map(|n| path.rest(n)));
        assert_eq!(CanonicalPath::parse("/").unwrap().segments().count(), 0);
    }

    #[test]
    fn a_path_that_two_programs_read_differently_is_refused() {
        use PathError::*;
        for (sent, error) in [
            ("", Form),
            ("*", Form),
            ("a/b", Form),
            ("http://evil.example/app", Form),
            ("?a", Form),
            ("//forbidden", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("//", EmptySegment),
            ("/a/../forbidden", DotSegment),
            ("/./forbidden", DotSegment),
            ("/a/..", DotSegment),
            ("/a/../", DotSegment),
            ("/a/%2e%2e/forbidden", EncodedUnreserved),
            ("/%66orbidden", EncodedUnreserved),
            ("/a%2f..%2fforbidden", EncodedDelimiter),
            ("/a%5C..%5Cforbidden", EncodedDelimiter),
            ("/app%00", EncodedDelimiter),
            ("/app%0d%0aX:1", EncodedDelimiter),
            ("/app%3b", EncodedDelimiter),
            ("/app%c2%85", EncodedDelimiter),
            ("/%252e%252e/forbidden", EncodedDelimiter),
            ("/public/..;/app", Character),
            ("/app;v=1", Character),
            ("/public\\..\\app", Character),
            ("/app#frag", Character),
            ("/app?q#frag", Character),
            ("/a b", Character),
            ("/café", Character),
            ("/a%", Encoding),
            ("/a%2", Encoding),
            ("/a%zz", Encoding),
            ("/a%ff", Encoding),
            ("/a%c0%af", Encoding),
        ] {
            assert_eq!(CanonicalPath::parse(sent), Err(error), "{sent}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH));
        assert_eq!(CanonicalPath::parse(&long), Err(TooLong));
    }
}
