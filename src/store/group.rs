//! Group commit: what waits for the single writer is committed together. A commit writes and syncs
//! whole pages; writes that come at the same time mostly touch the same ones.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::Position;

use super::driver::{Ending, Engine};
use super::transact::Inner;
use super::{StoreError, Tx};

/// The most writes that wait at a time, and so of one commit.
pub(super) const GROUP: usize = 64;

/// How often it is looked whether more come. A look takes a microsecond where nobody waits for the
/// processor.
const PATIENCE: usize = 4;

/// A write whose caller waits.
pub(super) trait Job: Send {
    /// Inside the transaction; may run again after [`Next::Again`]. Does not panic.
    fn run(&mut self, tx: &mut dyn Tx) -> Ending;

    /// After it: tells the caller, unless it has to be tried again.
    fn end(&mut self, sealed: Result<Option<Position>, StoreError>) -> Next;
}

/// What becomes of a write after a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Its caller knows.
    Done,
    /// It met a conflict.
    Again,
}

type Jobs = Vec<Box<dyn Job>>;

/// The writes that wait, and whether somebody sees to them.
#[derive(Default)]
pub(super) struct Group(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    jobs: Jobs,
    led: bool,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("waiting", &self.lock().jobs.len())
            .finish()
    }
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the job committed soon, by a blocking thread that is at it already or by a new one.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is Store::write, which the rule points to"
    )]
    pub(super) fn push(&self, store: &Arc<Inner>, job: Box<dyn Job>) {
        let mut waiting = self.lock();
        waiting.jobs.push(job);
        if !waiting.led {
            waiting.led = true;
            drop(waiting);
            let leader = Leader {
                store: Arc::clone(store),
                leads: true,
            };
            tokio::task::spawn_blocking(move || leader.lead());
        }
    }
}

/// Sees to what waits until nothing does. One at a time; dropped without having run when the runtime
/// ends, and then nobody leads.
struct Leader {
    store: Arc<Inner>,
    /// Until it has found nothing to do: from then on another may lead.
    leads: bool,
}

impl Leader {
    fn lead(mut self) {
        while let Some(jobs) = self.take() {
            // A panic of the engine: the callers of these see their channel closed.
            let engine = &*self.store.engine;
            let _ = catch_unwind(AssertUnwindSafe(|| commit(engine, jobs)));
        }
    }

    fn take(&mut self) -> Option<Jobs> {
        // Where the processor is shared: whoever is about to bring another write may do so first,
        // as long as somebody does.
        let mut seen = 0;
        for _ in 0..PATIENCE {
            std::thread::yield_now();
            let now = self.store.group.lock().jobs.len();
            if now <= seen {
                break;
            }
            seen = now;
        }
        let mut waiting = self.store.group.lock();
        if waiting.jobs.is_empty() {
            waiting.led = false;
            self.leads = false;
            return None;
        }
        Some(std::mem::take(&mut waiting.jobs))
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Without having led to the end: whoever comes next must not wait for nobody. Afterwards what
        // waits is another leader's.
        if self.leads {
            let mut waiting = self.store.group.lock();
            waiting.jobs.clear();
            waiting.led = false;
        }
    }
}

/// Commits all of them in one transaction. If that cannot be, each has one of its own: what one of
/// them answered may rest on what another did.
fn commit(engine: &dyn Engine, mut jobs: Jobs) {
    let mut alone = Vec::new();
    if let Some(engine) = engine.together().filter(|_| jobs.len() > 1) {
        let together = engine.write_all(jobs.len(), &mut |index, tx| match jobs.get_mut(index) {
            Some(job) => job.run(tx),
            None => Ending::RollBack,
        });
        match together {
            Ok(sealed) => {
                for (mut job, sealed) in jobs.into_iter().zip(sealed) {
                    if job.end(Ok(sealed)) == Next::Again {
                        alone.push(job);
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "writes are committed one by one");
                alone = jobs;
            }
        }
    } else {
        alone = jobs;
    }
    for mut job in alone {
        loop {
            let sealed = engine.write(&mut |tx| job.run(tx));
            if job.end(sealed) == Next::Done {
                break;
            }
        }
    }
}
