//! The origin of an app, as browsers see it.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use crate::protocol::forward_auth::canonical_host;
use crate::protocol::host::host_and_port;

/// Scheme, host and port of a guarded app: `https`, or `http` on the person's own machine, where
/// browsers keep `Secure` cookies all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: Box<str>,
    host: Box<str>,
}

/// The text is no origin that can be guarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no origin that can be guarded: `https://host` is wanted, with a port if it has one \
     (`http` for localhost only)"
)]
pub struct OriginError(String);

impl Origin {
    /// As browsers write it (RFC 6454 §6.1): no path, no default port.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host alone, as requests are found by: cookies do not tell ports apart.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// Whether browsers take the host for the machine they run on.
pub(super) fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || OriginError(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| refuse())?;
        let authority = uri.authority().ok_or_else(refuse)?;
        let (host, port) = host_and_port(authority).ok_or_else(refuse)?;
        let host = canonical_host(host).map_err(|_| refuse())?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let default_port = match scheme {
            "https" => 443,
            "http" if is_local(&host) => 80,
            _ => return Err(refuse()),
        };
        let port = port.filter(|port| *port != default_port);
        let is_bare =
            uri.path_and_query().is_none_or(|rest| rest.as_str() == "/") && !text.ends_with('/');
        if !is_bare || text.contains(['?', '#', '@']) {
            return Err(refuse());
        }
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(Self {
            text: format!("{scheme}://{host}{port}").into(),
            host: host.into(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_told_as_browsers_write_it() {
        for (text, told, host) in [
            ("https://app.example", "https://app.example", "app.example"),
            (
                "https://APP.example:443",
                "https://app.example",
                "app.example",
            ),
            (
                "https://app.example:8443",
                "https://app.example:8443",
                "app.example",
            ),
            (
                "http://app.localhost:8080",
                "http://app.localhost:8080",
                "app.localhost",
            ),
            ("http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1"),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!((origin.as_str(), origin.host()), (told, host));
        }
    }

    #[test]
    fn what_browsers_keep_no_secure_cookie_for_is_no_origin() {
        for text in [
            "",
            "app.example",
            "http://app.example",
            "https://",
            "https://app.example/",
            "https://app.example/x",
            "https://app.example?x",
            "https://user@app.example",
            "https://app.example:0",
            "https://*.example",
            "ftp://app.example",
            "http://localhost.example",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
