//! What proxies write down of where a request came from: `X-Forwarded-For`, and `Forwarded` of
//! RFC 7239. Each proxy adds its peer at the end; whom to believe is not decided here.

use std::net::{IpAddr, SocketAddr};

/// The hops that a line of `X-Forwarded-For` names, the farthest first. `None` stands for one that
/// is no address.
pub fn x_forwarded_for(line: &str) -> Vec<Option<IpAddr>> {
    line.split(',').map(|hop| address(hop.trim())).collect()
}

/// The hops that a line of `Forwarded` names, the farthest first. `None` stands for one that hides
/// who it was, or does not say. `None` instead of the hops when the line is not of RFC 7239.
pub fn forwarded(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut rest = line;
    let mut hops = Vec::new();
    loop {
        let (hop, after) = element(rest)?;
        hops.push(hop);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return after.is_empty().then_some(hops),
        }
    }
}

/// One `forwarded-element`: its `for`, and what follows it.
fn element(text: &str) -> Option<(Option<IpAddr>, &str)> {
    let mut rest = text.trim_start_matches([' ', '\t']);
    let mut seen = None;
    loop {
        if !rest.starts_with([';', ',']) && !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let (value, after) = value(after)?;
            if name.eq_ignore_ascii_case("for") {
                // Named twice, nobody knows which is meant.
                if seen.is_some() {
                    return None;
                }
                seen = Some(address(&value));
            }
            rest = after;
        }
        match rest.strip_prefix(';') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    Some((seen.flatten(), rest))
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| !u8::try_from(c).is_ok_and(is_token))
            .unwrap_or(text.len());
        let (token, after) = text.split_at_checked(end)?;
        return (!token.is_empty()).then(|| (token.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// RFC 9110 §5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// An address with or without a port; of IPv6 in brackets, or without them when there is no port.
fn address(text: &str) -> Option<IpAddr> {
    let found = text.parse().or_else(|_| {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        match bare {
            Some(bare) => bare.parse().map(IpAddr::V6),
            None => text.parse().map(|address: SocketAddr| address.ip()),
        }
    });
    found.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(hops: Vec<Option<IpAddr>>) -> Vec<String> {
        hops.into_iter()
            .map(|hop| hop.map_or_else(|| "-".to_owned(), |hop| hop.to_string()))
            .collect()
    }

    #[test]
    fn x_forwarded_for_names_addresses_with_and_without_ports() {
        let hops = x_forwarded_for(
            "192.0.2.1, 2001:db8::1,[2001:db8::2] , 192.0.2.3:80,[2001:db8::4]:443, \
             ::ffff:192.0.2.5, unknown,, 192.0.2.300",
        );
        assert_eq!(
            shown(hops),
            [
                "192.0.2.1",
                "2001:db8::1",
                "2001:db8::2",
                "192.0.2.3",
                "2001:db8::4",
                "192.0.2.5",
                "-",
                "-",
                "-"
            ]
        );
    }

    #[test]
    fn forwarded_is_read_by_the_letter() {
        for (line, hops) in [
            ("for=192.0.2.43", vec!["192.0.2.43"]),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                vec!["2001:db8:cafe::17"],
            ),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43, for=198.51.100.17",
                vec!["192.0.2.60", "198.51.100.17"],
            ),
            (
                "for=192.0.2.43,for=\"[2001:db8:cafe::17]\"",
                vec!["192.0.2.43", "2001:db8:cafe::17"],
            ),
            ("for=\"192.0.2.43:47011\"", vec!["192.0.2.43"]),
            ("for=\"_gazonk\"", vec!["-"]),
            ("for=unknown, for=192.0.2.1", vec!["-", "192.0.2.1"]),
            ("proto=https", vec!["-"]),
            (
                "by=\"a,for=192.0.2.1;\\\"\" ,for=192.0.2.2",
                vec!["-", "192.0.2.2"],
            ),
        ] {
            assert_eq!(
                forwarded(line).map(shown),
                Some(hops.into_iter().map(str::to_owned).collect()),
                "{line}"
            );
        }
        for line in [
            "for=\"192.0.2.1",
            "for=192.0.2.1 for=192.0.2.2",
            "for=192.0.2.1;for=192.0.2.2",
            "for",
            "=192.0.2.1",
            "for=",
            "for=[2001:db8::1]",
            "for=\"a\\",
            "fo r=192.0.2.1",
        ] {
            assert_eq!(forwarded(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_without_a_panic(line in "\\PC{0,80}") {
            let _ = (x_forwarded_for(&line), forwarded(&line));
        }

        #[test]
        fn what_a_proxy_adds_is_the_last_hop(
            before in "[ -~]{0,60}",
            last in any::<[u8; 4]>().prop_map(IpAddr::from),
        ) {
            let hops = x_forwarded_for(&format!("{before}, {last}"));
            prop_assert_eq!(hops.last().copied(), Some(Some(last)));
            // Of a line that somebody left open nothing is believed, rather than something wrong.
            if let Some(hops) = forwarded(&format!("{before}, for={last}")) {
                prop_assert_eq!(hops.last().copied(), Some(Some(last)));
            }
        }
    }
}
