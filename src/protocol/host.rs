//! Host and port of a URL, where every reader must find the same.

use http::uri::Authority;

/// The host and the port of an authority that is just these. A user, an empty port, port 0 and one
/// that is out of range make it none: others read them differently, or not at all.
pub fn host_and_port(authority: &Authority) -> Option<(&str, Option<u16>)> {
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host)? {
        "" => None,
        after => {
            let digits = after.strip_prefix(':')?;
            // The number parser takes a sign as well.
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_a_port_that_there_is() {
        let read = |text: &str| {
            let authority: Authority = text.parse().unwrap();
            host_and_port(&authority).map(|(host, port)| (host.to_owned(), port))
        };
        for (text, host, port) in [
            ("id.example", "id.example", None),
            ("id.example:8443", "id.example", Some(8443)),
            ("[::1]:80", "[::1]", Some(80)),
        ] {
            assert_eq!(read(text), Some((host.to_owned(), port)));
        }
        for text in [
            "a@id.example",
            "id.example:",
            "id.example:0",
            "id.example:99999",
            "id.example:+80",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
