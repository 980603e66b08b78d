//! The `Cookie` header (RFC 6265 §4.2): one value of a name, never a guess among several.

use http::HeaderMap;
use http::header::COOKIE;

/// What a request says by a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie<'h> {
    /// Nothing.
    Absent,
    /// This, once.
    One(&'h str),
    /// Several things, or what nobody can read: whoever picked one would let the sender choose.
    Unclear,
}

/// Looks for a cookie. Some proxies join two `Cookie` headers by a comma: a pair that stands behind
/// one is one of several.
pub fn find<'h>(headers: &'h HeaderMap, name: &str) -> Cookie<'h> {
    let mut found = Cookie::Absent;
    for pair in headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
    {
        let mut parts = pair.split(|byte| *byte == b',');
        let whole = parts.next().and_then(|_| value_of(pair, name));
        if parts.any(|part| value_of(part, name).is_some()) {
            return Cookie::Unclear;
        }
        let Some(value) = whole else { continue };
        let readable = value.iter().all(u8::is_ascii_graphic);
        match (found, std::str::from_utf8(value)) {
            (Cookie::Absent, Ok(value)) if readable => found = Cookie::One(value),
            _ => return Cookie::Unclear,
        }
    }
    // An empty one says as much as none.
    if found == Cookie::One("") {
        Cookie::Absent
    } else {
        found
    }
}

/// The value of a cookie that stands there once; several of one name are none.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    match find(headers, name) {
        Cookie::One(value) => Some(value),
        Cookie::Absent | Cookie::Unclear => None,
    }
}

fn value_of<'h>(pair: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
    rest.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[&'static [u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_read_from_any_header_and_never_guessed_among_several() {
        let mut headers = headers(&[b"a=1; __Host-doorward=x", b"b=2;empty="]);
        assert_eq!(cookie(&headers, "__Host-doorward"), Some("x"));
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "empty"), None);
        assert_eq!(find(&headers, "empty"), Cookie::Absent);
        assert_eq!(find(&headers, "c"), Cookie::Absent);
        headers.append(COOKIE, HeaderValue::from_static("b=3"));
        assert_eq!(cookie(&headers, "b"), None);
        assert_eq!(find(&headers, "b"), Cookie::Unclear);
    }

    #[test]
    fn a_cookie_that_nobody_can_read_is_one_of_several_all_the_same() {
        let headers = headers(&[b"a=1", b"a=\xf4", b"b=\xf4"]);
        assert_eq!(find(&headers, "a"), Cookie::Unclear);
        assert_eq!(find(&headers, "b"), Cookie::Unclear);
    }

    #[test]
    fn a_cookie_behind_a_comma_is_one_of_several() {
        for line in [
            b"x=1,a=2".as_slice(),
            b"a=1,a=2",
            b"a=1; x=y, a=2",
            b"a=;a=2",
        ] {
            let headers = headers(&[line]);
            assert_eq!(find(&headers, "a"), Cookie::Unclear, "{line:?}");
        }
        let one = headers(&[b"a=1,b"]);
        assert_eq!(find(&one, "a"), Cookie::One("1,b"));
    }
}
