//! The authority's own copy: the sidecars' applier, run all day on the outbox, so that snapshots
//! come from a file without secrets and not from the store.

use std::path::PathBuf;

use super::signing::HeadSigner;
use super::supplier::SupplyError;
use crate::crypto::sign::FeedPublicKey;
use crate::domain::{Chain, Epoch, Position, Revision, Timestamp};
use crate::protocol::feed::{SealedFrame, row_hash};
use crate::store::replica::{Advance, Builder, NewEpoch, Replica, ReplicaError};
use crate::store::replicated::REPLICATED;
use crate::store::{Store, StoreError, Tx, feed};

/// Frames read at a time.
const FRAMES: usize = 1_000;
const BYTES: usize = 4 * 1024 * 1024;

/// Which epoch each revision belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History(Vec<(Epoch, Revision)>);

impl History {
    pub(super) fn read(tx: &mut dyn Tx) -> Result<Self, StoreError> {
        feed::epochs(tx).map(Self)
    }

    /// The epoch that a revision belongs to; the empty history belongs to the first.
    pub(super) fn epoch_of(&self, revision: Revision) -> Option<Epoch> {
        self.0
            .iter()
            .rev()
            .find(|(_, first)| *first <= revision)
            .or_else(|| self.0.first())
            .map(|(epoch, _)| *epoch)
    }

    /// The epoch that begins with exactly this revision.
    fn begins(&self, revision: Revision) -> Option<NewEpoch> {
        self.0
            .iter()
            .skip(1)
            .find(|(_, first)| *first == revision)
            .map(|(epoch, first)| NewEpoch {
                epoch: *epoch,
                first_revision: *first,
            })
    }

    /// Cuts frames where an epoch begins: each part lies in one epoch, with the epoch that begins
    /// there.
    pub(super) fn parts<'f>(
        &self,
        frames: &'f [SealedFrame],
    ) -> Vec<(Option<NewEpoch>, &'f [SealedFrame])> {
        frames
            .chunk_by(|_, next| self.begins(next.revision).is_none())
            .map(|part| {
                let new = part.first().and_then(|frame| self.begins(frame.revision));
                (new, part)
            })
            .collect()
    }
}

/// What a step along the outbox found, in one transaction.
pub(super) struct Step {
    pub(super) head: feed::FeedHead,
    pub(super) history: History,
    /// The chain that the outbox has at the position asked for.
    pub(super) chain: Option<Chain>,
    pub(super) frames: Vec<SealedFrame>,
}

impl Step {
    /// Reads what follows a revision.
    pub(super) async fn after(
        store: &Store,
        revision: Revision,
        max_frames: usize,
        max_bytes: usize,
    ) -> Result<Self, StoreError> {
        store
            .read(move |tx| {
                let head = feed::head(tx)?;
                Ok(Self {
                    history: History::read(tx)?,
                    chain: feed::frame_at(tx, revision)?,
                    frames: if head.floor <= revision {
                        feed::frames_after(tx, revision, max_frames, max_bytes)?
                    } else {
                        Vec::new()
                    },
                    head,
                })
            })
            .await
    }

    /// Whether a position is part of this history and can be resumed from.
    pub(super) fn continues(&self, position: &Position) -> bool {
        self.head.floor <= position.revision
            && self.chain == Some(position.chain)
            && self.history.epoch_of(position.revision) == Some(position.epoch)
    }
}

/// What an audit found wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The copy is not what was applied to it.
    Copy,
    /// The copy is what was applied to it, and that is not what the store holds: rows were changed
    /// past the feed.
    History,
}

/// The authority's copy and its one writer.
#[derive(Debug)]
pub(super) struct OwnCopy {
    store: Store,
    path: PathBuf,
    key: FeedPublicKey,
    /// `None` only while it is being replaced, or after that failed.
    replica: Option<Replica>,
}

impl OwnCopy {
    /// Opens the copy, or builds it when there is none that holds.
    pub(super) async fn open(
        store: Store,
        path: PathBuf,
        signer: &HeadSigner,
    ) -> Result<Self, SupplyError> {
        let key = signer.public();
        let replica = match Replica::open(&path).and_then(|replica| {
            if let Some(replica) = &replica {
                replica.verify()?;
            }
            Ok(replica)
        }) {
            Ok(replica) => {
                replica.filter(|held| held.meta().feed_key == key.to_string() && held.is_complete())
            }
            Err(error) => {
                tracing::warn!(%error, "the authority's copy is built anew");
                None
            }
        };
        let mut copy = Self {
            store,
            path,
            key,
            replica,
        };
        copy.catch_up().await?;
        Ok(copy)
    }

    /// Applies what the outbox has, or builds the copy anew when it cannot go on from where it is.
    pub(super) async fn catch_up(&mut self) -> Result<&Replica, SupplyError> {
        loop {
            let Some(replica) = self.replica.as_mut() else {
                self.rebuild().await?;
                continue;
            };
            let position = replica.position();
            let step = Step::after(&self.store, position.revision, FRAMES, BYTES).await?;
            if !step.continues(&position) {
                tracing::info!(%position.revision, "the authority's copy is not on the feed's line");
                self.replica = None;
                continue;
            }
            if step.frames.is_empty() {
                break;
            }
            if let Err(error) = apply(replica, &step) {
                if matches!(error, ReplicaError::Full | ReplicaError::Unavailable(_)) {
                    return Err(error.into());
                }
                tracing::warn!(%error, "the authority's copy is built anew");
                self.replica = None;
            }
        }
        self.replica
            .as_ref()
            .ok_or_else(|| SupplyError::Internal("no copy after catching up".to_owned()))
    }

    /// Compares the copy with a scan of the store, at the same position. What differs is dropped: the
    /// next [`Self::catch_up`] builds it anew. `None`: nothing does.
    pub(super) async fn audit(&mut self) -> Result<Option<Fault>, SupplyError> {
        let (position, state) = self.store.read(count).await?;
        let Some(replica) = self.replica.as_mut() else {
            return Ok(None);
        };
        while replica.position().revision < position.revision {
            let from = replica.position();
            let mut step = Step::after(&self.store, from.revision, FRAMES, BYTES).await?;
            step.frames
                .retain(|frame| frame.revision <= position.revision);
            if !step.continues(&from) || step.frames.is_empty() || apply(replica, &step).is_err() {
                // For the next turn: catching up has its own way with these.
                return Ok(None);
            }
        }
        if replica.position() != position {
            return Ok(None);
        }
        let fault = match replica.verify() {
            Err(error) if error.discard() => Some(Fault::Copy),
            Err(error) => return Err(error.into()),
            Ok(()) => (replica.state() != state).then_some(Fault::History),
        };
        if fault.is_some() {
            self.replica = None;
        }
        Ok(fault)
    }

    /// Builds the copy from one consistent read of the store.
    async fn rebuild(&mut self) -> Result<(), SupplyError> {
        self.replica = None;
        let (path, key) = (self.path.clone(), self.key);
        let replica = self.store.read(move |tx| scan(tx, &path, &key)).await?;
        metrics::counter!("doorward_copy_rebuilds_total").increment(1);
        self.replica = Some(replica);
        Ok(())
    }
}

fn apply(replica: &mut Replica, step: &Step) -> Result<(), ReplicaError> {
    for (epoch, frames) in step.history.parts(&step.frames) {
        replica.apply(&Advance {
            frames,
            epoch,
            signed_time: None,
        })?;
    }
    Ok(())
}

/// The head, and what the store's rows add up to there.
fn count(tx: &mut dyn Tx) -> Result<(Position, [u64; 4]), StoreError> {
    let head = feed::head(tx)?;
    let mut state = [0_u64; 4];
    for table in REPLICATED {
        feed::scan(tx, table, &mut |row| {
            for (sum, word) in state.iter_mut().zip(row_hash(table.id, &row)) {
                *sum = sum.wrapping_add(word);
            }
        })?;
    }
    Ok((head.position, state))
}

fn scan(
    tx: &mut dyn Tx,
    path: &std::path::Path,
    key: &FeedPublicKey,
) -> Result<Replica, SupplyError> {
    let head = feed::head(tx)?;
    let mut builder = Builder::create(path, head.position, key)?;
    for (epoch, first) in feed::epochs(tx)? {
        builder.epoch(epoch, first)?;
    }
    for table in REPLICATED {
        let mut failed = None;
        feed::scan(tx, table, &mut |row| {
            if failed.is_none() {
                failed = builder.insert(table, &row).err();
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    // A follower that has seen nothing has no time to compare with.
    Ok(builder.finish(Timestamp::from_unix_micros(i64::MIN))?)
}
