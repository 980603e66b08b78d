//! Guessing made slow: failed attempts are counted in the database, so that several instances
//! count together and a restart forgets nothing.
//!
//! A bucket's name is a keyed hash of who or what failed, cut to 16 bits: rows name nobody, and
//! however many names an attacker makes up, a kind of attempt has at most 65,536 rows. Callers
//! choose what a bucket is about by one rule: whoever has the right secret must not be locked out
//! by somebody else's wrong ones. Long secrets (256 bits) are therefore never locked, their
//! failures are only answered "later"; short codes are locked by who is guessing.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::{StoreError, Tx, attempts};

use super::app::Authority;
use super::proxies::ClientAddress;
use super::sealer::Sealer;

/// What is being guessed, and how patient one is with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// A word of the code, part of the bucket's name.
    pub kind: &'static str,
    /// So many failures cost nothing.
    pub free: u32,
    /// Failures further back than this are forgotten, when there was no lock.
    pub window: Duration,
    /// How long the first lock lasts; each further failure doubles it.
    pub first: Duration,
    /// No lock lasts longer.
    pub longest: Duration,
}

/// A device's user code, by the user who types it.
pub const USER_CODE: Attempts = Attempts {
    kind: "user_code",
    free: 5,
    window: Duration::from_mins(30),
    first: Duration::from_mins(1),
    longest: Duration::from_hours(6),
};
/// A sidecar's join token, by the address of who presents it.
pub const JOIN_TOKEN: Attempts = Attempts {
    kind: "join_token",
    free: 10,
    window: Duration::from_mins(10),
    first: Duration::from_secs(5),
    longest: Duration::from_mins(5),
};

/// User codes, by the address of who types them: somebody with many accounts.
pub const USER_CODE_ADDRESS: Attempts = Attempts {
    kind: "user_code_address",
    free: 50,
    window: Duration::from_mins(30),
    first: Duration::from_mins(1),
    longest: Duration::from_mins(30),
};
/// A token by which clients register, or look after their registration, by the address of who
/// presents it.
pub const REGISTRATION_TOKEN: Attempts = Attempts {
    kind: "registration_token",
    free: 10,
    window: Duration::from_mins(10),
    first: Duration::from_secs(5),
    longest: Duration::from_mins(5),
};
/// An invitation's token, by the address of who presents it.
pub const INVITATION: Attempts = Attempts {
    kind: "invitation",
    free: 20,
    window: Duration::from_mins(10),
    first: Duration::from_secs(5),
    longest: Duration::from_mins(5),
};
/// A client's secret or assertion, by the client and the address.
pub const CLIENT_SECRET: Attempts = Attempts {
    kind: "client_secret",
    free: 10,
    window: Duration::from_mins(10),
    first: Duration::from_secs(5),
    longest: Duration::from_mins(5),
};
/// The same, by the client alone: many who guess together.
pub const CLIENT: Attempts = Attempts {
    kind: "client",
    free: 1000,
    window: Duration::from_mins(10),
    first: Duration::from_secs(5),
    longest: Duration::from_mins(1),
};

/// Where the failures of somebody are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    attempts: Attempts,
    name: String,
}

impl Bucket {
    /// Of `who`, by a hash that only this installation can compute.
    pub fn of(sealer: &Sealer, attempts: Attempts, who: &str) -> Self {
        let hash = sealer.derive("attempts", &[attempts.kind.as_bytes(), who.as_bytes()]);
        let [first, second, ..] = *hash;
        let name = format!("{}:{first:02x}{second:02x}", attempts.kind);
        Self { attempts, name }
    }

    /// How long from now on attempts are refused unseen; `None` when they are not.
    pub fn locked(&self, tx: &mut dyn Tx, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let Some(failures) = attempts::find(tx, &self.name, now)? else {
            return Ok(None);
        };
        let (lock, kept) = (
            self.attempts.lock(failures.count),
            self.attempts.kept(failures.count),
        );
        let until = failures.expires_at.minus(kept).plus(lock);
        Ok(Some(until.since(now)).filter(|wait| !wait.is_zero()))
    }

    /// Counts a failure, and tells how long attempts are refused from now on. The transaction must
    /// commit: it is not that of what failed.
    pub fn failed(&self, tx: &mut dyn Tx, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let until = |count| now.plus(self.attempts.kept(count));
        let count = attempts::add(tx, &self.name, now, until)?;
        Ok(Some(self.attempts.lock(count)).filter(|wait| !wait.is_zero()))
    }

    /// Forgets the failures, after the right secret came.
    pub fn forget(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        attempts::forget(tx, &self.name)
    }
}

impl Attempts {
    /// How long the lock after so many failures lasts.
    fn lock(self, failures: u32) -> Duration {
        match failures.saturating_sub(self.free) {
            0 => Duration::ZERO,
            over => self
                .first
                .saturating_mul(2_u32.saturating_pow(over - 1))
                .min(self.longest),
        }
    }

    /// How long so many failures are remembered: twice the lock, so that the next failure after
    /// one is punished for it.
    fn kept(self, failures: u32) -> Duration {
        self.window.max(self.lock(failures).saturating_mul(2))
    }
}

/// Who failed at what: an attempt may count against several.
pub type Counted<'a> = &'a [(Attempts, &'a str)];

fn buckets(authority: &Authority, counted: Counted<'_>) -> Vec<Bucket> {
    counted
        .iter()
        .map(|(attempts, who)| Bucket::of(authority.keys.sealer(), *attempts, who))
        .collect()
}

/// How long to wait before another attempt is looked at; `None` when not at all.
pub async fn locked(
    authority: &Authority,
    counted: Counted<'_>,
) -> Result<Option<Duration>, StoreError> {
    let buckets = buckets(authority, counted);
    let now = authority.clock.now();
    let read = authority
        .store
        .read(move |tx| longest(&buckets, |bucket| bucket.locked(tx, now)));
    read.await
}

/// Counts a failure in a transaction of its own, and tells how long to wait from now on.
pub async fn failed(
    authority: &Authority,
    counted: Counted<'_>,
) -> Result<Option<Duration>, StoreError> {
    for (attempts, _) in counted {
        metrics::counter!("doorward_failed_attempts_total", "kind" => attempts.kind).increment(1);
    }
    let mut buckets = buckets(authority, counted);
    // In one order everywhere: two transactions must not wait for each other.
    buckets.sort_by(|one, other| one.name.cmp(&other.name));
    let now = authority.clock.now();
    let written = authority
        .store
        .write(move |tx| longest(&buckets, |bucket| bucket.failed(tx, now)));
    Ok(written.await?.value)
}

fn longest(
    buckets: &[Bucket],
    mut wait: impl FnMut(&Bucket) -> Result<Option<Duration>, StoreError>,
) -> Result<Option<Duration>, StoreError> {
    buckets
        .iter()
        .try_fold(None, |longest, bucket| Ok(longest.max(wait(bucket)?)))
}

/// Counts a failure for a long secret: in this process first, by the first of `counted`, and in the
/// database as far as this process lets it through, so that a flood of wrong secrets is not a flood
/// of writes.
///
/// # Errors
///
/// The wait, or that the store failed.
pub async fn slowed(
    authority: &Authority,
    counted: Counted<'_>,
) -> Result<Option<Duration>, StoreError> {
    let first = counted.first().map(|(attempts, who)| (attempts.kind, *who));
    tracing::debug!(kind = first.map(|(kind, _)| kind), "a secret is wrong");
    match authority.failures.failed(first) {
        Err(wait) => Ok(Some(wait)),
        Ok(()) => failed(authority, counted).await,
    }
}

/// Counts a client's wrong proof: where it came from first, and the client's altogether with much
/// more patience. A right proof is never asked about here, so a stranger's failures stand in the way
/// of nobody.
pub async fn client_failed(
    authority: &Authority,
    client_id: &str,
    from: ClientAddress,
) -> Result<Option<Duration>, StoreError> {
    let here = format!("{} {client_id}", from.counted_as());
    slowed(authority, &[(CLIENT_SECRET, &here), (CLIENT, client_id)]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_doubles_up_to_its_longest_and_is_remembered_twice_as_long() {
        let locks: Vec<_> = (0..20).map(|count| USER_CODE.lock(count)).collect();
        assert!(locks[..=5].iter().all(Duration::is_zero));
        assert_eq!(locks[6], Duration::from_mins(1));
        assert_eq!(locks[8], Duration::from_mins(4));
        assert_eq!(locks[19], Duration::from_hours(6));
        assert_eq!(USER_CODE.lock(u32::MAX), Duration::from_hours(6));
        assert_eq!(USER_CODE.kept(1), Duration::from_mins(30));
        assert_eq!(USER_CODE.kept(19), Duration::from_hours(12));
    }
}
