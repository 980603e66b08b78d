//! The engines: how a transaction begins, speaks and ends on SQLite and on PostgreSQL.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::fmt;
use std::sync::Weak;

use tokio::sync::watch;

use crate::domain::Position;

use super::{StoreError, Tx};

#[cfg(feature = "postgres")]
pub(super) use postgres::Postgres;
pub(super) use sqlite::Sqlite;

/// The few places where the engines' SQL differs ask this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// How a write ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// Nothing of it stays.
    RollBack,
    /// It stays, and changed nothing that travels.
    Commit,
    /// It stays, and this frame goes into the feed with it.
    Seal(Payload),
}

/// A frame that has no revision yet.
#[derive(Debug)]
pub(super) struct Payload {
    /// The encoded frame.
    pub(super) bytes: Vec<u8>,
    /// Nothing before it can be replayed: the floor rises to its revision.
    pub(super) reset: bool,
}

/// What [`Engine::write`] runs inside the transaction.
pub(super) type WriteWork<'w> = dyn FnMut(&mut dyn Tx) -> Ending + 'w;

/// What [`Together::write_all`] runs inside the transaction, for each number.
pub(super) type GroupWork<'w> = dyn FnMut(usize, &mut dyn Tx) -> Ending + 'w;

/// What [`Engine::exclusive`] runs inside the transaction.
pub(super) type ExclusiveWork<'w> = dyn FnMut(&mut dyn Session) -> Result<(), StoreError> + 'w;

/// A transaction that may also change the schema.
pub(super) trait Session: Tx {
    /// Runs several statements without parameters.
    fn batch(&mut self, sql: &str) -> Result<(), StoreError>;
}

/// One engine with its connections. Everything blocks.
pub(super) trait Engine: Send + Sync + fmt::Debug {
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// How many reads and how many writes make sense at once.
    fn width(&self) -> Width;

    /// Runs `work` in a transaction that sees one state and changes none.
    fn read(&self, work: &mut dyn FnMut(&mut dyn Tx)) -> Result<(), StoreError>;

    /// Runs `work` in a transaction and ends it as told; gives the new head when it was sealed.
    fn write(&self, work: &mut WriteWork<'_>) -> Result<Option<Position>, StoreError>;

    /// How it commits several writes at once, where that is cheaper than one after another.
    fn together(&self) -> Option<&dyn Together> {
        None
    }

    /// Runs `work` in a transaction that no other process runs at the same time; for migrations.
    fn exclusive(&self, work: &mut ExclusiveWork<'_>) -> Result<(), StoreError>;

    /// Begins to announce what other processes commit, where there can be any.
    fn follow(&self, head: Weak<watch::Sender<Position>>);
}

/// An engine with one writer, which commits for all that wait.
pub(super) trait Together {
    /// Runs `work` for each number below `count` and commits once; each ends as told, as if it had
    /// been alone. On an error nothing of any of them stays.
    fn write_all(
        &self,
        count: usize,
        work: &mut GroupWork<'_>,
    ) -> Result<Vec<Option<Position>>, StoreError>;
}

/// How many transactions an engine runs side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    /// Readers.
    pub(super) reads: usize,
    /// Writers.
    pub(super) writes: usize,
}
