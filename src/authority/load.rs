//! Nobody takes the whole process: the requests that anybody may make are counted by where they
//! come from.
//!
//! ```toml
//! [limits]
//! requests_per_second = 100
//! burst = 1000
//! exempt = ["192.0.2.0/24"]
//! ```
//!
//! Each process counts for itself, in memory that does not grow. What comes from the machine itself
//! is not counted, unless a configured proxy brings it: a proxy on the same machine that is not
//! configured would make everybody one client, and one of them could shut the others out.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use ipnet::IpNet;

use crate::runtime::Clock;
use crate::runtime::config::Reader;

use super::proxies::{ClientAddress, network};
use super::throttle::Throttle;

/// Addresses that fall together share a count: 128 KiB.
const SLOTS: usize = 16 * 1024;

/// How much one address may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadLimits {
    /// On average; without one nothing is counted.
    pub requests_per_second: Option<NonZeroU32>,
    /// At once, after a pause.
    pub burst: NonZeroU32,
    /// Who is not counted.
    pub exempt: Vec<IpNet>,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            requests_per_second: NonZeroU32::new(100),
            burst: NonZeroU32::MIN.saturating_add(999),
            exempt: Vec::new(),
        }
    }
}

/// A network of a list.
struct Exempt(IpNet);

impl FromStr for Exempt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        network(text).map(Self)
    }
}

impl LoadLimits {
    /// Reads the section.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let rate = reader.optional::<u32>("requests_per_second");
        let burst = NonZeroU32::new(reader.or("burst", default.burst.get()));
        if burst.is_none() {
            reader.mistake("burst", "at least 1 is wanted".to_owned());
        }
        let exempt: Vec<Exempt> = reader.list("exempt");
        Self {
            requests_per_second: rate.map_or(default.requests_per_second, NonZeroU32::new),
            burst: burst.unwrap_or(default.burst),
            exempt: exempt.into_iter().map(|Exempt(network)| network).collect(),
        }
    }
}

/// Counts requests by where they come from.
#[derive(Debug)]
pub struct LoadLimiter {
    throttle: Option<Throttle>,
    exempt: Vec<IpNet>,
}

impl LoadLimiter {
    /// No request yet.
    pub fn new(limits: &LoadLimits, clock: &Arc<dyn Clock>) -> Self {
        let throttle = limits.requests_per_second.map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(limits.burst);
            Throttle::new(quota, SLOTS, clock)
        });
        Self {
            throttle,
            exempt: limits.exempt.clone(),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// How long to wait, when there were too many.
    pub fn admit(&self, from: ClientAddress) -> Result<(), Duration> {
        let Some(throttle) = &self.throttle else {
            return Ok(());
        };
        let exempt = || {
            from.ip()
                .is_some_and(|ip| self.exempt.iter().any(|network| network.contains(&ip)))
        };
        if from.is_local() || exempt() {
            return Ok(());
        }
        throttle.count(from.counted_as()).inspect_err(|_| {
            metrics::counter!("doorward_authority_load_refused_total").increment(1);
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;

    use super::*;
    use crate::authority::proxies::Proxies;
    use crate::domain::Timestamp;
    use crate::runtime::ManualClock;
    use crate::runtime::config::Environment;
    use crate::runtime::serve::Peer;

    fn read(text: &str) -> Result<LoadLimits, String> {
        let environment = Environment::default();
        let mut reader = Reader::from_text(text, "a.toml", &environment, "A").unwrap();
        let limits = LoadLimits::read(&mut reader);
        reader.finish().map_err(|error| error.to_string())?;
        Ok(limits)
    }

    fn from(text: &str) -> ClientAddress {
        let peer = Peer::Tcp((text.parse::<IpAddr>().unwrap(), 1).into());
        Proxies::default().client(Some(peer), &HeaderMap::new())
    }

    #[test]
    fn an_address_has_its_share_and_the_networks_of_ones_own_have_no_bound() {
        let manual = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let clock: Arc<dyn Clock> = manual.clone();
        let text = "requests_per_second = 2\nburst = 5\nexempt = ['192.0.2.0/24']";
        let limiter = LoadLimiter::new(&read(text).unwrap(), &clock);
        let admitted = |text, times: usize| {
            (0..times)
                .filter(|_| limiter.admit(from(text)).is_ok())
                .count()
        };
        assert_eq!(admitted("203.0.113.1", 20), 5);
        assert_eq!(admitted("203.0.113.2", 20), 5);
        // One customer of IPv6 has a whole /64.
        assert_eq!(admitted("2001:db8::1", 3) + admitted("2001:db8::2", 20), 5);
        assert_eq!(admitted("2001:db8:0:1::1", 20), 5);
        for unbounded in ["192.0.2.9", "127.0.0.1", "::1"] {
            assert_eq!(admitted(unbounded, 20), 20, "{unbounded}");
        }
        let wait = limiter.admit(from("203.0.113.1")).unwrap_err();
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        manual.advance(Duration::from_secs(1));
        assert_eq!(admitted("203.0.113.1", 20), 2);
    }

    #[test]
    fn no_rate_is_no_bound_and_mistakes_are_told() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let limits = read("requests_per_second = 0").unwrap();
        let limiter = LoadLimiter::new(&limits, &clock);
        assert!((0..10_000).all(|_| limiter.admit(from("203.0.113.1")).is_ok()));
        assert_eq!(read(""), Ok(LoadLimits::default()));
        for text in ["burst = 0", "requests_per_second = -1", "exempt = ['me']"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
