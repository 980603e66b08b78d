//! Which decisions are recorded.

use std::str::FromStr;

use super::config::DecisionLogConfig;

/// Which share of decisions is recorded, from 0 (none) to 1 (all).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

impl Rate {
    /// All.
    pub const ALL: Self = Self(1.0);

    /// The share.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Of 2^64 equally likely numbers, those below are recorded; `None` is all.
    fn bound(self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share between 0 and 1 of 2^64, to the precision that a share has"
        )]
        (self.0 < 1.0).then_some((self.0 * u64::MAX as f64) as u64)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            Ok(rate) if (0.0..=1.0).contains(&rate) => Ok(Self(rate)),
            _ => Err(format!("`{text}` is not a share between 0 and 1")),
        }
    }
}

/// A thread's die.
#[derive(Debug)]
pub(super) struct Sampling {
    allow: Option<u64>,
    deny: Option<u64>,
    state: u64,
}

impl Sampling {
    pub(super) fn new(config: &DecisionLogConfig, seed: u64) -> Self {
        Self {
            allow: config.allow.bound(),
            deny: config.deny.bound(),
            state: seed,
        }
    }

    /// Whether the next decision is recorded.
    pub(super) fn takes(&mut self, allow: bool) -> bool {
        let bound = if allow { self.allow } else { self.deny };
        bound.is_none_or(|bound| self.next() < bound)
    }

    /// splitmix64: cheap, and good enough to be no pattern of the traffic's.
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_share_asked_for_is_taken_of_each_kind() {
        let config = DecisionLogConfig {
            allow: "0.25".parse().unwrap(),
            deny: Rate::ALL,
            ..DecisionLogConfig::default()
        };
        let mut sampling = Sampling::new(&config, 7);
        let allows = (0..10_000).filter(|_| sampling.takes(true)).count();
        assert!((2300..2700).contains(&allows), "{allows}");
        assert!((0..10_000).all(|_| sampling.takes(false)));
        let none = DecisionLogConfig {
            allow: "0".parse().unwrap(),
            ..config
        };
        let mut sampling = Sampling::new(&none, 7);
        assert!((0..10_000).all(|_| !sampling.takes(true)));
        for wrong in ["-0.1", "1.1", "NaN", "all"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
