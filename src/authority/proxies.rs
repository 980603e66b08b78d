//! Where a request came from: the peer, or what a configured proxy says of it.
//!
//! ```toml
//! [proxies]
//! trusted = ["10.0.0.0/8", "unix"]
//! header = "x-forwarded-for"
//! ```
//!
//! Anybody can send the header. So it is read only from a peer that is configured, and in it only
//! what configured proxies added: from its end, up to the first address that is none of theirs.
//! Nothing else of a request is ever taken from such headers: the issuer is configuration.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::protocol::forwarded;
use crate::runtime::config::Reader;
use crate::runtime::serve::Peer;

/// More hops than this are no chain of proxies.
const HOPS_MAX: usize = 32;

/// The proxies that are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    networks: Vec<IpNet>,
    unix: bool,
    family: Family,
}

/// Which header proxies write. The other one is not read, whoever sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Family {
    #[default]
    XForwardedFor,
    Forwarded,
}

/// Who a proxy may be: a network, an address, or whoever may open the Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trusted {
    Network(IpNet),
    Unix,
}

impl FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("x-forwarded-for") {
            Ok(Self::XForwardedFor)
        } else if text.eq_ignore_ascii_case("forwarded") {
            Ok(Self::Forwarded)
        } else {
            Err(format!(
                "`{text}` is neither `x-forwarded-for` nor `forwarded`"
            ))
        }
    }
}

impl FromStr for Trusted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = network(text)?;
        if network.prefix_len() == 0 {
            return Err(format!(
                "`{text}` is everybody: name the networks of the proxies"
            ));
        }
        Ok(Self::Network(network))
    }
}

/// A network as a configuration writes it: `10.0.0.0/8`, or a single address.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed
        .map(|network| network.trunc())
        .map_err(|_| format!("`{text}` is no network: `10.0.0.0/8` is wanted"))
}

impl Proxies {
    /// Those of these networks (`10.0.0.0/8`, `unix`), who write this header.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them.
    pub fn new(trusted: &[&str], header: &str) -> Result<Self, String> {
        let trusted: Result<Vec<Trusted>, _> = trusted.iter().map(|text| text.parse()).collect();
        Ok(Self::of(trusted?, header.parse()?))
    }

    /// Reads the section.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let trusted: Vec<Trusted> = reader.list("trusted");
        let family: Option<Family> = reader.optional("header");
        if trusted.is_empty() != family.is_none() {
            let why = "`trusted` and `header` are set together: which proxies, and what they write";
            reader.mistake("header", why.to_owned());
        }
        Self::of(trusted, family.unwrap_or_default())
    }

    fn of(trusted: Vec<Trusted>, family: Family) -> Self {
        Self {
            unix: trusted.contains(&Trusted::Unix),
            networks: trusted
                .into_iter()
                .filter_map(|trusted| match trusted {
                    Trusted::Network(network) => Some(network),
                    Trusted::Unix => None,
                })
                .collect(),
            family,
        }
    }

    /// Whether nobody is trusted.
    pub const fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Where a request came from.
    pub fn client(&self, peer: Option<Peer>, headers: &HeaderMap) -> ClientAddress {
        let (own, by_proxy) = match peer {
            Some(Peer::Tcp(address)) => {
                let ip = address.ip().to_canonical();
                (Some(ip), self.trusts(ip))
            }
            Some(Peer::Unix) => (None, self.unix),
            None => (None, false),
        };
        let told = by_proxy.then(|| self.told(headers)).flatten();
        ClientAddress {
            ip: told.or(own),
            local: !by_proxy && own.is_none_or(|ip| ip.is_loopback()),
        }
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// The nearest hop that is no proxy of ours, or the farthest of all when each is one. `None`
    /// when a proxy wrote nothing, or something that cannot be read.
    fn told(&self, headers: &HeaderMap) -> Option<IpAddr> {
        const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        let name = match self.family {
            Family::XForwardedFor => X_FORWARDED_FOR,
            Family::Forwarded => http::header::FORWARDED,
        };
        let mut farthest = None;
        let mut count = 0;
        for line in headers.get_all(name).iter().rev() {
            let line = line.to_str().ok()?;
            let hops = match self.family {
                Family::XForwardedFor => forwarded::x_forwarded_for(line),
                Family::Forwarded => forwarded::forwarded(line)?,
            };
            for hop in hops.into_iter().rev() {
                count += 1;
                let ip = hop.filter(|_| count <= HOPS_MAX)?;
                if !self.trusts(ip) {
                    return Some(ip);
                }
                farthest = Some(ip);
            }
        }
        farthest
    }
}

/// Where a request came from, as far as can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    ip: Option<IpAddr>,
    local: bool,
}

impl ClientAddress {
    /// The address; `None` for a Unix socket.
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Whether it came from the machine itself, and not through a proxy.
    pub const fn is_local(&self) -> bool {
        self.local
    }

    /// The network that is kept with a session and shown to its user: a /24, or a /48. Enough to
    /// tell home from abroad.
    pub fn network(&self) -> Option<String> {
        let network = match self.ip? {
            IpAddr::V4(ip) => IpNet::V4(Ipv4Net::new_assert(ip, 24)),
            IpAddr::V6(ip) => IpNet::V6(Ipv6Net::new_assert(ip, 48)),
        };
        Some(network.trunc().to_string())
    }

    /// The same for a line of the log; `-` for a Unix socket.
    pub fn network_text(&self) -> String {
        self.network().unwrap_or_else(|| "-".to_owned())
    }

    /// By what failures and load are counted: the address, or the /64 of IPv6, which is one
    /// customer's.
    pub fn counted_as(&self) -> IpAddr {
        match self.ip {
            Some(IpAddr::V6(ip)) => IpAddr::V6(Ipv6Net::new_assert(ip, 64).network()),
            Some(ip) => ip,
            None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => write!(f, "{ip}"),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::runtime::config::Environment;

    fn read(text: &str) -> Result<Proxies, String> {
        let environment = Environment::default();
        let mut reader = Reader::from_text(text, "a.toml", &environment, "A").unwrap();
        let proxies = Proxies::read(&mut reader);
        reader.finish().map_err(|error| error.to_string())?;
        Ok(proxies)
    }

    fn proxies(header: &str) -> Proxies {
        read(&format!(
            "trusted = ['10.0.0.0/8', '2001:db8:f::/48', '192.0.2.7', 'unix']\nheader = '{header}'"
        ))
        .unwrap()
    }

    fn peer(text: &str) -> Peer {
        match text {
            "unix" => Peer::Unix,
            text => Peer::Tcp((text.parse::<IpAddr>().unwrap(), 1).into()),
        }
    }

    fn client(proxies: &Proxies, from: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        proxies.client(Some(peer(from)), &headers).to_string()
    }

    #[test]
    fn the_last_hop_that_is_no_proxy_of_ours_is_the_client() {
        /// The peer, the lines, who it is.
        type Case = (&'static str, &'static [&'static str], &'static str);
        const XFF: &str = "x-forwarded-for";
        let proxies = proxies("X-Forwarded-For");
        let cases: &[Case] = &[
            ("203.0.113.9", &[], "203.0.113.9"),
            // Whoever is no proxy can say what they like.
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.1.2.3", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.1.2.3", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("192.0.2.7", &["198.51.100.1:4711"], "198.51.100.1"),
            ("192.0.2.8", &["198.51.100.1"], "192.0.2.8"),
            ("2001:db8:f::1", &["[2001:db8:1::2]:80"], "2001:db8:1::2"),
            ("unix", &["198.51.100.1"], "198.51.100.1"),
            ("unix", &[], "-"),
            // What stood there before the proxies is the client's own invention.
            ("10.1.2.3", &["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
            (
                "10.1.2.3",
                &["nonsense, 198.51.100.1, 10.9.9.9"],
                "198.51.100.1",
            ),
            (
                "10.1.2.3",
                &["6.6.6.6", "198.51.100.1", "10.9.9.9"],
                "198.51.100.1",
            ),
            // Proxies all the way.
            ("10.1.2.3", &["10.5.5.5, 10.6.6.6"], "10.5.5.5"),
            // What cannot be read is believed from there on as little as anything before it.
            ("10.1.2.3", &["198.51.100.1, nonsense"], "10.1.2.3"),
            (
                "10.1.2.3",
                &["198.51.100.1, nonsense, 10.6.6.6"],
                "10.1.2.3",
            ),
            ("10.1.2.3", &[""], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.1,"], "10.1.2.3"),
        ];
        for (from, lines, expected) in cases {
            let lines: Vec<_> = lines.iter().map(|line| (XFF, *line)).collect();
            assert_eq!(
                client(&proxies, from, &lines),
                *expected,
                "{from} {lines:?}"
            );
        }
        let many = "10.6.6.6, ".repeat(40) + "10.6.6.6";
        assert_eq!(client(&proxies, "10.1.2.3", &[(XFF, &many)]), "10.1.2.3");
    }

    #[test]
    fn one_family_of_headers_is_read_and_never_the_other() {
        let both = [
            ("x-forwarded-for", "198.51.100.1"),
            ("forwarded", "for=198.51.100.2"),
        ];
        assert_eq!(
            client(&proxies("x-forwarded-for"), "10.0.0.1", &both),
            "198.51.100.1"
        );
        assert_eq!(
            client(&proxies("forwarded"), "10.0.0.1", &both),
            "198.51.100.2"
        );
        let other = &both[..1];
        assert_eq!(client(&proxies("forwarded"), "10.0.0.1", other), "10.0.0.1");
        let broken = [("forwarded", "for=\"6.6.6.6, for=198.51.100.2")];
        assert_eq!(
            client(&proxies("forwarded"), "10.0.0.1", &broken),
            "10.0.0.1"
        );
        assert_eq!(client(&Proxies::default(), "127.0.0.1", &both), "127.0.0.1");
    }

    #[test]
    fn only_what_comes_without_a_proxy_is_of_the_machine_itself() {
        let local = |proxies: &Proxies, from: &str, told: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(told) = told {
                headers.insert("forwarded", HeaderValue::from_static(told));
            }
            proxies.client(Some(peer(from)), &headers).is_local()
        };
        let none = Proxies::default();
        assert!(local(&none, "127.0.0.1", None) && local(&none, "::1", None));
        assert!(local(&none, "unix", None) && !local(&none, "192.0.2.1", None));
        let near = Proxies::new(&["127.0.0.1"], "forwarded").unwrap();
        assert!(!local(&near, "127.0.0.1", Some("for=127.0.0.1")));
        assert!(
            !local(&near, "127.0.0.1", None),
            "its proxy hides who it was"
        );
    }

    #[test]
    fn a_network_is_kept_and_a_customer_is_counted() {
        let of = |text: &str| Proxies::default().client(Some(peer(text)), &HeaderMap::new());
        let (v4, v6) = (of("203.0.113.77"), of("2001:db8:1:2:3:4:5:6"));
        assert_eq!(v4.network().as_deref(), Some("203.0.113.0/24"));
        assert_eq!(v6.network().as_deref(), Some("2001:db8:1::/48"));
        assert_eq!(of("unix").network(), None);
        assert_eq!(v4.counted_as().to_string(), "203.0.113.77");
        assert_eq!(v6.counted_as().to_string(), "2001:db8:1:2::");
    }

    #[test]
    fn mistakes_are_told() {
        for (text, told) in [
            ("trusted = ['0.0.0.0/0']\nheader = 'forwarded'", "everybody"),
            ("trusted = ['::/0']\nheader = 'forwarded'", "everybody"),
            (
                "trusted = ['10.0.0.0/33']\nheader = 'forwarded'",
                "no network",
            ),
            ("trusted = ['proxy']\nheader = 'forwarded'", "no network"),
            ("trusted = ['10.0.0.0/8']\nheader = 'x-real-ip'", "neither"),
            ("trusted = ['10.0.0.0/8']", "together"),
            ("header = 'forwarded'", "together"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert_eq!(read(""), Ok(Proxies::default()));
    }
}
