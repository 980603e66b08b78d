//! What a check answers: allow or deny, and how fresh the facts behind it were.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER;

use super::change::Revision;

/// Allow or deny. There is no third: unsure means deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The request may go ahead.
    Allow,
    /// It may not.
    Deny,
}

impl Decision {
    /// Whether this is [`Decision::Allow`].
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// How far behind the authority an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The last change the answer knows of.
    pub revision: Revision,
    /// Time since a verified heartbeat said that there was no later change; `None` means unknown,
    /// which no maximum allows.
    pub staleness: Option<Duration>,
}

impl Freshness {
    /// Staleness in whole milliseconds.
    pub fn staleness_ms(self) -> Option<u64> {
        self.staleness
            .map(|staleness| u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What finds a decision's record in the log of the sidecar that made it: the maker's random number
/// and a count. No secret, and no other meaning.
///
/// Text form: 28 lower-case hex digits, 16 of the maker and 12 of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId {
    maker: u64,
    count: u64,
}

impl DecisionId {
    /// Characters of the text form.
    pub const LEN: usize = 28;

    /// Of the maker's `count`th decision; only the lower 48 bits count.
    pub const fn new(maker: u64, count: u64) -> Self {
        Self {
            maker,
            count: count & 0xFFFF_FFFF_FFFF,
        }
    }

    /// The maker's number, and the count.
    pub const fn parts(self) -> (u64, u64) {
        (self.maker, self.count)
    }

    /// The text form, without the formatting machinery.
    pub fn text(self) -> [u8; Self::LEN] {
        let [_, _, count @ ..] = self.count.to_be_bytes();
        let mut text = [0; Self::LEN];
        let (maker, rest) = text.split_at_mut(16);
        HEXLOWER.encode_mut(&self.maker.to_be_bytes(), maker);
        HEXLOWER.encode_mut(&count, rest);
        text
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:012x}", self.maker, self.count)
    }
}

/// A text that is no decision id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a decision id has 28 hex digits")]
pub struct InvalidDecisionId;

impl FromStr for DecisionId {
    type Err = InvalidDecisionId;

    fn from_str(text: &str) -> Result<Self, InvalidDecisionId> {
        if text.len() != Self::LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidDecisionId);
        }
        let (maker, count) = text.split_at_checked(16).ok_or(InvalidDecisionId)?;
        let number = |digits| u64::from_str_radix(digits, 16).map_err(|_| InvalidDecisionId);
        Ok(Self::new(number(maker)?, number(count)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_id_round_trips_through_its_text() {
        for id in [
            DecisionId::new(0, 0),
            DecisionId::new(u64::MAX, u64::MAX),
            DecisionId::new(0x0123_4567_89ab_cdef, 42),
        ] {
            let text = String::from_utf8(id.text().to_vec()).unwrap();
            assert_eq!(text, id.to_string());
            assert_eq!(text.parse(), Ok(id));
        }
        for wrong in [
            "",
            "12",
            "zz00000000000000000000000000",
            "é000000000000000000000000000",
        ] {
            assert_eq!(wrong.parse::<DecisionId>(), Err(InvalidDecisionId));
        }
    }
}
