//! Proofs of possession that were shown: each counts once, and for a moment again if it comes as it
//! was, because proxies ask twice when a connection breaks.
//!
//! What is remembered is bounded. When it is full, a proof is refused that could not be remembered:
//! forgetting an older one instead would let that one be replayed. Nobody fills it alone, however many
//! keys they make.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

/// How old a proof may be. There is no nonce in it: the window in which a stolen one is of use before
/// its owner shows it is to be short.
pub const PROOF_AGE: Duration = Duration::from_mins(1);
/// How far the clock of whoever made it may be wrong, in either direction.
pub const PROOF_SKEW: Duration = Duration::from_secs(10);
/// How long the very same proof is tolerated.
pub const RETRY: Duration = Duration::from_secs(5);

/// How long one is remembered: it may be shown for the first time when its `iat` still lies ahead.
const REMEMBERED: Duration = Duration::from_secs(60 + 2 * 10 + 1);
/// What one takes of memory, about.
const ENTRY_BYTES: u64 = 192;
/// One user, or one client that speaks for itself, may take this part of the whole.
const SHARE: usize = 16;
/// What each of them may always have.
const SHARE_MIN: usize = 32;

/// What a shown proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Shown {
    /// It was never seen.
    First,
    /// It was seen a moment ago, the same to the byte.
    Retry,
    /// Its `jti` was used by this key before.
    Replay,
    /// There is no room to remember it.
    Full,
}

impl Shown {
    /// All of them, in order of their number.
    pub const ALL: [Self; 4] = [Self::First, Self::Retry, Self::Replay, Self::Full];

    /// The word for metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Replay => "replay",
            Self::Full => "full",
        }
    }
}

/// The proofs of the last minute and a half.
pub struct Proofs {
    capacity: usize,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// By key and `jti`.
    seen: HashMap<[u8; 32], Seen>,
    /// In the order in which they may be forgotten.
    order: VecDeque<Remembered>,
    /// How many each holder has.
    shares: HashMap<Uuid, usize>,
}

#[derive(Clone, Copy)]
struct Seen {
    /// SHA-256 of the proof as it was sent.
    bytes: [u8; 32],
    at: Duration,
}

struct Remembered {
    until: Duration,
    digest: [u8; 32],
    holder: Uuid,
}

impl Proofs {
    /// With room for as many as fit into `bytes`.
    pub(in crate::sidecar) fn new(bytes: u64) -> Self {
        let capacity = usize::try_from(bytes / ENTRY_BYTES).unwrap_or(usize::MAX);
        Self {
            capacity: capacity.max(SHARE_MIN),
            memory: Mutex::default(),
        }
    }

    /// Remembers a proof, and says what it is. `holder` is the user or client whose token it comes
    /// with, `digest` is of key and `jti`, `bytes` of the proof as sent, `now` is counted from boot.
    pub fn show(&self, holder: Uuid, digest: [u8; 32], bytes: [u8; 32], now: Duration) -> Shown {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget(now);
        if let Some(seen) = memory.seen.get(&digest) {
            let is_same = seen.bytes == bytes && now.saturating_sub(seen.at) <= RETRY;
            return if is_same { Shown::Retry } else { Shown::Replay };
        }
        let share = memory.shares.get(&holder).copied().unwrap_or_default();
        if memory.seen.len() >= self.capacity || share >= (self.capacity / SHARE).max(SHARE_MIN) {
            return Shown::Full;
        }
        memory.seen.insert(digest, Seen { bytes, at: now });
        *memory.shares.entry(holder).or_default() += 1;
        memory.order.push_back(Remembered {
            until: now + REMEMBERED,
            digest,
            holder,
        });
        Shown::First
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.seen.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Memory {
    fn forget(&mut self, now: Duration) {
        while self.order.front().is_some_and(|first| first.until <= now) {
            let Some(first) = self.order.pop_front() else {
                return;
            };
            self.seen.remove(&first.digest);
            if let Some(share) = self.shares.get_mut(&first.holder) {
                *share -= 1;
                if *share == 0 {
                    self.shares.remove(&first.holder);
                }
            }
        }
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proofs({} of {})", self.len(), self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_hours(1);
    const HOLDER: Uuid = Uuid::from_u128(1);

    fn digest(n: u64) -> [u8; 32] {
        crate::crypto::digest::sha256(&n.to_be_bytes())
    }

    #[test]
    fn every_answer_has_its_number_and_a_word_of_its_own() {
        let mut codes = std::collections::BTreeSet::new();
        for (place, shown) in Shown::ALL.into_iter().enumerate() {
            assert_eq!(place, shown as usize);
            assert!(codes.insert(shown.code()));
        }
    }

    #[test]
    fn the_same_bytes_are_a_retry_for_five_seconds_and_anything_else_is_a_replay() {
        let proofs = Proofs::new(1 << 20);
        let show = |bytes, after: u64| {
            proofs.show(
                HOLDER,
                digest(1),
                digest(bytes),
                START + Duration::from_secs(after),
            )
        };
        assert_eq!(show(1, 0), Shown::First);
        assert_eq!(show(2, 0), Shown::Replay);
        assert_eq!(show(1, 5), Shown::Retry);
        assert_eq!(show(1, 6), Shown::Replay);
    }

    #[test]
    fn a_proof_is_remembered_for_as_long_as_its_time_would_let_it_count() {
        let proofs = Proofs::new(1 << 20);
        assert_eq!(
            proofs.show(HOLDER, digest(1), digest(1), START),
            Shown::First
        );
        // Made by a clock as far ahead as may be, and shown at once.
        let last = START + PROOF_AGE + 2 * PROOF_SKEW;
        assert_eq!(
            proofs.show(HOLDER, digest(1), digest(1), last),
            Shown::Replay
        );
        let later = START + REMEMBERED;
        assert_eq!(
            proofs.show(HOLDER, digest(2), digest(2), later),
            Shown::First
        );
        assert_eq!(proofs.len(), 1);
    }

    #[test]
    fn a_full_memory_forgets_nothing_and_nobody_fills_it_alone() {
        let capacity = 32 * SHARE;
        let proofs = Proofs::new(u64::try_from(capacity).unwrap() * ENTRY_BYTES);
        let show = |holder, n| proofs.show(Uuid::from_u128(holder), digest(n), digest(n), START);
        let (greedy, late) = (1_000, 2_000);
        for n in 0..32 {
            assert_eq!(show(greedy, n), Shown::First);
        }
        assert_eq!(show(greedy, 32), Shown::Full);
        for n in 32..u64::try_from(capacity).unwrap() {
            assert_eq!(show(u128::from(n / 32), n), Shown::First);
        }
        assert_eq!(show(late, 9_999), Shown::Full);
        assert_eq!(show(greedy, 3), Shown::Retry);
        let later = START + REMEMBERED;
        assert_eq!(
            proofs.show(Uuid::from_u128(late), digest(0), digest(0), later),
            Shown::First
        );
        assert_eq!(
            (proofs.len(), proofs.memory.lock().unwrap().shares.len()),
            (1, 1)
        );
    }
}
