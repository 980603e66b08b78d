//! Where a copy stands in the history of changes.
//!
//! A history is one **feed**. Within an **epoch** its **revisions** have no gap and are never
//! given out twice; the **chain** is a hash over everything up to a revision, so that two copies
//! with the same (epoch, revision, chain) have lived through the same changes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A feed's name. There is one, `authz`; positions carry it so that a large site can split feeds
/// later without a change of protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeedName {
    /// Everything a sidecar decides by.
    Authz,
}

impl FeedName {
    /// The name in URLs, tokens and signatures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authz => "authz",
        }
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The number of a change within its epoch. The first change has number 1; 0 is the empty history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// Before the first change.
    pub const ZERO: Self = Self(0);

    /// From a row or a message.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number that follows; saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A random id for a stretch of history in which no revision was ever lost. A restored backup
/// begins a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(Uuid);

impl Epoch {
    /// From a row, a message or fresh random bytes.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// As the store keeps it.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.simple(), f)
    }
}

/// `SHA-256(previous chain || revision as big-endian u64 || payload)`; all zero before revision 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain([u8; 32]);

impl Chain {
    /// The chain of the empty history.
    pub const ZERO: Self = Self([0; 32]);

    /// From a row or a message.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The chain after the change `revision` with these payload bytes.
    #[must_use]
    pub fn extend(&self, revision: Revision, payload: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(revision.get().to_be_bytes());
        hash.update(payload);
        Self(hash.finalize().into())
    }

    /// From lower-case hex; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({self})")
    }
}

/// A point in a feed's history that can be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which feed.
    pub feed: FeedName,
    /// Which stretch of its history.
    pub epoch: Epoch,
    /// The last change included.
    pub revision: Revision,
    /// The hash over all of them.
    pub chain: Chain,
}

impl Position {
    /// What a caller keeps of a write, to ask for answers that know of it.
    pub const fn freshness_token(&self) -> FreshnessToken {
        FreshnessToken {
            feed: self.feed,
            epoch: self.epoch,
            revision: self.revision,
        }
    }
}

/// "At least as new as this write": opaque to callers, returned by every mutation.
///
/// Text form: `dw1.<feed>.<epoch>.<revision>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreshnessToken {
    /// Which feed.
    pub feed: FeedName,
    /// Which stretch of its history.
    pub epoch: Epoch,
    /// The write's revision.
    pub revision: Revision,
}

/// The text is not a freshness token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a freshness token: pass on what a write returned, unchanged")]
pub struct InvalidFreshnessToken;

impl fmt::Display for FreshnessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dw1.{}.{}.{}", self.feed, self.epoch, self.revision)
    }
}

impl FromStr for FreshnessToken {
    type Err = InvalidFreshnessToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let fields = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        );
        let (Some("dw1"), Some("authz"), Some(epoch), Some(revision), None) = fields else {
            return Err(InvalidFreshnessToken);
        };
        let canonical = !revision.is_empty()
            && revision.bytes().all(|byte| byte.is_ascii_digit())
            && (revision == "0" || !revision.starts_with('0'));
        if epoch.len() != 32 || !canonical {
            return Err(InvalidFreshnessToken);
        }
        Ok(Self {
            feed: FeedName::Authz,
            epoch: Epoch(Uuid::try_parse(epoch).map_err(|_| InvalidFreshnessToken)?),
            revision: Revision(revision.parse().map_err(|_| InvalidFreshnessToken)?),
        })
    }
}

impl Serialize for FreshnessToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FreshnessToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freshness_token_round_trips_and_nothing_else_parses() {
        let token = FreshnessToken {
            feed: FeedName::Authz,
            epoch: Epoch::from_uuid(Uuid::from_u128(0xFEED)),
            revision: Revision::new(42),
        };
        let text = token.to_string();
        assert_eq!(text.parse(), Ok(token));
        for bad in [
            "",
            "dw1.authz",
            "dw2.authz.0.1",
            &format!("{text}.1"),
            &text.replace(".42", ".042"),
            &text.replace(".42", ".+42"),
        ] {
            assert_eq!(
                bad.parse::<FreshnessToken>(),
                Err(InvalidFreshnessToken),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_chain_depends_on_history_number_and_payload() {
        let one = Chain::ZERO.extend(Revision::new(1), b"a");
        assert_ne!(one, Chain::ZERO.extend(Revision::new(2), b"a"));
        assert_ne!(one, Chain::ZERO.extend(Revision::new(1), b"b"));
        assert_ne!(one, one.extend(Revision::new(1), b"a"));
        assert_eq!(Chain::from_hex(&one.to_string()), Some(one));
    }
}
