//! Counting by keys that strangers choose, in memory that does not grow.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::runtime::Clock;

/// A rate for each key. Keys whose hashes fall together share one; which do is another matter in
/// every process, so nobody can aim at somebody else's.
pub struct Throttle {
    limiter: RateLimiter<u64, Slots, BootClock, NoOpMiddleware<Nanos>>,
    hasher: RandomState,
}

impl Throttle {
    /// With so many slots, of eight bytes each.
    pub fn new(quota: Quota, slots: usize, clock: &Arc<dyn Clock>) -> Self {
        let slots = Slots(
            std::iter::repeat_with(AtomicU64::default)
                .take(slots)
                .collect(),
        );
        Self {
            limiter: RateLimiter::new(quota, slots, BootClock(Arc::clone(clock))),
            hasher: RandomState::default(),
        }
    }

    /// Counts one for `key`.
    ///
    /// # Errors
    ///
    /// How long to wait, when there have been too many; then it is not counted.
    pub fn count(&self, key: impl Hash) -> Result<(), Duration> {
        let limiter = &self.limiter;
        limiter
            .check_key(&self.hasher.hash_one(key))
            .map_err(|until| until.wait_time_from(limiter.clock().now()))
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttle")
    }
}

#[derive(Clone)]
struct BootClock(Arc<dyn Clock>);

impl GovernorClock for BootClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.since_boot().into()
    }
}

/// When each slot's next one is expected, in nanoseconds; 0 for a slot that was never used.
struct Slots(Box<[AtomicU64]>);

impl StateStore for Slots {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let index = usize::try_from(*key % self.0.len().max(1) as u64).unwrap_or(0);
        let Some(slot) = self.0.get(index) else {
            return f(None).map(|(told, _)| told);
        };
        let mut known = slot.load(Ordering::Acquire);
        loop {
            let (told, next) = f(NonZeroU64::new(known).map(|at| at.get().into()))?;
            match slot.compare_exchange_weak(
                known,
                next.into(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(told),
                Err(other) => known = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::domain::Timestamp;
    use crate::runtime::ManualClock;

    fn ten_a_minute(slots: usize) -> (Throttle, Arc<ManualClock>) {
        let manual = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let clock: Arc<dyn Clock> = manual.clone();
        let quota = Quota::per_minute(NonZeroU32::new(10).unwrap());
        (Throttle::new(quota, slots, &clock), manual)
    }

    #[test]
    fn each_key_has_its_rate_and_gets_it_back_with_time() {
        let (throttle, clock) = ten_a_minute(1 << 20);
        for _ in 0..10 {
            assert_eq!(throttle.count("ada"), Ok(()));
        }
        let wait = throttle.count("ada").unwrap_err();
        assert!(wait <= Duration::from_secs(6), "{wait:?}");
        assert_eq!(throttle.count("bob"), Ok(()));
        clock.advance(wait);
        assert_eq!(throttle.count("ada"), Ok(()));
        assert!(throttle.count("ada").is_err());
    }

    #[test]
    fn more_keys_than_slots_share_them() {
        let (throttle, _) = ten_a_minute(4);
        let passed = (0..10_000)
            .filter(|key| throttle.count(key).is_ok())
            .count();
        assert_eq!(passed, 40);
    }

    #[test]
    fn threads_count_together() {
        let (throttle, _) = ten_a_minute(1);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).filter(|_| throttle.count(1).is_ok()).count()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 10);
    }
}
