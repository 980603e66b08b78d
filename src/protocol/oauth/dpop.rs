//! Wire form of proofs of possession: RFC 9449.

use http::Uri;
use serde::Deserialize;

use crate::protocol::host::host_and_port;

/// The `typ` header of a proof.
pub const DPOP_TYPE: &str = "dpop+jwt";
/// The header that carries a proof, and the authentication scheme of tokens bound to a key.
pub const DPOP: &str = "DPoP";
/// The header that carries the nonce for the next proof.
pub const DPOP_NONCE: &str = "dpop-nonce";

/// The claims of a proof (RFC 9449 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProofClaims {
    /// Its own name: it counts once.
    pub jti: String,
    /// The method of the request it is for.
    pub htm: String,
    /// The URL of the request it is for, without query and fragment.
    pub htu: String,
    /// When it was made.
    pub iat: i64,
    /// SHA-256 of the access token it comes with, base64url.
    #[serde(default)]
    pub ath: Option<String>,
    /// What the server gave out for it.
    #[serde(default)]
    pub nonce: Option<String>,
}

/// Whether `htu` names `url`: scheme and host in any case, a default port or none, query and
/// fragment aside (RFC 9449 §4.3).
pub fn names_url(htu: &str, url: &str) -> bool {
    match (normalized(htu), normalized(url)) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

fn normalized(text: &str) -> Option<(String, String, u16, String)> {
    let uri: Uri = text.split(['?', '#']).next()?.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let (host, port) = host_and_port(uri.authority()?)?;
    let port = match (port, scheme.as_str()) {
        (Some(port), _) => port,
        (None, "https") => 443,
        (None, "http") => 80,
        _ => return None,
    };
    Some((
        scheme,
        host.to_ascii_lowercase(),
        port,
        uri.path().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_named_in_any_spelling_that_means_it() {
        let url = "https://id.example/oauth2/token";
        for same in [
            url,
            "HTTPS://ID.example:443/oauth2/token",
            "https://id.example/oauth2/token?a=b",
            "https://id.example/oauth2/token#a",
        ] {
            assert!(names_url(same, url), "{same}");
        }
        for other in [
            "",
            "http://id.example/oauth2/token",
            "https://id.example:444/oauth2/token",
            "https://id.example:/oauth2/token",
            "https://id.example:65979/oauth2/token",
            "https://id.example:+443/oauth2/token",
            "https://id.example/oauth2/token/",
            "https://id.example.evil/oauth2/token",
            "https://id.example@evil/oauth2/token",
            "https://x@id.example/oauth2/token",
            "/oauth2/token",
        ] {
            assert!(!names_url(other, url), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_none(text in "\\PC*") {
            let _ = names_url(&text, "https://id.example/");
        }
    }
}
