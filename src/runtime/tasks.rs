//! Background work: the only place that spawns it, so that a stop waits for all of it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The background work of one application. Clones share it.
///
/// Each task is told to stop through [`Stop`] and has until the deadline of [`Tasks::shutdown`];
/// then it is dropped at its next await.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    drop: Dropping,
}

/// The deadline. The flag is set before anybody is woken, so whoever is woken sees it, and looking
/// at it costs next to nothing each time a task runs.
#[derive(Clone, Default)]
struct Dropping {
    begun: Arc<AtomicBool>,
    wake: CancellationToken,
}

impl Dropping {
    fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wake.cancel();
    }
}

/// The request to stop, as tasks and long responses watch it.
#[derive(Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Waits until a stop is asked for.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether a stop has been asked for.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Asks for it.
    pub fn request(&self) {
        self.0.cancel();
    }
}

/// Work that was still running at the deadline and was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{tasks} tasks were still running {}s after the stop and were dropped", .deadline.as_secs())]
pub struct Overdue {
    /// How many tasks.
    pub tasks: usize,
    /// How long they had.
    pub deadline: Duration,
}

impl Tasks {
    /// No work yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a stop is watched by.
    pub fn stop(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Runs `work` on the current runtime. A panic in it is logged under `name` and ends only it.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = self.until_dropped(async move {
            // Dropped by the unwinding, if there is one.
            let _report = PanicReport(name);
            work.await;
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the place: tracked and stopped"
        )]
        tokio::spawn(self.tracker.track_future(work));
    }

    /// Runs `work`, which need not be `Send`, on the current thread's [`LocalSet`]: inside
    /// [`Self::spawn_worker`].
    pub fn spawn_local<F>(&self, work: F)
    where
        F: Future<Output = ()> + 'static,
    {
        tokio::task::spawn_local(self.tracker.track_future(self.until_dropped(work)));
    }

    /// Starts an OS thread with a runtime of its own and runs there what `make` makes: one of a
    /// daemon's per-core workers. [`Self::spawn_local`] works inside.
    ///
    /// # Errors
    ///
    /// The system has no more threads, or no runtime could be made.
    pub fn spawn_worker<M, F>(&self, name: &'static str, make: M) -> io::Result<()>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let tasks = self.clone();
        let token = self.tracker.token();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _running = (token, PanicReport(name));
                let local = LocalSet::new();
                local.block_on(&runtime, tasks.until_dropped(async move { make().await }));
            })?;
        Ok(())
    }

    /// Asks all work to stop and waits for it, for `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`Overdue`] if some was dropped.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), Overdue> {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok()
        {
            return Ok(());
        }
        let tasks = self.tracker.len();
        self.drop.begin();
        // What awaits ends now; what computes without awaiting is not waited for.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tracker.wait()).await;
        Err(Overdue { tasks, deadline })
    }

    fn until_dropped<F: Future<Output = ()>>(&self, work: F) -> impl Future<Output = ()> + use<F> {
        let dropping = self.drop.clone();
        async move {
            let (mut work, mut woken) = (pin!(work), pin!(dropping.wake.cancelled()));
            let mut registered: Option<Waker> = None;
            poll_fn(|cx| {
                if dropping.begun.load(Ordering::Acquire) || work.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                // Only to be woken, and only anew when the waker is another; what counts is the flag.
                if registered
                    .as_ref()
                    .is_none_or(|waker| !waker.will_wake(cx.waker()))
                {
                    if woken.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    registered = Some(cx.waker().clone());
                }
                Poll::Pending
            })
            .await;
        }
    }
}

struct PanicReport(&'static str);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report_panic(self.0);
        }
    }
}

fn report_panic(name: &'static str) {
    metrics::counter!("doorward_task_panics_total", "task" => name).increment(1);
    tracing::error!(task = name, "a task panicked");
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks({} running)", self.running())
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stop({})", self.is_requested())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_work_to_end() {
        let tasks = Tasks::new();
        let ended = Arc::new(AtomicBool::new(false));
        let (stop, flag) = (tasks.stop(), Arc::clone(&ended));
        tasks.spawn("work", async move {
            stop.requested().await;
            tokio::task::yield_now().await;
            flag.store(true, Ordering::SeqCst);
        });
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_stop_is_dropped_at_the_deadline_and_counted() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        let overdue = tasks.shutdown(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(overdue.tasks, 1);
        assert_eq!(tasks.running(), 0);
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_task_only() {
        let tasks = Tasks::new();
        tasks.spawn("bad", async { panic!("planted") });
        tasks.spawn("good", async {});
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_worker_runs_local_tasks_on_its_own_thread() {
        let tasks = Tasks::new();
        let (inside, stop) = (tasks.clone(), tasks.stop());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tasks
            .spawn_worker("worker", move || async move {
                let local = std::rc::Rc::new(1);
                let (done, wait) = tokio::sync::oneshot::channel();
                inside.spawn_local(async move {
                    let _ = done.send(*local);
                });
                let _ = sender.send((wait.await, std::thread::current().name().map(str::to_owned)));
                stop.requested().await;
            })
            .unwrap();
        assert_eq!(receiver.await.unwrap(), (Ok(1), Some("worker".to_owned())));
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
    }
}
