//! Signing positions and snapshots, and believing them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::crypto::sign::{FeedPublicKey, FeedSigner};
use crate::domain::{Position, Timestamp};
use crate::protocol::feed::{Claim, SignedHead, SnapshotManifest};
use crate::runtime::Clock;

/// Signs with times that never repeat or go back, whatever the clock does.
#[derive(Debug)]
pub struct HeadSigner {
    signer: Arc<FeedSigner>,
    clock: Arc<dyn Clock>,
    last: AtomicI64,
}

impl HeadSigner {
    /// A signer whose first time is after `not_before`: the store's reservation.
    pub const fn new(
        signer: Arc<FeedSigner>,
        clock: Arc<dyn Clock>,
        not_before: Timestamp,
    ) -> Self {
        Self {
            signer,
            clock,
            last: AtomicI64::new(not_before.unix_micros()),
        }
    }

    /// The public half, which sidecars pin.
    pub fn public(&self) -> FeedPublicKey {
        self.signer.public()
    }

    /// The latest time given out.
    pub fn last_time(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.last.load(Ordering::SeqCst))
    }

    /// Signs `claim` about a position, now.
    pub fn sign(&self, claim: Claim, position: Position) -> SignedHead {
        let mut head = SignedHead {
            feed: position.feed,
            epoch: position.epoch,
            revision: position.revision,
            chain: position.chain,
            time: self.tick(),
            signature: [0; 64],
        };
        head.signature = self.signer.sign(&head.signing_bytes(claim));
        head
    }

    /// Puts time and signature on a snapshot's manifest.
    pub fn sign_snapshot(&self, manifest: &mut SnapshotManifest) {
        manifest.time = self.tick();
        manifest.signature = self.signer.sign(&manifest.signing_bytes());
    }

    fn tick(&self) -> Timestamp {
        let now = self.clock.now().unix_micros();
        let next = |last: i64| last.saturating_add(1).max(now);
        // The closure always gives a value, so both arms hold the previous one.
        let last = match self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)))
        {
            Ok(last) | Err(last) => last,
        };
        Timestamp::from_unix_micros(next(last))
    }
}

/// Whether the feed's key says `claim` about this position.
pub fn is_signed(key: &FeedPublicKey, head: &SignedHead, claim: Claim) -> bool {
    key.verify(&head.signing_bytes(claim), &head.signature)
}

/// Whether the feed's key vouches for this snapshot.
pub fn is_snapshot_signed(key: &FeedPublicKey, manifest: &SnapshotManifest) -> bool {
    key.verify(&manifest.signing_bytes(), &manifest.signature)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::{Chain, Epoch, FeedName, Revision};
    use crate::runtime::ManualClock;

    #[test]
    fn times_grow_even_when_the_clock_stands_or_went_back() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_micros(100)));
        let signer = Arc::new(FeedSigner::from_seed(&[1; 32]).unwrap());
        let head_signer = HeadSigner::new(
            Arc::clone(&signer),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Timestamp::from_unix_micros(500),
        );
        let position = Position {
            feed: FeedName::Authz,
            epoch: Epoch::from_uuid(Uuid::from_u128(1)),
            revision: Revision::new(3),
            chain: Chain::ZERO,
        };
        let times: Vec<i64> = (0..3)
            .map(|_| head_signer.sign(Claim::Head, position).time.unix_micros())
            .collect();
        assert_eq!(times, [501, 502, 503]);
        clock.advance(Duration::from_secs(1));
        let head = head_signer.sign(Claim::Head, position);
        assert_eq!(head.time.unix_micros(), 1_000_100);

        assert!(is_signed(&signer.public(), &head, Claim::Head));
        assert!(!is_signed(&signer.public(), &head, Claim::BatchEnd));
        let other = FeedSigner::from_seed(&[2; 32]).unwrap().public();
        assert!(!is_signed(&other, &head, Claim::Head));
    }
}
