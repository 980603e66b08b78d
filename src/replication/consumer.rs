//! Following the feed: one connection, one writer, never past what is proved.
//!
//! Order for every batch: verify its signature → verify numbers and chain → commit →
//! [`Sink::applied`] → acknowledge. A follower whose authority is gone keeps its copy serving and
//! keeps trying; what it cannot resume it replaces by a snapshot; a frame it cannot apply it reports
//! and never skips.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::{AuthorityClient, ClientConfig, ClientError};
use super::copies::{self, Copies};
use super::fetch::{self, FetchError};
use super::signing::is_signed;
use crate::crypto::sign::FeedPublicKey;
use crate::domain::{FeedName, Position, Revision, Timestamp};
use crate::protocol::feed::{
    Ack, AckError, Claim, Goodbye, Message, MessageDecoder, SealedFrame, SignedHead,
};
use crate::runtime::backoff::Backoff;
use crate::runtime::tasks::Stop;
use crate::runtime::{Clock, Entropy};
use crate::store::replica::{Advance, Applied, NewEpoch, Replica, ReplicaError, Uncommitted};

/// Without a sign of life for this long a connection counts as dead.
pub const SILENCE: Duration = Duration::from_secs(3);

/// How often the whole copy is counted anew against its state.
pub const SCRUB_EVERY: Duration = Duration::from_hours(1);

/// Who is told what the copy does. Called on the follower's thread, in order.
pub trait Sink: Send {
    /// Roles, permissions, grants or scopes are about to change: get ready, so that little time
    /// passes between the commit and [`Self::applied`]. An error, for people to read, leaves the
    /// copy where it was; the change comes again.
    ///
    /// # Errors
    ///
    /// What will be committed cannot be decided by.
    fn prepare(&mut self, change: &Uncommitted<'_>) -> Result<(), String> {
        let _ = change;
        Ok(())
    }
    /// Rows were committed: forget what was read of them, then publish the position.
    fn applied(&mut self, applied: &Applied);
    /// Another file is the copy now: open it, forget everything, publish the position.
    fn replaced(&mut self, path: &Path, position: Position);
    /// The feed's head was verified to be `head`, which the copy has: the answer to "how stale" is
    /// measured from `at_boot` (`Clock::since_boot`).
    fn fresh(&self, head: Revision, at_boot: Duration);
    /// The connection ended or could not be made.
    fn disconnected(&self, reason: &str);
}

/// What a follower needs to know.
#[derive(Debug, Clone)]
pub struct FollowerConfig {
    /// The authority and our credentials.
    pub client: ClientConfig,
    /// The key the feed must be signed with, pinned when the sidecar was enrolled.
    pub feed_key: FeedPublicKey,
    /// Where copies are kept.
    pub data_dir: PathBuf,
    /// See [`SILENCE`].
    pub silence: Duration,
    /// See [`SCRUB_EVERY`].
    pub scrub_every: Duration,
}

/// Follows a feed for ever.
pub struct Follower {
    config: FollowerConfig,
    client: Arc<AuthorityClient>,
    copies: Copies,
    replica: Option<Replica>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    sink: Box<dyn Sink>,
    /// The time of the newest head believed: an older one is a replay.
    last_head: Timestamp,
    /// Whether the present connection gave a verified sign of life.
    healthy: bool,
    acks: watch::Sender<Option<Ack>>,
    /// A copy that no longer holds: it serves until another is there, and goes then.
    corrupt: Option<PathBuf>,
    /// When the copy was last known to hold, since boot.
    scrubbed: Duration,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("client", &self.client)
            .field("position", &self.replica.as_ref().map(Replica::position))
            .finish_non_exhaustive()
    }
}

/// How a connection ended.
enum Ended {
    /// Connect again after a jittered wait.
    Retry(String),
    /// Connect again, not before this has passed.
    After(Duration, String),
    /// A snapshot is in place: connect at once.
    Installed,
    /// Only a snapshot helps, one with at least this revision.
    Snapshot(Revision, String),
}

impl Follower {
    /// Opens the data directory and the copy in it, if there is one that holds. The sink hears of
    /// it at once, so a sidecar serves before it is connected.
    ///
    /// # Errors
    ///
    /// A directory that cannot be used, or a configuration that cannot work.
    pub fn new(
        config: FollowerConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        mut sink: Box<dyn Sink>,
    ) -> Result<Self, ClientError> {
        let copies = Copies::open(&config.data_dir).map_err(|error| {
            ClientError::Config(format!("`{}`: {error}", config.data_dir.display()))
        })?;
        let client = AuthorityClient::new(config.client.clone(), Arc::clone(&clock))?;
        let replica = copies.start(&config.feed_key);
        let mut last_head = Timestamp::from_unix_micros(i64::MIN);
        if let Some(replica) = &replica {
            last_head = replica.meta().signed_time;
            sink.replaced(replica.path(), replica.position());
        }
        Ok(Self {
            config,
            client: Arc::new(client),
            copies,
            replica,
            // Whatever copy there is was checked as it was opened.
            scrubbed: clock.since_boot(),
            clock,
            entropy,
            sink,
            last_head,
            healthy: false,
            acks: watch::Sender::new(None),
            corrupt: None,
        })
    }

    /// Where the copy stands; `None` while there is none.
    pub fn position(&self) -> Option<Position> {
        self.replica.as_ref().map(Replica::position)
    }

    /// Follows until a stop is asked for. Blocks its thread while it applies: give it one of its
    /// own (`Tasks::spawn_worker`).
    pub async fn run(mut self, stop: Stop) {
        let acks = acknowledge(Arc::clone(&self.client), self.acks.subscribe());
        tokio::select! {
            () = stop.requested() => {}
            () = self.follow() => {}
            () = acks => {}
        }
    }

    async fn follow(&mut self) {
        let mut backoff = Backoff::new();
        // `Some`: only a snapshot helps, one that has at least this revision.
        let mut wanted = self.replica.is_none().then_some(Revision::ZERO);
        loop {
            self.healthy = false;
            if let Err(Ended::Snapshot(at_least, reason)) = self.scrub() {
                self.sink.disconnected(&reason);
                wanted = Some(at_least);
            }
            let ended = match wanted {
                Some(at_least) => self.take_snapshot(at_least).await,
                None => self.connect().await,
            };
            if self.healthy {
                backoff.reset();
            }
            let (wait, reason) = match ended {
                Ended::Installed => {
                    wanted = None;
                    continue;
                }
                Ended::Retry(reason) => (backoff.next(&*self.entropy), reason),
                Ended::After(at_least, reason) => (
                    at_least.saturating_add(backoff.next(&*self.entropy)),
                    reason,
                ),
                Ended::Snapshot(at_least, reason) => {
                    let first = wanted.replace(at_least).is_none();
                    let wait = if first {
                        Duration::ZERO
                    } else {
                        backoff.next(&*self.entropy)
                    };
                    (wait, reason)
                }
            };
            self.sink.disconnected(&reason);
            tracing::info!(
                reason,
                wait_ms = wait.as_millis(),
                "the feed connection ended"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// Fetches a snapshot and makes it the copy. The old one serves meanwhile.
    async fn take_snapshot(&mut self, at_least: Revision) -> Ended {
        let fetched = fetch::install(
            &self.client,
            at_least,
            &self.config.feed_key,
            &self.copies,
            self.config.silence,
        )
        .await;
        match fetched {
            Ok(replica) => {
                metrics::counter!("doorward_snapshots_installed_total").increment(1);
                self.sink.replaced(replica.path(), replica.position());
                // The old writer closes only now: its readers have been told.
                let corrupt = self.corrupt.take();
                self.replica = Some(replica);
                self.scrubbed = self.clock.since_boot();
                if let Some(path) = corrupt {
                    copies::remove(&path);
                }
                self.acknowledge(None);
                self.healthy = true;
                Ended::Installed
            }
            Err(FetchError::Client(error)) => refused(&error),
            Err(error) => {
                let kind = match &error {
                    FetchError::Full => "disk_full",
                    FetchError::Schema(_) => "schema",
                    _ => "snapshot",
                };
                self.acknowledge(Some((kind, error.to_string())));
                Ended::Retry(error.to_string())
            }
        }
    }

    /// One connection: from asking to its end.
    async fn connect(&mut self) -> Ended {
        let position = self.position().unwrap_or_else(fetch::nowhere);
        let response = match self.client.changes(&position).await {
            Ok(response) => response,
            Err(error) => return refused(&error),
        };
        self.acknowledge(None);
        self.read(response.into_body()).await
    }

    async fn read(&mut self, mut body: Incoming) -> Ended {
        let mut decoder = MessageDecoder::new();
        let mut pending: Option<NewEpoch> = None;
        let mut alive = Instant::now();
        loop {
            match tokio::time::timeout(self.config.silence, body.frame()).await {
                Err(_) => return Ended::Retry("the authority fell silent".to_owned()),
                Ok(None) => return Ended::Retry("the authority closed the stream".to_owned()),
                Ok(Some(Err(error))) => return Ended::Retry(error.to_string()),
                Ok(Some(Ok(frame))) => {
                    if let Some(bytes) = frame.data_ref() {
                        decoder.push(bytes);
                    }
                }
            }
            loop {
                match decoder.message() {
                    Err(error) => return Ended::Retry(error.to_string()),
                    Ok(None) => break,
                    Ok(Some(message)) => match self.receive(message, &mut pending) {
                        Ok(true) => {
                            alive = Instant::now();
                            self.healthy = true;
                        }
                        Ok(false) => {}
                        Err(ended) => return ended,
                    },
                }
            }
            if let Err(ended) = self.scrub() {
                return ended;
            }
            // Bytes come, but nothing that proves anything: replays, or a message without end.
            if decoder.is_between_messages() && alive.elapsed() > self.config.silence {
                return Ended::Retry("no verified heartbeat".to_owned());
            }
        }
    }

    /// Now and then: the engine's own check and a count of every row, against bits that flip and
    /// appliers that err. Takes half a second for a million rows, in which messages wait; checks are
    /// answered by other threads.
    fn scrub(&mut self) -> Result<(), Ended> {
        let now = self.clock.since_boot();
        let Some(replica) = self.replica.as_ref() else {
            return Ok(());
        };
        if self.corrupt.is_some() || now.saturating_sub(self.scrubbed) < self.config.scrub_every {
            return Ok(());
        }
        self.scrubbed = now;
        metrics::counter!("doorward_copy_scrubs_total").increment(1);
        match replica.verify() {
            Ok(()) => Ok(()),
            Err(error) if error.discard() => {
                metrics::counter!("doorward_copies_discarded_total").increment(1);
                tracing::error!(%error, "the copy no longer holds: another is fetched");
                self.corrupt = Some(replica.path().to_owned());
                self.acknowledge(Some(("corrupt", error.to_string())));
                Err(Ended::Snapshot(Revision::ZERO, error.to_string()))
            }
            Err(error) => {
                tracing::warn!(%error, "the copy could not be scrubbed");
                Ok(())
            }
        }
    }

    /// Takes one message in. `Ok(true)`: it was a verified sign of life.
    fn receive(&mut self, message: Message, pending: &mut Option<NewEpoch>) -> Result<bool, Ended> {
        match message {
            Message::Batch { frames, head } => self.batch(&frames, &head, pending),
            Message::Heartbeat(head) => self.heartbeat(&head),
            Message::Epoch {
                epoch,
                first_revision,
            } => {
                *pending = Some(NewEpoch {
                    epoch,
                    first_revision,
                });
                Ok(false)
            }
            Message::Schema { schema } => {
                tracing::warn!(schema, "the authority has a newer feed schema");
                Ok(false)
            }
            Message::Goodbye {
                reason,
                retry_after,
            } => Err(match reason {
                Goodbye::Expired | Goodbye::Moved | Goodbye::Age => {
                    Ended::Retry(format!("goodbye: {reason:?}"))
                }
                Goodbye::Drain | Goodbye::Revoked | Goodbye::Other => {
                    Ended::After(retry_after, format!("goodbye: {reason:?}"))
                }
            }),
        }
    }

    fn batch(
        &mut self,
        frames: &[SealedFrame],
        head: &SignedHead,
        pending: &mut Option<NewEpoch>,
    ) -> Result<bool, Ended> {
        if !is_signed(&self.config.feed_key, head, Claim::BatchEnd) {
            metrics::counter!("doorward_feed_forged_total").increment(1);
            return Err(Ended::Retry(
                "a batch is not signed by the pinned key".to_owned(),
            ));
        }
        let ends = frames.last().map(|frame| (frame.revision, frame.chain));
        if ends != Some((head.revision, head.chain)) {
            return Err(Ended::Retry(
                "a batch does not end where it was signed".to_owned(),
            ));
        }
        let Some(replica) = self.replica.as_mut() else {
            return Err(Ended::Snapshot(
                Revision::ZERO,
                "there is no copy".to_owned(),
            ));
        };
        let epoch = if head.epoch == replica.position().epoch {
            None
        } else {
            let announced = pending.take().filter(|new| new.epoch == head.epoch);
            if announced.is_none() {
                return Err(Ended::Retry("an epoch that was not announced".to_owned()));
            }
            announced
        };
        let sink = &mut self.sink;
        let advance = Advance {
            frames,
            epoch,
            signed_time: Some(self.last_head),
        };
        let result = replica.apply_with(&advance, &mut |change| sink.prepare(change));
        match result {
            Ok(applied) => {
                if applied.frames > 0 {
                    self.sink.applied(&applied);
                    self.acknowledge(None);
                }
                Ok(applied.frames > 0)
            }
            Err(error) => Err(self.not_applied(&error)),
        }
    }

    fn not_applied(&mut self, error: &ReplicaError) -> Ended {
        let kind = match error {
            ReplicaError::Full => "disk_full",
            ReplicaError::Poison { .. } => "poison_frame",
            ReplicaError::Corrupt(_) => "corrupt",
            ReplicaError::Schema(_) => "schema",
            ReplicaError::Refused(_) => "refused",
            ReplicaError::Reset { .. }
            | ReplicaError::Gap { .. }
            | ReplicaError::Chain { .. }
            | ReplicaError::Unavailable(_) => "",
        };
        tracing::error!(%error, "a batch was not applied");
        metrics::counter!("doorward_feed_not_applied_total").increment(1);
        if !kind.is_empty() {
            self.acknowledge(Some((kind, error.to_string())));
        }
        if error.needs_snapshot() {
            let at_least = match error {
                ReplicaError::Poison { revision, .. } | ReplicaError::Reset { revision } => {
                    *revision
                }
                // An older one would bring back what was taken away since.
                ReplicaError::Corrupt(_) => self
                    .position()
                    .map_or(Revision::ZERO, |position| position.revision),
                _ => Revision::ZERO,
            };
            Ended::Snapshot(at_least, error.to_string())
        } else {
            Ended::Retry(error.to_string())
        }
    }

    fn heartbeat(&mut self, head: &SignedHead) -> Result<bool, Ended> {
        if !is_signed(&self.config.feed_key, head, Claim::Head) {
            metrics::counter!("doorward_feed_forged_total").increment(1);
            return Err(Ended::Retry(
                "a heartbeat is not signed by the pinned key".to_owned(),
            ));
        }
        if head.time <= self.last_head {
            metrics::counter!("doorward_feed_replayed_total").increment(1);
            return Ok(false);
        }
        self.last_head = head.time;
        let Some(position) = self.position() else {
            return Ok(true);
        };
        if head.position() == position {
            self.sink.fresh(head.revision, self.clock.since_boot());
        } else if head.epoch == position.epoch && head.revision <= position.revision {
            // Behind us, or beside us: the server decides on the next connection.
            return Err(Ended::Retry(
                "the authority's head is not ahead of ours".to_owned(),
            ));
        }
        Ok(true)
    }

    /// Reports where the copy stands, after everything else was done with it.
    fn acknowledge(&self, error: Option<(&str, String)>) {
        let position = self.position().unwrap_or_else(fetch::nowhere);
        self.acks.send_replace(Some(Ack {
            epoch: position.epoch.as_uuid(),
            revision: position.revision.get(),
            chain: position.chain.to_string(),
            error: error.map(|(kind, detail)| AckError {
                kind: kind.to_owned(),
                detail,
            }),
        }));
    }
}

/// What an answer without a stream means.
fn refused(error: &ClientError) -> Ended {
    let reason = error.to_string();
    match error {
        ClientError::Status {
            status,
            retry_after,
        } => match (*status, *retry_after) {
            (StatusCode::GONE | StatusCode::CONFLICT, _) => Ended::Snapshot(Revision::ZERO, reason),
            (_, Some(wait)) => Ended::After(wait, reason),
            (_, None) => Ended::Retry(reason),
        },
        _ => Ended::Retry(reason),
    }
}

/// Sends the newest report, one at a time: what came in between is contained in it. A report that
/// could not be sent is not repeated; the next connection reports anew.
async fn acknowledge(client: Arc<AuthorityClient>, mut acks: watch::Receiver<Option<Ack>>) {
    while acks.changed().await.is_ok() {
        let ack = acks.borrow_and_update().clone();
        if let Some(ack) = ack
            && let Err(error) = client.acknowledge(FeedName::Authz, &ack).await
        {
            tracing::debug!(%error, "a report was not taken");
        }
    }
}
