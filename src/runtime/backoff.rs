//! How long to wait before trying again: exponential with full jitter, so that a thousand sidecars
//! that lost the same authority do not come back in the same instant.

use std::time::Duration;

use super::entropy::Entropy;

const FLOOR: Duration = Duration::from_millis(50);
const CEILING: Duration = Duration::from_secs(10);

/// The waits of one series of attempts: between 50 ms and a bound that doubles up to 10 s.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    pub const fn new() -> Self {
        Self { failures: 0 }
    }

    /// The wait after one more failure.
    pub fn next(&mut self, entropy: &dyn Entropy) -> Duration {
        let bound = FLOOR
            .saturating_mul(2_u32.saturating_pow(self.failures.saturating_add(1)))
            .min(CEILING);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let span = u64::try_from(bound.saturating_sub(FLOOR).as_micros()).unwrap_or(u64::MAX);
        FLOOR + Duration::from_micros(u64::from_be_bytes(random) % span.saturating_add(1))
    }

    /// It worked: the next failure starts a new series.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::SeededEntropy;

    #[test]
    fn waits_stay_between_50_ms_and_10_s_and_spread() {
        let entropy = SeededEntropy::new(1);
        let mut longest = Duration::ZERO;
        for _ in 0..50 {
            let mut backoff = Backoff::new();
            assert!(backoff.next(&entropy) <= FLOOR * 2);
            for _ in 0..100 {
                let wait = backoff.next(&entropy);
                assert!((FLOOR..=CEILING).contains(&wait), "{wait:?}");
                longest = longest.max(wait);
            }
            backoff.reset();
            assert!(backoff.next(&entropy) <= FLOOR * 2);
        }
        assert!(longest > CEILING / 2);
    }
}
