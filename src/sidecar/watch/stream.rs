//! One watch's life: server-sent events (HTML §9.2).
//!
//! | event | when | data |
//! |---|---|---|
//! | `decision` | at once, and when the answer changes | an AuthZEN answer |
//! | `link` | at once, and when the authority is lost or heard again | `{"connected":…,"staleness_ms":…}` |
//! | a comment | nothing was told for as long as the heartbeat | |
//! | `end` | the sidecar stops, or the question cannot be asked any more | `{"reason":…}` |
//!
//! The id of a `decision` is a freshness token of its facts.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::places::Place;
use super::question::Question;
use crate::domain::{FeedName, FreshnessToken};
use crate::runtime::tasks::Stop;
use crate::sidecar::decide::{Outcome, Worker};
use crate::sidecar::view::State;
use crate::sidecar::why::Why;

/// After an answer that says that policies are on their way.
const SOON: Duration = Duration::from_millis(20);

/// While facts are too old and the authority is heard: the next heartbeat from it makes them new,
/// and wakes nobody.
const RENEWED: Duration = Duration::from_millis(200);

/// Ends a connection that does not read what it is sent. The flag is set before anybody is woken.
#[derive(Debug, Default)]
pub(in crate::sidecar) struct Cut {
    begun: AtomicBool,
    wake: CancellationToken,
}

impl Cut {
    fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wake.cancel();
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Runs a connection to its end; `None` when it was cut off.
    pub(in crate::sidecar) async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut woken) = (pin!(work), pin!(self.wake.cancelled()));
        let mut registered = false;
        poll_fn(|cx| {
            if !registered {
                registered = true;
                // Only to be woken; what counts is the flag.
                let _ = woken.as_mut().poll(cx);
            }
            if self.has_begun() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

/// A watch that was admitted.
pub(in crate::sidecar) struct Watch {
    pub(in crate::sidecar) question: Question,
    pub(in crate::sidecar) state: Arc<State>,
    pub(in crate::sidecar) worker: Arc<Mutex<Worker>>,
    pub(in crate::sidecar) heartbeat: Duration,
    /// What was told already.
    pub(in crate::sidecar) told: Option<Outcome>,
    /// Where it is told. Full: the reader is too slow.
    pub(in crate::sidecar) sender: mpsc::Sender<Bytes>,
    /// When something was told last.
    pub(in crate::sidecar) spoke: Instant,
    pub(in crate::sidecar) cut: Arc<Cut>,
    pub(in crate::sidecar) stop: Stop,
    pub(in crate::sidecar) _place: Place,
}

/// Why a watch ends.
enum Ended {
    /// Nobody reads any more, or too slowly.
    Unread,
    /// The question cannot be asked any more.
    Refused,
}

/// Tells what changes, until the reader goes, falls behind, or a stop.
pub(in crate::sidecar) async fn run(mut watch: Watch) {
    let mut changes = watch.state.changes();
    let mut connected = None;
    loop {
        // Before it is asked: what comes while it is asked wakes it again.
        changes.mark_unchanged();
        let told = match watch.tell_link(&mut connected) {
            Ok(()) => watch.ask().await,
            Err(ended) => Err(ended),
        };
        let pause = match told.and_then(|()| watch.live()) {
            Ok(()) => watch.pause(),
            Err(Ended::Unread) => return,
            Err(Ended::Refused) => {
                let _ = watch.send(end("refused"));
                return;
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(pause) => {}
            () = watch.stop.requested() => {
                let _ = watch.send(end("stopping"));
                return;
            }
            () = watch.sender.closed() => return,
        }
    }
}

impl Watch {
    async fn ask(&mut self) -> Result<(), Ended> {
        let asked = self
            .question
            .ask(&self.state, &self.worker, self.told)
            .await
            .map_err(|_| Ended::Refused)?;
        let Some(asked) = asked else { return Ok(()) };
        self.told = Some(asked.outcome);
        self.send(decision(&self.state, &asked.answer))
    }

    /// Tells whether the authority is heard, if that is news.
    fn tell_link(&mut self, told: &mut Option<bool>) -> Result<(), Ended> {
        let connected = self.state.link().connected;
        if told.replace(connected) == Some(connected) {
            return Ok(());
        }
        let staleness = self.state.freshness(&self.state.view()).staleness_ms();
        let data = json!({"connected": connected, "staleness_ms": staleness});
        self.send(format!("event: link\ndata: {data}\n\n").into())
    }

    /// Gives a sign of life when one is due, whatever happened meanwhile: it is by writing that one
    /// finds out who is gone.
    fn live(&mut self) -> Result<(), Ended> {
        if self.spoke.elapsed() < self.heartbeat {
            return Ok(());
        }
        self.send(Bytes::from_static(b":\n\n"))
    }

    /// Until when nothing can change unnoticed and nothing is due: facts grow stale, and policies may
    /// read the clock.
    fn pause(&self) -> Duration {
        let due = self.heartbeat.saturating_sub(self.spoke.elapsed());
        match self.told.map(|told| told.why) {
            Some(Why::Overtaken) => return due.min(SOON),
            Some(Why::Stale) if self.state.link().connected => return due.min(RENEWED),
            _ => {}
        }
        let left = self.question.max_staleness.and_then(|most| {
            let staleness = self.state.staleness()?;
            // One that is reached is not yet exceeded.
            Some(most.checked_sub(staleness)? + Duration::from_millis(1))
        });
        left.map_or(due, |left| left.min(due))
    }

    fn send(&mut self, event: Bytes) -> Result<(), Ended> {
        self.spoke = Instant::now();
        send(&self.sender, &self.cut, event)
    }
}

/// Hands an event to the reader; one that has not taken those before is cut off.
fn send(sender: &mpsc::Sender<Bytes>, cut: &Cut, event: Bytes) -> Result<(), Ended> {
    sender.try_send(event).map_err(|error| {
        if matches!(error, TrySendError::Full(_)) {
            metrics::counter!("doorward_sidecar_slow_watches_total").increment(1);
            cut.begin();
        }
        Ended::Unread
    })
}

/// The event of an answer.
pub(in crate::sidecar) fn decision(state: &State, answer: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(answer.len() + 128);
    event.extend_from_slice(b"event: decision\n");
    // Of the view as it is now, which may be newer than the answer's. Whoever comes back with it is
    // answered anew by facts that are no older.
    if let Some(position) = state.view().position {
        let token = FreshnessToken {
            feed: FeedName::Authz,
            epoch: position.epoch,
            revision: position.revision,
        };
        event.extend_from_slice(format!("id: {token}\n").as_bytes());
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(answer);
    event.extend_from_slice(b"\n\n");
    event.into()
}

fn end(reason: &str) -> Bytes {
    format!("event: end\ndata: {}\n\n", json!({"reason": reason})).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_cut_off_and_one_that_goes_is_not() {
        let (sender, receiver) = mpsc::channel(2);
        let cut = Cut::default();
        let event = || Bytes::from_static(b":\n\n");
        assert!(send(&sender, &cut, event()).is_ok());
        assert!(send(&sender, &cut, event()).is_ok());
        assert!(!cut.has_begun());
        assert!(send(&sender, &cut, event()).is_err());
        assert_eq!(cut.unless(std::future::pending::<()>()).await, None);

        let gone = Cut::default();
        drop(receiver);
        assert!(send(&sender, &gone, event()).is_err());
        assert!(!gone.has_begun());
    }
}
