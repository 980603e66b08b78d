//! One follower's stream: first what it missed, read from the outbox, then what happens, from the
//! shared live channel. One that falls behind the live channel goes back to the outbox; the writer
//! never waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::{broadcast, mpsc};

use super::apply::{History, Step};
use super::signing::HeadSigner;
use super::supplier::Supplier;
use crate::domain::{Position, Timestamp};
use crate::protocol::feed::{Claim, Frame as FeedFrame, Goodbye, Message, Op, SealedFrame};
use crate::store::StoreError;
use crate::store::replicated::CLIENT_STATES;

/// A follower that takes nothing for this long is cut off.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages on their way to one connection.
const IN_FLIGHT: usize = 8;

/// What the tailer tells all streams.
#[derive(Debug, Clone)]
pub(super) enum Live {
    /// Frames with what proves them, and a heartbeat behind.
    Batch {
        /// Where a stream must be for this to follow.
        from: Position,
        /// Where it is afterwards.
        to: Position,
        /// The encoded messages.
        bytes: Bytes,
        /// Whether clients are among the rows: a stream's own may have been retired.
        clients: bool,
    },
    /// The head has not moved.
    Heartbeat(Bytes),
    /// History does not continue as rows from before here.
    Moved,
}

/// How long a stream may go on.
pub struct Guard {
    /// When its credential expires.
    pub expires_at: Option<Timestamp>,
    /// Asked at every heartbeat and at each change of clients: whether its sidecar may still follow.
    pub allowed: Allowed,
}

/// See [`Guard::allowed`].
pub type Allowed = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A response body that a task fills.
#[derive(Debug)]
pub struct FeedBody(mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl FeedBody {
    pub(super) fn channel() -> (mpsc::Sender<Result<Bytes, std::io::Error>>, Self) {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        (sender, Self(receiver))
    }

    /// A body of these bytes.
    pub fn full(bytes: Bytes) -> Self {
        let (sender, body) = Self::channel();
        if !bytes.is_empty() {
            let _ = sender.try_send(Ok(bytes));
        }
        body
    }
}

impl Body for FeedBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// The messages for frames that follow `from`: one batch per epoch, each signed where it ends. The
/// second value is where they end.
pub(super) fn batches(
    signer: &HeadSigner,
    history: &History,
    from: Position,
    frames: &[SealedFrame],
) -> (Vec<u8>, Position) {
    let mut bytes = Vec::new();
    let mut position = from;
    for (epoch, part) in history.parts(frames) {
        if let Some(new) = epoch {
            position.epoch = new.epoch;
            let announced = Message::Epoch {
                epoch: new.epoch,
                first_revision: new.first_revision,
            };
            bytes.extend_from_slice(&announced.encode());
        }
        if let Some(last) = part.last() {
            position.revision = last.revision;
            position.chain = last.chain;
            let batch = Message::Batch {
                frames: part.to_vec(),
                head: signer.sign(Claim::BatchEnd, position),
            };
            bytes.extend_from_slice(&batch.encode());
        }
    }
    (bytes, position)
}

/// Whether clients are among the rows of these frames. A frame that cannot be read may have any.
pub(super) fn touches_clients(frames: &[SealedFrame]) -> bool {
    frames.iter().any(|sealed| {
        FeedFrame::decode(&sealed.payload).map_or(true, |frame| {
            frame.reset
                || frame.ops.iter().any(|op| match op {
                    Op::Put { table, .. } | Op::Delete { table, .. } => *table == CLIENT_STATES,
                })
        })
    })
}

/// A signed heartbeat's bytes.
pub(super) fn heartbeat(signer: &HeadSigner, position: Position) -> Bytes {
    Message::Heartbeat(signer.sign(Claim::Head, position)).encode()
}

/// Why a stream ends.
enum End {
    /// The follower is told.
    Goodbye(Goodbye),
    /// The follower is gone, or the store is: nobody to tell, or nothing to tell.
    Silent,
}

/// One stream's task.
pub(super) struct Stream {
    pub(super) supplier: Arc<Supplier>,
    pub(super) position: Position,
    pub(super) guard: Guard,
    pub(super) sender: mpsc::Sender<Result<Bytes, std::io::Error>>,
    /// How long it may last.
    pub(super) age: Duration,
}

impl Stream {
    /// Runs until the follower, its credential or this process ends.
    pub(super) async fn run(mut self) {
        let stop = self.supplier.tasks.stop();
        let (sender, age) = (self.sender.clone(), self.age);
        let end = tokio::select! {
            () = tokio::time::sleep(age) => End::Goodbye(Goodbye::Age),
            end = self.follow() => end,
            () = stop.requested() => End::Goodbye(Goodbye::Drain),
            () = sender.closed() => End::Silent,
        };
        if let End::Goodbye(reason) = end {
            let retry_after = match reason {
                Goodbye::Revoked => Duration::from_mins(1),
                Goodbye::Drain => Duration::from_secs(1),
                _ => Duration::ZERO,
            };
            let message = Message::Goodbye {
                reason,
                retry_after,
            };
            let _ = sender.try_send(Ok(message.encode()));
        }
    }

    async fn follow(&mut self) -> End {
        loop {
            // Subscribed before reading: what is committed after the read comes this way.
            let mut live = self.supplier.live.subscribe();
            match self.catch_up().await {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(error) => {
                    tracing::warn!(%error, "a stream cannot read the outbox");
                    return End::Silent;
                }
            }
            if let Some(end) = self.live(&mut live).await {
                return end;
            }
            metrics::counter!("doorward_feed_overflows_total").increment(1);
        }
    }

    /// Sends what the outbox has after the stream's position, then a heartbeat.
    async fn catch_up(&mut self) -> Result<Option<End>, StoreError> {
        let config = &self.supplier.config;
        let (max_frames, max_bytes) = (config.batch_frames, config.batch_bytes);
        loop {
            if let Some(end) = self.check().await {
                return Ok(Some(end));
            }
            let store = &self.supplier.store;
            let step = Step::after(store, self.position.revision, max_frames, max_bytes).await?;
            if !step.continues(&self.position) {
                return Ok(Some(End::Goodbye(Goodbye::Moved)));
            }
            if step.frames.is_empty() {
                break;
            }
            let signer = &self.supplier.signer;
            let (bytes, position) = batches(signer, &step.history, self.position, &step.frames);
            if let Some(end) = self.send(bytes.into()).await {
                return Ok(Some(end));
            }
            self.position = position;
        }
        let beat = heartbeat(&self.supplier.signer, self.position);
        Ok(self.send(beat).await)
    }

    /// Passes on what the tailer says. `None`: the stream fell behind it.
    async fn live(&mut self, live: &mut broadcast::Receiver<Live>) -> Option<End> {
        loop {
            match live.recv().await {
                Ok(Live::Batch {
                    from,
                    to,
                    bytes,
                    clients,
                }) => {
                    if to.revision <= self.position.revision {
                        continue;
                    }
                    if from != self.position {
                        return None;
                    }
                    // Asked only then: once per change and stream would load the store.
                    if clients && let Some(end) = self.check().await {
                        return Some(end);
                    }
                    if let Some(end) = self.send(bytes).await {
                        return Some(end);
                    }
                    self.position = to;
                }
                Ok(Live::Heartbeat(bytes)) => {
                    if let Some(end) = self.check().await {
                        return Some(end);
                    }
                    if let Some(end) = self.send(bytes).await {
                        return Some(end);
                    }
                }
                Ok(Live::Moved) => return Some(End::Goodbye(Goodbye::Moved)),
                Err(broadcast::error::RecvError::Lagged(_)) => return None,
                Err(broadcast::error::RecvError::Closed) => {
                    return Some(End::Goodbye(Goodbye::Drain));
                }
            }
        }
    }

    /// Whether the stream may go on.
    async fn check(&self) -> Option<End> {
        let now = self.supplier.clock.now();
        if self.guard.expires_at.is_some_and(|end| end <= now) {
            return Some(End::Goodbye(Goodbye::Expired));
        }
        if !(self.guard.allowed)().await {
            return Some(End::Goodbye(Goodbye::Revoked));
        }
        None
    }

    async fn send(&self, bytes: Bytes) -> Option<End> {
        match tokio::time::timeout(SEND_TIMEOUT, self.sender.send(Ok(bytes))).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) | Err(_) => Some(End::Silent),
        }
    }
}
