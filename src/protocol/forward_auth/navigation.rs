//! Whether a request is a person on the way to a page, who can be sent to log in.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName};

const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Whether a browser would show the answer of a request as a page of its own: a `GET` that Fetch
/// Metadata calls a navigation of a window, or, from browsers that do not speak it, one that wants
/// HTML. A script's request, an image or a frame that was redirected to a login would only get a page
/// that it cannot use, and a prefetch would begin logins that nobody asked for.
pub fn is_navigation(method: &str, headers: &HeaderMap) -> bool {
    if method != "GET" || headers.contains_key(PURPOSE) || headers.contains_key(REQUESTED_WITH) {
        return false;
    }
    let only = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        Some(if values.next().is_some() {
            b"".as_slice()
        } else {
            first.as_bytes()
        })
    };
    match (only(&MODE), only(&DEST)) {
        (None, None) => headers.get_all(ACCEPT).iter().any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .any(|range| media_type(range).eq_ignore_ascii_case(b"text/html"))
        }),
        (mode, dest) => {
            mode.is_none_or(|mode| mode == b"navigate")
                && dest.is_none_or(|dest| dest == b"document")
        }
    }
}

fn media_type(range: &[u8]) -> &[u8] {
    let end = range.iter().position(|byte| *byte == b';');
    end.and_then(|end| range.get(..end))
        .unwrap_or(range)
        .trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        is_navigation(method, &headers)
    }

    #[test]
    fn a_person_on_the_way_to_a_page_navigates_and_nothing_else_does() {
        let (mode, dest) = ("sec-fetch-mode", "sec-fetch-dest");
        for (lines, navigates) in [
            (&[(mode, "navigate"), (dest, "document")][..], true),
            (&[(mode, "navigate")], true),
            (&[("accept", "text/html,application/xhtml+xml;q=0.9")], true),
            (&[("accept", "image/png, Text/HTML;q=0.8")], true),
            (&[(mode, "navigate"), (dest, "iframe")], false),
            (
                &[(mode, "cors"), (dest, "empty"), ("accept", "text/html")],
                false,
            ),
            (&[(mode, "no-cors"), (dest, "image")], false),
            (&[(mode, "navigate"), (mode, "navigate")], false),
            (&[(dest, "empty"), ("accept", "text/html")], false),
            (&[("accept", "*/*")], false),
            (&[("accept", "text/htmlx")], false),
            (&[], false),
            (
                &[
                    ("accept", "text/html"),
                    ("x-requested-with", "XMLHttpRequest"),
                ],
                false,
            ),
            (&[(mode, "navigate"), ("sec-purpose", "prefetch")], false),
        ] {
            assert_eq!(asked("GET", lines), navigates, "{lines:?}");
        }
        for method in ["POST", "HEAD", "OPTIONS", "get"] {
            assert!(!asked(method, &[(mode, "navigate"), (dest, "document")]));
        }
    }
}
