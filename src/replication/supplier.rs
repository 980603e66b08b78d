//! The authority's side of the feed: who may resume where, the live channel, snapshots, heartbeats,
//! compaction.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::ages;
use super::apply::Step;
use super::fleet::Fleet;
use super::keeper::Keeper;
use super::signing::HeadSigner;
use super::snapshot::{self, Snapshot};
use super::stream::{self, FeedBody, Guard, Live, Stream};
use crate::crypto::sign::{FeedPublicKey, FeedSigner};
use crate::domain::{Position, Revision, Timestamp};
use crate::protocol::feed::{Ack, FEED_SCHEMA};
use crate::runtime::Clock;
use crate::runtime::tasks::Tasks;
use crate::store::replica::ReplicaError;
use crate::store::{Store, StoreError, feed};

/// Bounds of the supplier.
#[derive(Debug, Clone)]
pub struct SupplierConfig {
    /// Where the authority keeps its copy and snapshots.
    pub folder: PathBuf,
    /// How often the head is signed and sent.
    pub heartbeat: Duration,
    /// Messages the live channel holds for a slow stream before it goes back to the outbox.
    pub live_messages: usize,
    /// The most frames of one batch.
    pub batch_frames: usize,
    /// The most payload bytes of one batch (one frame may be larger).
    pub batch_bytes: usize,
    /// A snapshot is used until the head is this much further.
    pub snapshot_revisions: u64,
    /// A snapshot is used until it is this old.
    pub snapshot_age: Duration,
    /// Downloads at a time.
    pub snapshot_downloads: usize,
    /// A connection is asked to come back after this long, more or less a fifth: so that they spread
    /// over instances again after one was away.
    pub connection_age: Duration,
    /// How often the authority's copy is compared with the store.
    pub audit_every: Duration,
    /// The outbox keeps at least this many revisions.
    pub retain_revisions: u64,
    /// The outbox keeps at least what is younger than this.
    pub retain_age: Duration,
}

impl SupplierConfig {
    /// The defaults, with files in `folder`.
    pub const fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            heartbeat: Duration::from_secs(1),
            live_messages: 1024,
            batch_frames: 512,
            batch_bytes: 1024 * 1024,
            snapshot_revisions: 10_000,
            snapshot_age: Duration::from_mins(10),
            snapshot_downloads: 8,
            connection_age: Duration::from_mins(30),
            audit_every: Duration::from_hours(6),
            retain_revisions: 1_000_000,
            retain_age: Duration::from_hours(24),
        }
    }
}

/// Why something could not be supplied.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority's own copy.
    #[error("the authority's copy: {0}")]
    Replica(#[from] ReplicaError),
    /// A file.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The supplier stopped, or has a bug.
    #[error("{0}")]
    Internal(String),
}

/// Why a follower cannot resume: decided before the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Before the floor: take a snapshot. `410`.
    BelowFloor,
    /// Not part of this history: take a snapshot. `409`.
    Diverged,
    /// A schema this program does not speak. `426`.
    Schema,
}

/// A download that was let in. Dropping it makes room for the next.
#[derive(Debug)]
pub struct Download {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    permit: OwnedSemaphorePermit,
}

/// Why there is no download.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Too many at a time. `429`.
    #[error("too many snapshot downloads at a time")]
    Busy,
    /// The snapshot could not be made.
    #[error(transparent)]
    Supply(#[from] SupplyError),
}

/// A request for a snapshot.
pub(super) struct Wanted {
    /// That has at least this revision.
    pub(super) at_least: Revision,
    pub(super) answer: oneshot::Sender<Result<Arc<Snapshot>, SupplyError>>,
}

/// The authority's side of one feed. One per process.
pub struct Supplier {
    pub(super) store: Store,
    pub(super) signer: HeadSigner,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: SupplierConfig,
    pub(super) tasks: Tasks,
    pub(super) live: broadcast::Sender<Live>,
    fleet: Fleet,
    wanted: mpsc::Sender<Wanted>,
    requests: Mutex<Option<mpsc::Receiver<Wanted>>>,
    downloads: Arc<Semaphore>,
    streams: AtomicU64,
}

impl std::fmt::Debug for Supplier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supplier")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Supplier {
    /// Reads where the feed is. Touches no file: that is [`Self::start`].
    ///
    /// Blocks; belongs to start-up.
    pub fn open(
        store: Store,
        signer: Arc<FeedSigner>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
        config: SupplierConfig,
    ) -> Result<Arc<Self>, SupplyError> {
        let not_before = store.read_blocking(feed::signed_time)?;
        let (wanted, requests) = mpsc::channel(64);
        Ok(Arc::new(Self {
            signer: HeadSigner::new(signer, Arc::clone(&clock), not_before),
            clock,
            tasks: tasks.clone(),
            live: broadcast::Sender::new(config.live_messages),
            fleet: Fleet::default(),
            wanted,
            requests: Mutex::new(Some(requests)),
            downloads: Arc::new(Semaphore::new(config.snapshot_downloads)),
            streams: AtomicU64::new(0),
            config,
            store,
        }))
    }

    /// Starts the tailer and the keeper of the authority's copy, once; they end with the tasks that
    /// [`Self::open`] was given.
    pub fn start(self: &Arc<Self>) -> Result<(), SupplyError> {
        let requests = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(requests) = requests else {
            return Ok(());
        };
        let io = |source| SupplyError::Io {
            what: "start the feed",
            source,
        };
        std::fs::create_dir_all(&self.config.folder).map_err(io)?;
        snapshot::remove_leftovers(&self.config.folder).map_err(io)?;
        // Subscribed before the head is read: nothing in between is missed.
        let changes = self.store.subscribe();
        let position = *changes.borrow();
        let tailer = Tailer {
            supplier: Arc::clone(self),
            position,
            persisted: self.signer.last_time(),
        };
        let stop = self.tasks.stop();
        self.tasks.spawn("feed-tailer", async move {
            tokio::select! {
                () = tailer.run(changes) => {}
                () = stop.requested() => {}
            }
        });
        let keeper = Keeper {
            supplier: Arc::clone(self),
            requests,
            latest: None,
        };
        let stop = self.tasks.stop();
        self.tasks
            .spawn_worker("feed-copy", move || async move {
                tokio::select! {
                    () = keeper.run() => {}
                    () = stop.requested() => {}
                }
            })
            .map_err(io)
    }

    /// The key that followers pin.
    pub fn public_key(&self) -> FeedPublicKey {
        self.signer.public()
    }

    /// Who follows.
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Takes a follower's report in.
    pub fn acknowledge(&self, client_id: &str, ack: Ack) {
        if let Some(error) = &ack.error {
            metrics::counter!("doorward_feed_nacks_total").increment(1);
            tracing::warn!(
                client_id,
                kind = error.kind,
                revision = ack.revision,
                "a follower cannot go on"
            );
        }
        self.fleet.report(client_id, ack, self.clock.now());
    }

    /// Whether a follower may resume from a position.
    pub async fn resume(
        &self,
        position: &Position,
        schema: u32,
    ) -> Result<Result<(), Refusal>, SupplyError> {
        if schema != FEED_SCHEMA {
            return Ok(Err(Refusal::Schema));
        }
        let step = Step::after(&self.store, position.revision, 0, 0).await?;
        Ok(if position.revision > step.head.position.revision {
            metrics::counter!("doorward_feed_diverged_total").increment(1);
            tracing::error!(%position.revision, "a follower is ahead of the feed");
            Err(Refusal::Diverged)
        } else if position.revision < step.head.floor || position.epoch.as_uuid().is_nil() {
            Err(Refusal::BelowFloor)
        } else if step.continues(position) {
            Ok(())
        } else {
            metrics::counter!("doorward_feed_diverged_total").increment(1);
            tracing::error!(%position.revision, "a follower's history is another one");
            Err(Refusal::Diverged)
        })
    }

    /// Opens the stream for a follower that may resume.
    pub fn stream(self: &Arc<Self>, client_id: &str, position: Position, guard: Guard) -> FeedBody {
        let (sender, body) = FeedBody::channel();
        let stream = Stream {
            supplier: Arc::clone(self),
            position,
            guard,
            sender,
            age: self.next_age(),
        };
        let (supplier, client_id) = (Arc::clone(self), client_id.to_owned());
        self.tasks.spawn("feed-stream", async move {
            supplier.fleet.connected(&client_id, supplier.clock.now());
            stream.run().await;
            supplier.fleet.gone(&client_id, supplier.clock.now());
        });
        body
    }

    /// How long the next stream may last. Spread, not secret.
    fn next_age(&self) -> Duration {
        // The odd constant walks through all fractions evenly.
        let turn = self
            .streams
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let age = self.config.connection_age;
        let spread = age.saturating_mul(2) / 5;
        let part = u32::try_from(turn >> 48).unwrap_or(0);
        (age.saturating_mul(4) / 5).saturating_add(spread.saturating_mul(part) / 65_536)
    }

    /// Lets a download in, with a snapshot that has at least this revision.
    pub async fn snapshot(&self, at_least: Revision) -> Result<Download, DownloadError> {
        let permit = Arc::clone(&self.downloads)
            .try_acquire_owned()
            .map_err(|_| DownloadError::Busy)?;
        let stopped = || SupplyError::Internal("the supplier has stopped".to_owned());
        let (answer, snapshot) = oneshot::channel();
        self.wanted
            .send(Wanted { at_least, answer })
            .await
            .map_err(|_| stopped())?;
        let snapshot = snapshot.await.map_err(|_| stopped())??;
        Ok(Download { snapshot, permit })
    }

    /// The body of a download, from a byte on.
    pub fn download(&self, download: Download, from: u64) -> FeedBody {
        let (sender, body) = FeedBody::channel();
        self.tasks.spawn("feed-snapshot", async move {
            let _permit = download.permit;
            if let Err(error) = send_file(&download.snapshot.path, from, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        body
    }
}

async fn send_file(
    path: &std::path::Path,
    from: u64,
    sender: &mpsc::Sender<Result<bytes::Bytes, io::Error>>,
) -> io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(io::SeekFrom::Start(from)).await?;
    loop {
        let mut chunk = bytes::BytesMut::with_capacity(256 * 1024);
        if file.read_buf(&mut chunk).await? == 0 {
            return Ok(());
        }
        let sent = tokio::time::timeout(Duration::from_secs(30), sender.send(Ok(chunk.freeze())));
        if !matches!(sent.await, Ok(Ok(()))) {
            return Ok(());
        }
    }
}

/// Reads each new frame once and tells all streams; signs the head.
struct Tailer {
    supplier: Arc<Supplier>,
    position: Position,
    persisted: Timestamp,
}

impl Tailer {
    async fn run(mut self, mut head: tokio::sync::watch::Receiver<Position>) {
        let mut beat = tokio::time::interval(self.supplier.config.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let heartbeat = tokio::select! {
                changed = head.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    false
                }
                _ = beat.tick() => true,
            };
            // The head is read for each heartbeat: one that is not known now is not signed.
            let result = match self.advance().await {
                Ok(moved) if heartbeat => {
                    if !moved {
                        let signer = &self.supplier.signer;
                        let bytes = stream::heartbeat(signer, self.position);
                        let _ = self.supplier.live.send(Live::Heartbeat(bytes));
                    }
                    self.keep_house().await
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                metrics::counter!("doorward_feed_tailer_errors_total").increment(1);
                tracing::error!(%error, "the feed's head cannot be read");
            }
        }
    }

    /// Tells the streams what is new. `false`: nothing was.
    async fn advance(&mut self) -> Result<bool, StoreError> {
        let mut any = false;
        loop {
            let config = &self.supplier.config;
            let step = Step::after(
                &self.supplier.store,
                self.position.revision,
                config.batch_frames,
                config.batch_bytes,
            )
            .await?;
            if !step.continues(&self.position) {
                self.position = step.head.position;
                let _ = self.supplier.live.send(Live::Moved);
                return Ok(true);
            }
            if step.frames.is_empty() {
                return Ok(any);
            }
            any = true;
            let signer = &self.supplier.signer;
            let (mut bytes, to) =
                stream::batches(signer, &step.history, self.position, &step.frames);
            if to == step.head.position {
                bytes.extend_from_slice(&stream::heartbeat(signer, to));
            }
            let from = std::mem::replace(&mut self.position, to);
            metrics::gauge!("doorward_feed_revision").set(gauge(to.revision));
            let _ = self.supplier.live.send(Live::Batch {
                from,
                to,
                bytes: bytes.into(),
                clients: stream::touches_clients(&step.frames),
            });
        }
    }

    /// Keeps the latest signing time, and the outbox within its bounds. Now and then.
    async fn keep_house(&mut self) -> Result<(), StoreError> {
        const EVERY: Duration = Duration::from_secs(10);
        let signed = self.supplier.signer.last_time();
        if signed.since(self.persisted) < EVERY {
            return Ok(());
        }
        self.persisted = signed;
        let config = &self.supplier.config;
        let (now, age) = (self.supplier.clock.now(), config.retain_age);
        let head = self.position.revision;
        let by_count = Revision::new(head.get().saturating_sub(config.retain_revisions));
        let removed = self
            .supplier
            .store
            .write(move |tx| {
                feed::reserve_signed_time(tx, signed)?;
                match ages::older_than(tx, now, age, head)? {
                    Some(old) if old.min(by_count) > Revision::ZERO => {
                        feed::compact(tx, old.min(by_count))
                    }
                    _ => Ok::<_, StoreError>(0),
                }
            })
            .await?
            .value;
        if removed > 0 {
            tracing::info!(removed, "the outbox was compacted");
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
const fn gauge(revision: Revision) -> f64 {
    revision.get() as f64
}
