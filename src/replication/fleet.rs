//! Who follows, and how far they are: in memory, from what followers report.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::domain::Timestamp;
use crate::protocol::feed::{Ack, AckError};

/// More followers than one instance serves.
const MAX_FOLLOWERS: usize = 100_000;
/// The most of an error's detail that is kept.
const MAX_DETAIL: usize = 500;

/// What is known of one follower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Follower {
    /// Its client id.
    pub client_id: String,
    /// How many streams it has here.
    pub streams: u32,
    /// The epoch it has applied, if it reported one.
    pub epoch: Option<uuid::Uuid>,
    /// The revision it has applied.
    pub revision: Option<u64>,
    /// When it last reported or connected.
    pub seen_at: Timestamp,
    /// What it could not do, if it could not.
    pub error: Option<Failure>,
}

/// What a follower could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Failure {
    /// A word for machines.
    pub kind: String,
    /// Words for people.
    pub detail: String,
}

/// All followers of this instance.
#[derive(Debug, Default)]
pub struct Fleet(Mutex<BTreeMap<String, Follower>>);

impl Fleet {
    /// Everyone, by client id.
    pub fn all(&self) -> Vec<Follower> {
        self.lock().values().cloned().collect()
    }

    /// One follower.
    pub fn find(&self, client_id: &str) -> Option<Follower> {
        self.lock().get(client_id).cloned()
    }

    pub(super) fn connected(&self, client_id: &str, now: Timestamp) {
        self.update(client_id, now, |follower| {
            follower.streams = follower.streams.saturating_add(1);
        });
    }

    pub(super) fn gone(&self, client_id: &str, now: Timestamp) {
        self.update(client_id, now, |follower| {
            follower.streams = follower.streams.saturating_sub(1);
        });
    }

    /// Takes a report in.
    pub fn report(&self, client_id: &str, ack: Ack, now: Timestamp) {
        self.update(client_id, now, |follower| {
            follower.epoch = Some(ack.epoch);
            follower.revision = Some(ack.revision);
            follower.error = ack.error.map(|AckError { kind, detail }| Failure {
                kind: kind.chars().take(50).collect(),
                detail: detail.chars().take(MAX_DETAIL).collect(),
            });
        });
    }

    fn update(&self, client_id: &str, now: Timestamp, change: impl FnOnce(&mut Follower)) {
        let mut followers = self.lock();
        if followers.len() >= MAX_FOLLOWERS && !followers.contains_key(client_id) {
            followers.retain(|_, follower| follower.streams > 0);
        }
        let follower = followers
            .entry(client_id.to_owned())
            .or_insert_with(|| Follower {
                client_id: client_id.to_owned(),
                streams: 0,
                epoch: None,
                revision: None,
                seen_at: now,
                error: None,
            });
        follower.seen_at = now;
        change(follower);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Follower>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
