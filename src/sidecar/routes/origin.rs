//! Under which origin clients know an app behind a proxy: what a proof of possession must name.

use std::str::FromStr;

use http::Uri;

use crate::protocol::host::host_and_port;

/// What stands for the host that the route was found by.
const HOST: &str = "{host}";

/// Scheme, host and port; the host may be the one that the route was found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Always this one.
    Fixed(Box<str>),
    /// What stands before and behind the host of the request, which the route's `hosts` name.
    OfHost(Box<str>, Box<str>),
}

impl Origin {
    /// `https://{host}`, where nobody says anything else.
    pub fn of_host() -> Self {
        Self::OfHost("https://".into(), "".into())
    }

    /// The URL of a request. `path` is as its client sent it.
    pub fn url(&self, host: &str, path: &str) -> String {
        match self {
            Self::Fixed(origin) => format!("{origin}{path}"),
            Self::OfHost(before, behind) => format!("{before}{host}{behind}{path}"),
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (before, behind) = text.split_once(HOST).unwrap_or((text, ""));
        let is_fixed = !text.contains(HOST);
        let example = if is_fixed {
            text.to_owned()
        } else {
            format!("{before}host.example{behind}")
        };
        let is_right = example.parse().is_ok_and(|uri: Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().and_then(host_and_port).is_some()
                && uri.path_and_query().is_none_or(|path| path == "/")
                && !example.ends_with('/')
        });
        let is_whole =
            is_fixed || (before.ends_with("://") && (behind.is_empty() || behind.starts_with(':')));
        if !is_right || !is_whole {
            return Err(
                "scheme, host and port are wanted, `https://app.example:8443` or \
                 `https://{host}`, without a path"
                    .to_owned(),
            );
        }
        Ok(if is_fixed {
            Self::Fixed(text.into())
        } else {
            Self::OfHost(before.into(), behind.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_under_a_fixed_origin_or_under_the_host_of_the_request() {
        for (origin, url) in [
            ("https://app.example", "https://app.example/a?b"),
            ("http://app.example:8080", "http://app.example:8080/a?b"),
            ("https://{host}", "https://x.test/a?b"),
            ("http://{host}:8080", "http://x.test:8080/a?b"),
        ] {
            let origin: Origin = origin.parse().unwrap();
            assert_eq!(origin.url("x.test", "/a?b"), url);
        }
        assert_eq!(Ok(Origin::of_host()), "https://{host}".parse());
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "app.example",
            "https://",
            "ftp://app.example",
            "https://app.example/",
            "https://app.example/a",
            "https://app.example?a",
            "https://user@app.example",
            "https://app.example:99999",
            "https://{host}/",
            "https://x{host}",
            "https://x.{host}",
            "https://{host}{host}",
            "https://{host}.evil.example",
            "{host}",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
