//! The host of an original request.

use std::borrow::Cow;

/// The longest name that is looked at (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

/// Why a host cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the host is no name, or no address, with at most a port behind it")]
pub struct HostError;

/// The name without port and trailing dot, in lower case.
///
/// # Errors
///
/// [`HostError`] for anything but a DNS name, an IPv4 or a bracketed IPv6 address with an optional
/// port.
pub fn canonical_host(text: &str) -> Result<Cow<'_, str>, HostError> {
    let (name, port) = match text.rfind(']') {
        Some(end) => text.split_at_checked(end + 1).ok_or(HostError)?,
        None => text
            .split_at_checked(text.find(':').unwrap_or(text.len()))
            .ok_or(HostError)?,
    };
    let port_is_right = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| {
            (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
        });
    let name = name.strip_suffix('.').unwrap_or(name);
    if !port_is_right || name.is_empty() || name.len() > MAX_HOST || !is_name(name) {
        return Err(HostError);
    }
    Ok(if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    })
}

fn is_name(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[') {
        return address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    name.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_in_one_spelling() {
        for (text, host) in [
            ("app.example", "app.example"),
            ("APP.Example:8443", "app.example"),
            ("app.example.", "app.example"),
            ("app.example.:443", "app.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
        ] {
            assert_eq!(canonical_host(text).as_deref(), Ok(host));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            ".",
            ":80",
            "a..b",
            "a:b",
            "a:80:80",
            "a:",
            "a:123456",
            "user@a",
            "a/b",
            "a,b",
            "a b",
            "[::1",
            "::1",
            "[x]",
            "[::1]x",
            "café.example",
            &"a".repeat(254),
        ] {
            assert_eq!(canonical_host(text), Err(HostError), "{text}");
        }
    }
}
