//! URLs that proofs of possession name, and URLs that strangers would have the authority ask.

use std::net::IpAddr;
use std::sync::LazyLock;

use doorward::authority::outbound::{Outbound, OutboundConfig, is_public};
use doorward::protocol::oauth::dpop::names_url;

use super::{Verdict, first_line, verdict};

/// `htu` of a proof, and the URL of the request in the second line.
pub fn proof_urls(data: &[u8]) -> Verdict {
    let (htu, url) = first_line(data);
    let (Ok(htu), Ok(url)) = (std::str::from_utf8(htu), std::str::from_utf8(url)) else {
        return 0;
    };
    let named = names_url(htu, url);
    let (left, right) = (parts(htu), parts(url));
    if named {
        assert!(left.is_some(), "{htu} is taken for {url}");
        assert_eq!(left, right, "{htu} is taken for {url}");
        assert!(names_url(url, htu), "{url}");
    }
    verdict((named, left.is_some(), right.is_some(), left == right))
}

type Parts = (String, String, u16, String);

/// RFC 3986 §3, by hand: scheme, host, port and path; no user.
fn parts(text: &str) -> Option<Parts> {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (scheme, rest) = text[..end].split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let after_host = match authority.strip_prefix('[') {
        Some(literal) => literal.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(after_host);
    let port = match (port.strip_prefix(':'), scheme.as_str()) {
        (Some(digits), _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok()?
        }
        (None, "https") if port.is_empty() => 443,
        (None, "http") if port.is_empty() => 80,
        _ => return None,
    };
    if host.is_empty() || authority.contains('@') {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    Some((scheme, host.to_ascii_lowercase(), port, path.to_owned()))
}

static OUTBOUND: LazyLock<Outbound> =
    LazyLock::new(|| Outbound::new(OutboundConfig::default()).unwrap());

/// A URL of somebody's metadata.
pub fn outbound_urls(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return 0;
    };
    let outcome = OUTBOUND.check_url(text);
    if outcome.is_ok() {
        let Some((scheme, host, port, _)) = parts(text) else {
            panic!("{text} is asked and is no URL");
        };
        assert_eq!(scheme, "https", "{text}");
        assert!(port > 0 && !text.contains('#'), "{text}");
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            assert!(is_public(address), "{text}");
        }
    }
    verdict(outcome.is_ok())
}
