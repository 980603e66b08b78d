//! The store as the rest of the program sees it: closures that become transactions.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::domain::{Position, Secret};
use crate::runtime::{Clock, Entropy};

use super::driver::{Dialect, Ending, Engine, Sqlite};
use super::group::{Group, Job, Next};
use super::{Lock, Row, StoreError, Tx, Val, clients, feed, migrate, seal};

/// How often a write is run before a conflict is given up on.
const ATTEMPTS: u32 = 10;

/// Which engine, and where.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// One file, one process.
    Sqlite {
        /// The file; made when it is missing.
        path: PathBuf,
    },
    /// A server, for any number of authority processes.
    Postgres {
        /// `postgres://user:password@host/database?sslmode=require`. TLS is used, and the server's
        /// certificate checked, exactly when `sslmode` is `require`; `sslrootcert=FILE` names the
        /// authorities to trust instead of the public ones.
        url: Secret<String>,
        /// How many connections to keep at most.
        max_connections: u32,
    },
}

/// Bounds of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// The most replicated rows that one write may touch and still travel as rows; a larger change
    /// becomes a reset marker, and every follower takes a snapshot.
    pub frame_rows_max: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            frame_rows_max: feed::FRAME_ROWS_MAX,
        }
    }
}

/// What a write left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<T> {
    /// What the closure gave.
    pub value: T,
    /// The feed's head after the commit: whoever has applied it knows of this write.
    pub position: Position,
    /// Whether this write made a frame.
    pub changed: bool,
}

/// The authority's database. Cloning it is cheap; the last clone closes it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

pub(super) struct Inner {
    pub(super) engine: Box<dyn Engine>,
    limits: StoreLimits,
    head: Arc<watch::Sender<Position>>,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    /// See [`Store::client_writes`].
    client_writes: Arc<AtomicU64>,
    pub(super) group: Group,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("engine", &self.0.engine)
            .field("head", &*self.0.head.borrow())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, makes or migrates its schema, and begins a feed when there is none.
    ///
    /// Blocks; belongs to start-up.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] when the database is newer than this program, from another build, or
    /// not Doorward's; [`StoreError::Unavailable`] when it cannot be reached or another process has
    /// the file.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over what they share; the signature leaves room to keep it"
    )]
    pub fn open(
        config: &StoreConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        Self::open_with(config, StoreLimits::default(), &*clock, &*entropy)
    }

    /// [`Self::open`] with other limits.
    pub fn open_with(
        config: &StoreConfig,
        limits: StoreLimits,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, StoreError> {
        let mut epoch = [0; 16];
        entropy.fill(&mut epoch);
        let epoch = feed::epoch_from(epoch);
        let now = clock.now();
        let engine = Self::engine(config)?;
        let dialect = engine.dialect();
        let mut position = None;
        on_plain_thread(|| {
            engine.exclusive(&mut |session| {
                migrate::run(session, dialect, now)?;
                feed::begin(session, epoch)?;
                position = Some(feed::head(session)?.position);
                Ok(())
            })
        })?;
        let position = position.ok_or_else(|| StoreError::Other("no feed".to_owned()))?;
        let head = Arc::new(watch::Sender::new(position));
        engine.follow(Arc::downgrade(&head));
        let width = engine.width();
        Ok(Self(Arc::new(Inner {
            engine,
            limits,
            head,
            reads: Arc::new(Semaphore::new(width.reads)),
            writes: Arc::new(Semaphore::new(width.writes)),
            client_writes: Arc::default(),
            group: Group::default(),
        })))
    }

    fn engine(config: &StoreConfig) -> Result<Box<dyn Engine>, StoreError> {
        match config {
            StoreConfig::Sqlite { path } => Ok(Box::new(Sqlite::open(path)?)),
            #[cfg(feature = "postgres")]
            StoreConfig::Postgres {
                url,
                max_connections,
            } => on_plain_thread(|| -> Result<Box<dyn Engine>, StoreError> {
                Ok(Box::new(super::driver::Postgres::open(
                    url,
                    *max_connections,
                )?))
            }),
            #[cfg(not(feature = "postgres"))]
            StoreConfig::Postgres { .. } => Err(StoreError::Unavailable(
                "this program was built without PostgreSQL".to_owned(),
            )),
        }
    }

    /// Which SQL the engine speaks.
    pub fn dialect(&self) -> Dialect {
        self.0.engine.dialect()
    }

    /// How many writes may have changed what a client is: its row, its state, its secrets, its
    /// registration. What was read of clients after this was asked is true as long as the number
    /// stays; whoever waited for a write is answered after it has counted. `None` on PostgreSQL, where
    /// other processes write, too.
    pub fn client_writes(&self) -> Option<u64> {
        match self.dialect() {
            Dialect::Sqlite => Some(self.0.client_writes.load(Ordering::Acquire)),
            Dialect::Postgres => None,
        }
    }

    /// The feed's head, now and after each commit. On PostgreSQL also after commits of other
    /// processes, a moment later.
    pub fn subscribe(&self) -> watch::Receiver<Position> {
        self.0.head.subscribe()
    }

    /// Runs `f` in a transaction that sees one state and changes none. May run again after a
    /// conflict.
    pub async fn read<T, E>(
        &self,
        f: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let store = self.clone();
        let permit = permit(&self.0.reads).await?;
        blocking(permit, move || store.read_blocking(f)).await
    }

    /// Runs `f` in a transaction that commits on `Ok`, with one feed frame when it touched
    /// replicated rows, and rolls back on `Err`. May run again after a conflict.
    ///
    /// A failed statement ends the transaction on both engines, whatever `f` makes of the error.
    /// The caller's future may be dropped: once there was room for the transaction, it runs to its end
    /// all the same.
    pub async fn write<T, E>(
        &self,
        f: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<Written<T>, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let permit = permit(&self.0.writes).await?;
        if self.0.engine.together().is_none() {
            let store = self.clone();
            return blocking(permit, move || store.write_blocking(f)).await;
        }
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            write: self.attempt(f),
            head: Arc::clone(&self.0.head),
            client_writes: Arc::clone(&self.0.client_writes),
            tries: 1,
            answer: Some(answer),
            panic: None,
            _permit: permit,
        };
        self.0.group.push(&self.0, Box::new(waiting));
        match answered.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => Err(closed().into()),
        }
    }

    /// [`Self::read`] for a few rows found by their keys. SQLite answers on the calling worker when
    /// a reader is free: going to another thread and back costs more than the answer.
    pub async fn look<T, E>(
        &self,
        f: impl FnMut(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        if self.dialect() == Dialect::Sqlite
            && let Ok(_permit) = self.0.reads.try_acquire()
        {
            return self.read_blocking(f);
        }
        self.read(f).await
    }

    /// [`Self::read`] on the calling thread, which must not be an async worker.
    pub fn read_blocking<T, E>(
        &self,
        mut f: impl FnMut(&mut dyn Tx) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError>,
    {
        let engine = &self.0.engine;
        again(|| {
            let mut outcome = None;
            engine.read(&mut |tx| {
                let mut tx = Watched::new(tx);
                let result = f(&mut tx);
                outcome = Some(tx.judge(result));
            })?;
            outcome.unwrap_or_else(|| Err(Failure::Store(nothing_ran())))
        })
    }

    /// [`Self::write`] on the calling thread, which must not be an async worker.
    pub fn write_blocking<T, E>(
        &self,
        f: impl FnMut(&mut dyn Tx) -> Result<T, E>,
    ) -> Result<Written<T>, E>
    where
        E: From<StoreError>,
    {
        let mut write = self.attempt(f);
        let written = again(|| {
            let sealed = self.0.engine.write(&mut |tx| write.run(tx));
            write.count(&self.0.client_writes);
            write.end(sealed?)
        })?;
        feed::announce(&self.0.head, written.position);
        Ok(written)
    }

    fn attempt<F, T, E>(&self, f: F) -> Write<F, T, E> {
        Write {
            f,
            dialect: self.0.engine.dialect(),
            limits: self.0.limits,
            outcome: None,
            wrote_clients: false,
        }
    }
}

/// A write, from its closure to what the commit made of it.
struct Write<F, T, E> {
    f: F,
    dialect: Dialect,
    limits: StoreLimits,
    outcome: Option<Given<T, E>>,
    /// Whether an attempt may have changed a client.
    wrote_clients: bool,
}

/// What a closure gave, with the head before it if it made no frame.
type Given<T, E> = Result<(T, Option<Position>), Failure<E>>;

impl<F, T, E> Write<F, T, E>
where
    F: FnMut(&mut dyn Tx) -> Result<T, E>,
    E: From<StoreError>,
{
    /// Inside the transaction.
    fn run(&mut self, tx: &mut dyn Tx) -> Ending {
        let mut tx = Watched::new(tx);
        let result = (self.f)(&mut tx);
        let (ending, result) = match tx.judge(result) {
            Ok(value) => match finish(&mut tx, self.dialect, self.limits) {
                Ok((ending, before)) => (ending, Ok((value, before))),
                Err(error) => (Ending::RollBack, Err(Failure::Store(error))),
            },
            Err(failure) => (Ending::RollBack, Err(failure)),
        };
        self.wrote_clients |= tx.wrote_clients;
        self.outcome = Some(result);
        ending
    }

    /// Counts it among those that may have changed a client, whatever became of it: that a commit
    /// failed does not say that nothing of it is there.
    fn count(&mut self, client_writes: &AtomicU64) {
        if std::mem::take(&mut self.wrote_clients) {
            client_writes.fetch_add(1, Ordering::Release);
        }
    }

    /// After it.
    fn end(&mut self, sealed: Option<Position>) -> Result<Written<T>, Failure<E>> {
        let outcome = self.outcome.take();
        let (value, before) = outcome.unwrap_or_else(|| Err(Failure::Store(nothing_ran())))?;
        Ok(Written {
            value,
            position: sealed.or(before).ok_or_else(nothing_ran)?,
            changed: sealed.is_some(),
        })
    }
}

/// What a caller of [`Store::write`] is told: the write's result, or the panic of its closure.
type Told<T, E> = Result<Result<Written<T>, E>, Box<dyn Any + Send>>;

/// A write whose caller waits while it is committed with others.
struct Waiting<F, T, E> {
    write: Write<F, T, E>,
    head: Arc<watch::Sender<Position>>,
    client_writes: Arc<AtomicU64>,
    tries: u32,
    answer: Option<oneshot::Sender<Told<T, E>>>,
    panic: Option<Box<dyn Any + Send>>,
    // Goes with the work: a caller who goes away must not make room for more of it.
    _permit: OwnedSemaphorePermit,
}

impl<F, T, E> Job for Waiting<F, T, E>
where
    F: FnMut(&mut dyn Tx) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut dyn Tx) -> Ending {
        // One that panicked and is run again may do better.
        self.panic = None;
        match catch_unwind(AssertUnwindSafe(|| self.write.run(tx))) {
            Ok(ending) => ending,
            Err(panic) => {
                self.panic = Some(panic);
                Ending::RollBack
            }
        }
    }

    fn end(&mut self, sealed: Result<Option<Position>, StoreError>) -> Next {
        self.write.count(&self.client_writes);
        let told = match self.panic.take() {
            Some(panic) => Err(panic),
            None => match sealed
                .map_err(Failure::Store)
                .and_then(|sealed| self.write.end(sealed))
            {
                Err(Failure::Store(StoreError::Retry)) if self.tries < ATTEMPTS => {
                    self.tries += 1;
                    return Next::Again;
                }
                Ok(written) => {
                    feed::announce(&self.head, written.position);
                    Ok(Ok(written))
                }
                Err(failure) => Ok(Err(failure.into_error())),
            },
        };
        if let Some(answer) = self.answer.take() {
            // Who has gone away is not told.
            let _ = answer.send(told);
        }
        Next::Done
    }
}

/// What is left to do before the commit: the frame, or the head when there is none to make. It is
/// read, not remembered: a new history or a new epoch moves it without a frame.
fn finish(
    tx: &mut dyn Tx,
    dialect: Dialect,
    limits: StoreLimits,
) -> Result<(Ending, Option<Position>), StoreError> {
    if dialect == Dialect::Sqlite
        && let Some(head) = feed::head_if_nothing_waits(tx)?
    {
        return Ok((Ending::Commit, Some(head.position)));
    }
    match seal::payload(tx, dialect, limits.frame_rows_max)? {
        Some(payload) => Ok((Ending::Seal(payload), None)),
        None => Ok((Ending::Commit, Some(feed::head(tx)?.position))),
    }
}

/// Why an attempt failed.
enum Failure<E> {
    /// The closure's own error.
    Caller(E),
    /// Ours.
    Store(StoreError),
}

impl<E: From<StoreError>> Failure<E> {
    /// What a caller is told when nothing is tried any more.
    fn into_error(self) -> E {
        match self {
            Self::Caller(error) => error,
            Self::Store(StoreError::Retry) => {
                StoreError::Unavailable("too many conflicts with other transactions".to_owned())
                    .into()
            }
            Self::Store(error) => error.into(),
        }
    }
}

impl<E> From<StoreError> for Failure<E> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Runs `attempt` until it has no conflict with another transaction. The engines wait for locks
/// themselves, so there is no pause between attempts.
fn again<T, E: From<StoreError>>(
    mut attempt: impl FnMut() -> Result<T, Failure<E>>,
) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Failure::Caller(error)) => return Err(error),
            Err(Failure::Store(StoreError::Retry)) => {}
            Err(Failure::Store(error)) => return Err(error.into()),
        }
    }
    attempt().map_err(Failure::into_error)
}

/// Remembers the first error of a transaction. PostgreSQL would answer nothing after it and turn a
/// commit into a silent rollback; SQLite would go on. Here both stop.
struct Watched<'t> {
    tx: &'t mut dyn Tx,
    failed: Option<StoreError>,
    wrote_clients: bool,
}

impl<'t> Watched<'t> {
    fn new(tx: &'t mut dyn Tx) -> Self {
        Self {
            tx,
            failed: None,
            wrote_clients: false,
        }
    }

    /// What the closure's result is worth, given what the engine said meanwhile.
    fn judge<T, E>(&self, result: Result<T, E>) -> Result<T, Failure<E>> {
        match (&self.failed, result) {
            (Some(StoreError::Retry), _) => Err(Failure::Store(StoreError::Retry)),
            (Some(error), Ok(_)) => Err(Failure::Store(error.clone())),
            (_, Err(error)) => Err(Failure::Caller(error)),
            (None, Ok(value)) => Ok(value),
        }
    }

    fn run<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Tx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        work(self.tx).inspect_err(|error| self.failed = Some(error.clone()))
    }
}

impl Tx for Watched<'_> {
    fn exec(&mut self, sql: &str, params: &[Val]) -> Result<u64, StoreError> {
        self.wrote_clients |= clients::may_change(sql);
        self.run(|tx| tx.exec(sql, params))
    }

    fn rows(&mut self, sql: &str, params: &[Val]) -> Result<Vec<Row>, StoreError> {
        self.wrote_clients |= clients::may_change(sql);
        self.run(|tx| tx.rows(sql, params))
    }

    fn lock(&mut self, entity: Lock) -> Result<(), StoreError> {
        self.run(|tx| tx.lock(entity))
    }
}

async fn permit(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    Arc::clone(of).acquire_owned().await.map_err(|_| closed())
}

/// The one place that gives database work to the blocking threads; the semaphores bound it. The
/// permit goes with the work: a caller who goes away leaves it running, and must not make room for
/// more of it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is Store::read/write, which the rule points to"
)]
async fn blocking<T, E>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let work = move || {
        let result = work();
        drop(permit);
        result
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(closed().into()),
        },
    }
}

/// Runs `work` where a blocking client may be used, also when the caller is an async worker.
fn on_plain_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn closed() -> StoreError {
    StoreError::Unavailable("the program is shutting down".to_owned())
}

fn nothing_ran() -> StoreError {
    StoreError::Other("the engine did not run the transaction".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::domain::Timestamp;
    use crate::runtime::{ManualClock, SeededEntropy};

    #[tokio::test]
    async fn a_caller_who_goes_away_makes_no_room_while_the_work_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig::Sqlite {
            path: directory.path().join("doorward.db"),
        };
        let clock = ManualClock::at(Timestamp::EPOCH);
        let limits = StoreLimits::default();
        let store = Store::open_with(&config, limits, &clock, &SeededEntropy::new(1)).unwrap();
        let (started, starts) = oneshot::channel();
        let (goes_on, go) = mpsc::channel::<()>();
        let mut started = Some(started);
        let caller = store.write::<_, StoreError>(move |_| {
            if let Some(started) = started.take() {
                let _ = started.send(());
            }
            let _ = go.recv();
            Ok(())
        });
        tokio::select! {
            _ = caller => panic!("the work waits"),
            _ = starts => {}
        }
        let width = store.0.engine.width();
        assert_eq!(store.0.writes.available_permits(), width.writes - 1);
        drop(goes_on);
        store.write::<_, StoreError>(|_| Ok(())).await.unwrap();
    }
}
