//! Redirect URIs: which ones a request may name, and what an answer looks like that travels in one.

use form_urlencoded::byte_serialize;

/// Whether a client that registered `registered` may be answered at `presented`.
///
/// Strings are compared, nothing is normalized (RFC 9700 §2.1): no prefix, no pattern, no case
/// folding. The one exception is for native apps (RFC 8252 §7.3): on the loopback addresses
/// `127.0.0.1` and `[::1]`, over `http`, the port is the app's choice at the time of the request.
/// `localhost` is a name, which somebody else may answer for, and is compared whole.
pub fn redirect_allowed(registered: &[String], presented: &str, native: bool) -> bool {
    registered.iter().any(|one| {
        one == presented
            || native
                && match (Loopback::split(one), Loopback::split(presented)) {
                    (Some(one), Some(presented)) => one == presented,
                    _ => false,
                }
    })
}

/// A loopback redirect URI without its port.
#[derive(PartialEq, Eq)]
struct Loopback<'a> {
    host: &'static str,
    /// Path and query; what decides besides the host.
    rest: &'a str,
}

impl<'a> Loopback<'a> {
    fn split(uri: &'a str) -> Option<Self> {
        let (host, after) = ["127.0.0.1", "[::1]"].into_iter().find_map(|host| {
            let after = uri.strip_prefix("http://")?.strip_prefix(host)?;
            Some((host, after))
        })?;
        let rest = match after.strip_prefix(':') {
            Some(after) => {
                let end = after.find(|c: char| !c.is_ascii_digit());
                let (port, rest) = after.split_at_checked(end.unwrap_or(after.len()))?;
                port.parse::<u16>().ok().filter(|port| *port != 0)?;
                rest
            }
            None => after,
        };
        // Anything else here continues the host's name or begins a fragment.
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(Self { host, rest })
    }
}

/// `uri` with parameters added to its query. What the query has already stays, as it is.
pub fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut out = uri.to_owned();
    let mut join = match uri.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    for (name, value) in parameters {
        out.push_str(join);
        out.push_str(name);
        out.push('=');
        out.extend(byte_serialize(value.as_bytes()));
        join = "&";
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(registered: &str, presented: &str, native: bool) -> bool {
        redirect_allowed(&[registered.to_owned()], presented, native)
    }

    #[test]
    fn a_redirect_uri_is_compared_as_a_string() {
        let registered = "https://app.example/callback";
        assert!(allowed(registered, registered, false));
        for other in [
            "",
            "https://app.example/callback/",
            "https://app.example/callback?",
            "https://app.example/callback?x=1",
            "https://app.example/callback#f",
            "https://app.example/callback/../callback",
            "https://app.example:443/callback",
            "https://APP.example/callback",
            "https://app.example/Callback",
            "https://app.example/%63allback",
            "http://app.example/callback",
            "https://app.example.evil.test/callback",
            "https://app.example@evil.test/callback",
            " https://app.example/callback",
        ] {
            assert!(!allowed(registered, other, true), "{other}");
        }
    }

    #[test]
    fn a_native_app_chooses_its_port_on_a_loopback_address() {
        for (registered, presented) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:50123/cb"),
            ("http://127.0.0.1:8000/cb?a=b", "http://127.0.0.1:1/cb?a=b"),
            ("http://[::1]/cb", "http://[::1]:65535/cb"),
            ("http://127.0.0.1", "http://127.0.0.1:9"),
            ("http://127.0.0.1:9/cb", "http://127.0.0.1/cb"),
        ] {
            assert!(allowed(registered, presented, true), "{presented}");
            assert!(!allowed(registered, presented, false), "{presented}");
        }
    }

    #[test]
    fn nothing_but_the_port_is_free() {
        for (registered, presented) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:50123/other"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:50123/cb?x"),
            ("http://127.0.0.1/cb", "http://[::1]:50123/cb"),
            ("http://127.0.0.1/cb", "https://127.0.0.1:50123/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:+1/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.test/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.test/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.2:80/cb"),
            ("http://127.0.0.1", "http://127.0.0.1:80#/cb"),
            ("http://localhost/cb", "http://localhost:50123/cb"),
            ("https://127.0.0.1/cb", "https://127.0.0.1:50123/cb"),
        ] {
            assert!(!allowed(registered, presented, true), "{presented}");
        }
    }

    #[test]
    fn an_answer_leaves_the_query_of_the_uri_alone() {
        let add = |uri| with_parameters(uri, &[("code", "a b"), ("state", "ü&=")]);
        let added = "code=a+b&state=%C3%BC%26%3D";
        assert_eq!(add("https://a/cb"), format!("https://a/cb?{added}"));
        assert_eq!(add("https://a/cb?"), format!("https://a/cb?{added}"));
        assert_eq!(
            add("https://a/cb?x=%20"),
            format!("https://a/cb?x=%20&{added}")
        );
        assert_eq!(with_parameters("com.example:/cb", &[]), "com.example:/cb");
    }

    proptest! {
        #[test]
        fn what_is_allowed_differs_in_a_loopback_port_at_most(
            registered in "http://(127\\.0\\.0\\.1|\\[::1\\]|localhost)(:[0-9]{1,5})?(/[a-z?]{0,3})?",
            presented in "http://(127\\.0\\.0\\.1|\\[::1\\]|localhost)(:[0-9]{0,6})?([/@.#?a][a-z?]{0,3})?",
        ) {
            let without_port = |uri: &str| {
                let parsed: http::Uri = uri.parse().ok()?;
                Some((parsed.host()?.to_owned(), parsed.path().to_owned(), parsed.query().map(str::to_owned)))
            };
            if registered != presented && allowed(&registered, &presented, true) {
                prop_assert_eq!(without_port(&registered), without_port(&presented));
                prop_assert!(!presented.contains("localhost") && !presented.contains(['@', '#']));
            }
        }

        #[test]
        fn parameters_survive_the_way(value in "\\PC*", query in "[a-z=&]{0,8}") {
            let uri = with_parameters(&format!("https://a/cb?{query}"), &[("state", &value)]);
            let (_, read) = uri.split_once('?').unwrap();
            let last = form_urlencoded::parse(read.as_bytes()).last().unwrap();
            prop_assert_eq!(last, ("state".into(), value.into()));
            let kept = format!("https://a/cb?{query}");
            prop_assert!(uri.starts_with(&kept));
            prop_assert!(uri.is_ascii());
        }
    }
}
