//! What is watched, and its present answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::domain::{FreshnessToken, ServiceName};
use crate::protocol::authzen::RequestError;
use crate::sidecar::decide::{Outcome, Worker};
use crate::sidecar::decision_log::{Asker, Door};
use crate::sidecar::http::{Terms, watched};
use crate::sidecar::view::State;
use crate::sidecar::why::Why;

/// A question, and on which terms it was asked.
#[derive(Debug)]
pub(in crate::sidecar) struct Question {
    /// An AuthZEN evaluation.
    pub(in crate::sidecar) body: Bytes,
    /// Deny when staler than this, or when staleness is unknown.
    pub(in crate::sidecar) max_staleness: Option<Duration>,
    /// The revision that must have been reached, `at_least`.
    pub(in crate::sidecar) at_least: Option<FreshnessToken>,
    /// The last answer that the watcher saw: older facts than its are no news.
    pub(in crate::sidecar) seen: Option<FreshnessToken>,
    /// Of which services the caller may ask.
    pub(in crate::sidecar) services: Option<Box<[ServiceName]>>,
    /// Whether over a Unix socket.
    pub(in crate::sidecar) unix: bool,
    /// The caller's name.
    pub(in crate::sidecar) caller: Option<Box<str>>,
    /// Its user.
    pub(in crate::sidecar) uid: Option<u32>,
    /// The id of its request.
    pub(in crate::sidecar) request_id: Option<Box<str>>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sidecar) struct Asked {
    /// What came out: another one is news.
    pub(in crate::sidecar) outcome: Outcome,
    /// As AuthZEN answers.
    pub(in crate::sidecar) answer: Vec<u8>,
}

/// Whether two outcomes are told in the same words: not every reason is told.
fn reads_alike(one: Outcome, other: Outcome) -> bool {
    let told = |outcome: Outcome| outcome.why.is_told().then_some(outcome.why);
    one.decision == other.decision && told(one) == told(other)
}

impl Question {
    /// Asks now. An answer that is `told` already is not told again, nor recorded: `None`.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: the question cannot be asked.
    pub(in crate::sidecar) async fn ask(
        &self,
        state: &State,
        worker: &Mutex<Worker>,
        told: Option<Outcome>,
    ) -> Result<Option<Asked>, RequestError> {
        let terms = Terms {
            max_staleness: self.max_staleness,
            unreached: self.unreached(state).await,
            explain: false,
            services: self.services.as_deref(),
            asker: Asker {
                door: Door::Watch,
                unix: self.unix,
                caller: self.caller.as_deref(),
                uid: self.uid,
                request_id: self.request_id.as_deref(),
            },
        };
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let (outcome, answer) = watched(state, &mut worker, &terms, &self.body)?;
        if told.is_some_and(|told| reads_alike(told, outcome)) {
            worker.begin();
            return Ok(None);
        }
        worker.finish();
        Ok(Some(Asked { outcome, answer }))
    }

    /// Why the facts are not new enough for the watcher, if so.
    async fn unreached(&self, state: &State) -> Option<Why> {
        if let Some(token) = self.at_least
            && let Err(why) = state.reach(token, Duration::ZERO).await
        {
            return Some(why);
        }
        // What was seen from another history says nothing of this one: the answer is news then.
        match state.reach(self.seen?, Duration::ZERO).await {
            Err(Why::NotYetApplied) => Some(Why::NotYetApplied),
            Ok(()) | Err(_) => None,
        }
    }
}
