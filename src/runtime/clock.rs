//! Time, read here and nowhere else.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::domain::Timestamp;

/// Where time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock: for expiry and records, never for measuring freshness.
    fn now(&self) -> Timestamp;

    /// Time since the machine started, going on while it is suspended (`CLOCK_BOOTTIME`): for
    /// staleness.
    fn since_boot(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp::from_unix_micros(
            time.tv_sec
                .saturating_mul(1_000_000)
                .saturating_add(time.tv_nsec / 1000),
        )
    }

    fn since_boot(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    boot: AtomicI64,
    /// By how much a look at the clock since boot moves it on.
    lag: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now`, an hour after boot.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now: AtomicI64::new(now.unix_micros()),
            boot: AtomicI64::new(3_600_000_000),
            lag: AtomicI64::new(0),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.now.fetch_add(micros, Ordering::SeqCst);
        self.boot.fetch_add(micros, Ordering::SeqCst);
    }

    /// From now on each look at the clock since boot moves it on, as if what is done between two
    /// looks took so long.
    pub fn lag(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.lag.store(micros, Ordering::SeqCst);
    }

    /// Sets the wall clock back, as an operator can.
    pub fn set_back(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.now.fetch_sub(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.now.load(Ordering::SeqCst))
    }

    fn since_boot(&self) -> Duration {
        let lag = self.lag.load(Ordering::SeqCst);
        let boot = self.boot.fetch_add(lag, Ordering::SeqCst);
        Duration::from_micros(u64::try_from(boot).unwrap_or(0))
    }
}
