//! Slows down whoever keeps presenting wrong secrets.

use std::fmt;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::runtime::Clock;

/// Names share this many counters: an attacker who makes names up fills no memory.
const COUNTERS: usize = 1024;
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

type Counter = RateLimiter<NotKeyed, InMemoryState, BootClock, NoOpMiddleware<Nanos>>;

/// Counts failed authentications by the name they were tried for: ten a minute, then they are
/// answered "later". Only failures count and only failures are slowed: an attacker cannot lock the
/// right secret's holder out.
pub struct FailureLimiter {
    counters: Vec<Counter>,
    hasher: RandomState,
}

#[derive(Clone)]
struct BootClock(Arc<dyn Clock>);

impl GovernorClock for BootClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.since_boot().into()
    }
}

impl FailureLimiter {
    /// No failure yet.
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        let counter = || {
            RateLimiter::direct_with_clock(
                Quota::per_minute(PER_MINUTE),
                BootClock(Arc::clone(clock)),
            )
        };
        Self {
            counters: std::iter::repeat_with(counter).take(COUNTERS).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Notes a failure for `name`.
    ///
    /// # Errors
    ///
    /// How long to wait, when there have been too many.
    pub fn failed(&self, name: &str) -> Result<(), Duration> {
        let hash = self.hasher.hash_one(name);
        let index = usize::try_from(hash % COUNTERS as u64).unwrap_or(0);
        let Some(counter) = self.counters.get(index) else {
            return Ok(());
        };
        counter
            .check()
            .map_err(|until| until.wait_time_from(counter.clock().now()))
    }
}

impl fmt::Debug for FailureLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailureLimiter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::runtime::ManualClock;

    #[test]
    fn ten_failures_a_minute_are_answered_and_the_next_must_wait() {
        let manual = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let clock: Arc<dyn Clock> = manual.clone();
        let limiter = FailureLimiter::new(&clock);
        for _ in 0..10 {
            assert_eq!(limiter.failed("billing"), Ok(()));
        }
        let wait = limiter.failed("billing").unwrap_err();
        assert!(wait <= Duration::from_secs(6), "{wait:?}");
        manual.advance(wait);
        assert_eq!(limiter.failed("billing"), Ok(()));
        assert!(limiter.failed("billing").is_err());
    }
}
