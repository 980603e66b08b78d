//! Sources of a Content Security Policy, made of URLs that others chose.

use http::Uri;

/// The source that allows `url`: its origin, or its scheme where the policy's grammar has no way to
/// say the origin (an app's own scheme, an IPv6 address). `None` for what is no URL, so that nothing
/// of it reaches the header.
pub(super) fn source_of(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    if !is_scheme(scheme) {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Some(format!("{scheme}:"));
    }
    let uri = url.parse::<Uri>().ok()?;
    let host = uri.host()?;
    if host.starts_with('[') {
        return Some(format!("{scheme}:"));
    }
    let named = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    named.then(|| match uri.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// The source of an image: `https`, or plain HTTP of the machine itself.
pub(super) fn image_source(url: &str) -> Option<String> {
    let source = source_of(url)?;
    let local = source.starts_with("http://127.0.0.1") || source.starts_with("http://localhost");
    (source.starts_with("https://") || local).then_some(source)
}

/// `url` if a link may lead there: a page of the web or, from the brand, a mailbox.
pub(super) fn safe_link(url: &str) -> Option<&str> {
    let fine = ["https://", "http://", "mailto:"];
    fine.iter()
        .any(|start| url.starts_with(start))
        .then_some(url)
}

/// A scheme of RFC 3986 §3.1, less those that are code or data.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !["javascript", "data", "blob", "vbscript", "filesystem"]
            .iter()
            .any(|code| text.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_origin_or_a_scheme() {
        for (url, source) in [
            ("https://app.example.com/cb?x=1", "https://app.example.com"),
            ("http://127.0.0.1:8080/cb", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/cb", "http:"),
            ("com.example.app:/callback", "com.example.app:"),
        ] {
            assert_eq!(source_of(url).as_deref(), Some(source), "{url}");
        }
    }

    #[test]
    fn nothing_that_could_change_the_policy_becomes_a_source() {
        for url in [
            "",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a;script-src *",
            "https://a b/",
            "a;b:/",
            "*:/",
            "https://*.example.com/",
            "//example.com",
        ] {
            assert_eq!(source_of(url), None, "{url}");
        }
    }

    #[test]
    fn an_image_comes_over_tls() {
        assert!(image_source("https://cdn.example.com/a.png").is_some());
        assert!(image_source("http://example.com/a.png").is_none());
        assert!(image_source("com.example.app:/a.png").is_none());
    }
}
