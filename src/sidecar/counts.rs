//! What a sidecar did, in numbers.

use crate::protocol::forward_auth::Dialect;
use crate::sidecar::decide::Outcome;
use crate::sidecar::forward_auth::DoorOutcome;
use crate::sidecar::refusal::Refusal;
use crate::sidecar::tokens::Shown;
use crate::sidecar::why::Why;

/// Counters of one thread: plain numbers, summed over threads when somebody looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Allows by [`Why`].
    pub allowed: [u64; Why::ALL.len()],
    /// Denies by [`Why`].
    pub denied: [u64; Why::ALL.len()],
    /// Members found in the front.
    pub front_hits: u64,
    /// Members found in moka.
    pub shared_hits: u64,
    /// Members looked for in vain.
    pub misses: u64,
    /// Reads of the copy.
    pub sqlite_reads: u64,
    /// Answers of hand-written policies found in moka.
    pub depends_hits: u64,
    /// Instances found in moka, registered or not.
    pub instance_hits: u64,
    /// Questions put to Cedar with hand-written policies.
    pub evaluations: u64,
    /// Requests refused with 400.
    pub refused: u64,
    /// Tokens whose signature was known to be right.
    pub token_hits: u64,
    /// Tokens whose signature had to be checked.
    pub token_misses: u64,
    /// Tokens accepted.
    pub tokens_accepted: u64,
    /// Tokens refused, by [`Refusal`].
    pub tokens_refused: [u64; Refusal::ALL.len()],
    /// Proofs of possession that prove nothing.
    pub proofs_invalid: u64,
    /// Proofs that hold, by [`Shown`].
    pub proofs: [u64; Shown::ALL.len()],
    /// What became of requests at the doors, by [`Dialect`] and [`DoorOutcome`].
    pub doors: [[u64; DoorOutcome::ALL.len()]; Dialect::ALL.len()],
}

impl Counts {
    /// Adds another thread's.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.allowed.iter_mut().zip(other.allowed) {
            *sum += more;
        }
        for (sum, more) in self.denied.iter_mut().zip(other.denied) {
            *sum += more;
        }
        self.front_hits += other.front_hits;
        self.shared_hits += other.shared_hits;
        self.misses += other.misses;
        self.sqlite_reads += other.sqlite_reads;
        self.depends_hits += other.depends_hits;
        self.instance_hits += other.instance_hits;
        self.evaluations += other.evaluations;
        self.refused += other.refused;
        self.token_hits += other.token_hits;
        self.token_misses += other.token_misses;
        self.tokens_accepted += other.tokens_accepted;
        for (sum, more) in self.tokens_refused.iter_mut().zip(other.tokens_refused) {
            *sum += more;
        }
        self.proofs_invalid += other.proofs_invalid;
        for (sum, more) in self.proofs.iter_mut().zip(other.proofs) {
            *sum += more;
        }
        let doors = other.doors.as_flattened();
        for (sum, more) in self.doors.as_flattened_mut().iter_mut().zip(doors) {
            *sum += more;
        }
    }

    /// Counts a token presented.
    pub fn count_token(&mut self, refused: Option<Refusal>) {
        match refused {
            None => self.tokens_accepted += 1,
            Some(refusal) => {
                if let Some(count) = self.tokens_refused.get_mut(refusal as usize) {
                    *count += 1;
                }
            }
        }
    }

    /// Counts a proof of possession that holds.
    pub fn count_proof(&mut self, shown: Shown) {
        if let Some(count) = self.proofs.get_mut(shown as usize) {
            *count += 1;
        }
    }

    /// Counts a request at a door.
    pub fn count_door(&mut self, dialect: Dialect, outcome: DoorOutcome) {
        let by_outcome = self.doors.get_mut(dialect as usize);
        if let Some(count) = by_outcome.and_then(|counts| counts.get_mut(outcome as usize)) {
            *count += 1;
        }
    }

    /// Counts a decision.
    pub fn count(&mut self, outcome: Outcome) {
        let by_why = if outcome.decision.is_allow() {
            &mut self.allowed
        } else {
            &mut self.denied
        };
        if let Some(count) = by_why.get_mut(outcome.why as usize) {
            *count += 1;
        }
    }
}
