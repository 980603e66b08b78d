//! Slows down whoever keeps presenting wrong secrets.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;

use crate::authority::throttle::Throttle;
use crate::runtime::Clock;

const SLOTS: usize = 4096;
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Counts failed authentications by the name they were tried for and where they came from: ten a
/// minute, then they are answered "later". Only failures count and only failures are slowed: an
/// attacker cannot lock the right secret's holder out.
#[derive(Debug)]
pub struct FailureLimiter(Throttle);

impl FailureLimiter {
    /// No failure yet.
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        Self(Throttle::new(Quota::per_minute(PER_MINUTE), SLOTS, clock))
    }

    /// Notes a failure of `who`.
    ///
    /// # Errors
    ///
    /// How long to wait, when there have been too many.
    pub fn failed(&self, who: impl Hash) -> Result<(), Duration> {
        self.0.count(who)
    }
}
