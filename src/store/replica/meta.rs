//! The copy's one meta row.

use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

use super::ReplicaError;
use crate::crypto::sign::FeedPublicKey;
use crate::domain::{Chain, Epoch, FeedName, Position, Revision, Timestamp};
use crate::protocol::feed::FEED_SCHEMA;

/// Where a copy stands and what it adds up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaPosition {
    /// The position.
    pub position: Position,
    /// The sum of all row hashes.
    pub state: [u64; 4],
    /// The schema number.
    pub schema: u32,
    /// The public key of the feed, as text.
    pub feed_key: String,
    /// The time of the latest signature seen.
    pub signed_time: Timestamp,
}

pub(super) fn state_bytes(state: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(state) {
        *chunk = word.to_be_bytes();
    }
    bytes
}

pub(super) fn add(state: &mut [u64; 4], hash: [u64; 4]) {
    for (sum, word) in state.iter_mut().zip(hash) {
        *sum = sum.wrapping_add(word);
    }
}

pub(super) fn subtract(state: &mut [u64; 4], hash: [u64; 4]) {
    for (sum, word) in state.iter_mut().zip(hash) {
        *sum = sum.wrapping_sub(word);
    }
}

impl ReplicaPosition {
    /// An empty copy at `position`.
    pub(super) fn empty(position: Position, feed_key: &FeedPublicKey) -> Self {
        Self {
            position,
            state: [0; 4],
            schema: FEED_SCHEMA,
            feed_key: feed_key.to_string(),
            signed_time: Timestamp::from_unix_micros(i64::MIN),
        }
    }

    pub(super) fn read(connection: &Connection) -> Result<Self, ReplicaError> {
        let mut statement = connection.prepare_cached(
            "SELECT feed, epoch, revision, chain, state, schema, feed_key, signed_time \
             FROM replica WHERE one = 1",
        )?;
        let row = statement
            .query_row([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, [u8; 16]>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, [u8; 32]>(3)?,
                    row.get::<_, [u8; 32]>(4)?,
                    row.get::<_, u32>(5)?,
                    row.get::<_, String>(6)?,
                    row.get::<_, i64>(7)?,
                ))
            })
            .optional()?
            .ok_or_else(|| ReplicaError::Corrupt("the meta row is missing".to_owned()))?;
        if row.0 != FeedName::Authz.as_str() {
            return Err(ReplicaError::Schema("another feed".to_owned()));
        }
        if row.5 != FEED_SCHEMA {
            return Err(ReplicaError::Schema(format!("schema {}", row.5)));
        }
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(row.4.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        Ok(Self {
            position: Position {
                feed: FeedName::Authz,
                epoch: Epoch::from_uuid(Uuid::from_bytes(row.1)),
                revision: Revision::new(
                    u64::try_from(row.2)
                        .map_err(|_| ReplicaError::Corrupt("a negative revision".to_owned()))?,
                ),
                chain: Chain::from_bytes(row.3),
            },
            state,
            schema: row.5,
            feed_key: row.6,
            signed_time: Timestamp::from_unix_micros(row.7),
        })
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), ReplicaError> {
        let revision = i64::try_from(self.position.revision.get())
            .map_err(|_| ReplicaError::Corrupt("a revision beyond 2^63".to_owned()))?;
        connection
            .prepare_cached(
                "INSERT INTO replica (one, feed, epoch, revision, chain, state, schema, feed_key, \
                 signed_time) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                 ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, \
                 revision = excluded.revision, chain = excluded.chain, state = excluded.state, \
                 feed_key = excluded.feed_key, signed_time = excluded.signed_time",
            )?
            .execute((
                self.position.feed.as_str(),
                self.position.epoch.as_uuid().as_bytes(),
                revision,
                self.position.chain.as_bytes(),
                state_bytes(self.state),
                self.schema,
                &self.feed_key,
                self.signed_time.unix_micros(),
            ))?;
        Ok(())
    }
}
