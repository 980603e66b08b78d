//! SQLite: one writer, several readers, one process.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use r2d2::{Pool, PooledConnection};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, TransactionBehavior, ffi};
use scheduled_thread_pool::ScheduledThreadPool;
use tokio::sync::watch;

use crate::domain::Position;
use crate::store::group::GROUP;
use crate::store::{Lock, Row, StoreError, Tx, Val, feed};

use super::{
    Dialect, Ending, Engine, ExclusiveWork, GroupWork, Session, Together, Width, WriteWork,
};

/// Marks our files for `file(1)` and for [`Sqlite::open`]: "Door".
const APPLICATION_ID: i32 = 0x446F_6F72;
const READERS: u32 = 4;
/// 32 MiB of log: the longer it may be, the more of what is written again is copied once.
const CHECKPOINT_PAGES: i32 = 8192;
/// What writing touches again and again is a few hundred pages; a start over a large file fills it.
const WRITER_CACHE_KIB: i32 = 2 * 1024;
/// Emptied by each commit; what is read by key is a few pages.
const READER_CACHE_KIB: i32 = 1024;
const BUSY: Duration = Duration::from_secs(5);
const POOL_WAIT: Duration = Duration::from_secs(30);
const STATEMENTS: usize = 256;

type Manager = SqliteConnectionManager;

/// A database file and its connections.
#[derive(Debug)]
pub(in crate::store) struct Sqlite {
    writer: Pool<Manager>,
    readers: Pool<Manager>,
    // Held as long as the connections: the kernel lets it go with the process.
    _lock: File,
}

impl Sqlite {
    /// Opens or makes the file. Refuses one that another process has open, and one that is not
    /// ours, before anything in it is changed.
    pub(in crate::store) fn open(path: &Path) -> Result<Self, StoreError> {
        // Before SQLite, which would let everybody read it where the directory does; its WAL takes
        // the same mode. An existing file is left as its operator set it.
        if !path.exists() {
            drop(open_private(path)?);
        }
        // One file has one lock, whatever links lead to it.
        let path = &path.canonicalize().map_err(|error| {
            StoreError::Unavailable(format!("cannot open `{}`: {error}", path.display()))
        })?;
        let lock = lock_file(path)?;
        refuse_foreign(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // Opens the connections of both, at the start or soon after it.
        let opener = ScheduledThreadPool::builder()
            .num_threads(1)
            .thread_name_pattern("sqlite-open")
            .build();
        let opener = Arc::new(opener);
        let writer = pool(path, flags, (1, 1, &opener), |connection| {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            // What a statement might have to undo stays out of files.
            connection.pragma_update(None, "temp_store", "MEMORY")?;
            connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
            // Pages that are written again and again go into the file once in a while.
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            // Without it REPLACE would delete rows behind the capture triggers' back.
            connection.pragma_update(None, "recursive_triggers", true)
        })?;
        // None is kept in reserve: each holds the parsed schema, a quarter of a MiB.
        let readers = pool(path, flags, (READERS, 0, &opener), |connection| {
            connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
            connection.pragma_update(None, "query_only", true)
        })?;
        Ok(Self {
            writer,
            readers,
            _lock: lock,
        })
    }
}

fn pool(
    path: &Path,
    flags: OpenFlags,
    (size, spare, opener): (u32, u32, &Arc<ScheduledThreadPool>),
    init: fn(&mut Connection) -> rusqlite::Result<()>,
) -> Result<Pool<Manager>, StoreError> {
    let manager = Manager::file(path)
        .with_flags(flags)
        .with_init(move |connection| {
            connection.busy_timeout(BUSY)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            init(connection)
        });
    // One connection by hand, so that a failure is told in SQLite's words and not as a time-out.
    r2d2::ManageConnection::connect(&manager).map_err(|error| failed(&error))?;
    Pool::builder()
        .thread_pool(Arc::clone(opener))
        .max_size(size)
        .min_idle(Some(spare))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_on_check_out(false)
        .connection_timeout(POOL_WAIT)
        .build(manager)
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Takes the lock beside the database. Not on the database itself: closing any handle of that file
/// would drop SQLite's own locks.
fn lock_file(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = PathBuf::from(name);
    let file = open_private(&lock)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |_| {
            StoreError::Unavailable(format!(
                "`{}` is in use by another process; one authority at a time may have it open",
                path.display()
            ))
        },
    )?;
    Ok(file)
}

/// Opens a file, making it readable for its owner alone when it is not there.
fn open_private(path: &Path) -> Result<File, StoreError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            let what = format!("cannot open `{}`: {error}", path.display());
            match error.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    StoreError::ReadOnly(what)
                }
                std::io::ErrorKind::StorageFull => StoreError::Full,
                _ => StoreError::Unavailable(what),
            }
        })
}

/// Looks without writing: switching to WAL would already change somebody else's file.
fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let foreign = |why: &str| {
        StoreError::Schema(format!(
            "`{}` is not a Doorward database: {why}",
            path.display()
        ))
    };
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| failed(&error))?;
    let look = || -> rusqlite::Result<(i64, i32)> {
        connection.busy_timeout(BUSY)?;
        Ok((
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
            connection.query_row("PRAGMA application_id", [], |row| row.get(0))?,
        ))
    };
    match look() {
        Ok((0, _) | (_, APPLICATION_ID)) => Ok(()),
        Ok(_) => Err(foreign("it has tables of something else")),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            Err(foreign("the file is no SQLite database"))
        }
        Err(error) => Err(failed(&error)),
    }
}

fn take(pool: &Pool<Manager>) -> Result<PooledConnection<Manager>, StoreError> {
    pool.get()
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

impl Engine for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn width(&self) -> Width {
        Width {
            reads: READERS as usize,
            // Of which each commit takes all that wait.
            writes: GROUP,
        }
    }

    fn read(&self, work: &mut dyn FnMut(&mut dyn Tx)) -> Result<(), StoreError> {
        let connection = take(&self.readers)?;
        let transaction = Begun::begin(&connection, "BEGIN DEFERRED")?;
        work(&mut SqliteTx {
            connection: &connection,
        });
        transaction.end("ROLLBACK")
    }

    fn write(&self, work: &mut WriteWork<'_>) -> Result<Option<Position>, StoreError> {
        let connection = take(&self.writer)?;
        let transaction = Begun::begin(&connection, "BEGIN IMMEDIATE")?;
        let mut tx = SqliteTx {
            connection: &connection,
        };
        // An early return drops the transaction, which rolls it back.
        let head = match work(&mut tx) {
            Ending::RollBack => return Ok(None),
            Ending::Commit => None,
            Ending::Seal(payload) => Some(feed::append(&mut tx, &payload)?),
        };
        transaction.end("COMMIT")?;
        Ok(head)
    }

    fn together(&self) -> Option<&dyn Together> {
        Some(self)
    }

    fn exclusive(&self, work: &mut ExclusiveWork<'_>) -> Result<(), StoreError> {
        let mut connection = take(&self.writer)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(&error))?;
        work(&mut SqliteTx {
            connection: &transaction,
        })?;
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(|error| failed(&error))?;
        transaction.commit().map_err(|error| failed(&error))
    }

    fn follow(&self, _head: Weak<watch::Sender<Position>>) {
        // The lock file sees to it that nobody else writes.
    }
}

impl Together for Sqlite {
    fn write_all(
        &self,
        count: usize,
        work: &mut GroupWork<'_>,
    ) -> Result<Vec<Option<Position>>, StoreError> {
        let connection = take(&self.writer)?;
        let transaction = Begun::begin(&connection, "BEGIN IMMEDIATE")?;
        let mut tx = SqliteTx {
            connection: &connection,
        };
        let mut heads = Vec::with_capacity(count);
        for index in 0..count {
            let before = connection.total_changes();
            let ending = work(index, &mut tx);
            // Some errors, such as a full disk, have ended the whole transaction.
            if connection.is_autocommit() {
                return Err(StoreError::Retry);
            }
            heads.push(match ending {
                // Most that end so have changed nothing. For the others there is no savepoint: one
                // would copy each page that a second write of the group touches.
                Ending::RollBack if connection.total_changes() == before => None,
                Ending::RollBack => return Err(StoreError::Retry),
                Ending::Commit => None,
                Ending::Seal(payload) => Some(feed::append(&mut tx, &payload)?),
            });
        }
        transaction.end("COMMIT")?;
        Ok(heads)
    }
}

/// A transaction by statements that are prepared once; dropped, it is rolled back.
struct Begun<'c>(&'c Connection);

impl<'c> Begun<'c> {
    fn begin(connection: &'c Connection, how: &str) -> Result<Self, StoreError> {
        run(connection, how)?;
        Ok(Self(connection))
    }

    fn end(self, how: &str) -> Result<(), StoreError> {
        run(self.0, how)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        // Some errors, and every end, have ended it already.
        if !self.0.is_autocommit()
            && let Err(error) = run(self.0, "ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

fn run(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(|error| failed(&error))
}

struct SqliteTx<'c> {
    connection: &'c Connection,
}

impl Tx for SqliteTx<'_> {
    fn exec(&mut self, sql: &str, params: &[Val]) -> Result<u64, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|error| failed(&error))?;
        statement
            .execute(rusqlite::params_from_iter(params))
            .map(|rows| rows as u64)
            .map_err(|error| failed(&error))
    }

    fn rows(&mut self, sql: &str, params: &[Val]) -> Result<Vec<Row>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|error| failed(&error))?;
        let columns = statement.column_count();
        let mut rows = statement
            .query(rusqlite::params_from_iter(params))
            .map_err(|error| failed(&error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| failed(&error))? {
            let values = (0..columns)
                .map(|index| {
                    let value = row.get_ref(index).map_err(|error| failed(&error))?;
                    from_sqlite(index, value)
                })
                .collect::<Result<_, _>>()?;
            found.push(Row::new(values));
        }
        Ok(found)
    }

    fn lock(&mut self, _entity: Lock) -> Result<(), StoreError> {
        // BEGIN IMMEDIATE: this transaction already is the only writer.
        Ok(())
    }
}

impl Session for SqliteTx<'_> {
    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| failed(&error))
    }
}

impl ToSql for Val {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Bool(value) => ToSqlOutput::Owned(Value::Integer(i64::from(*value))),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Self::Uuid(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value.as_bytes())),
            Self::Time(value) => ToSqlOutput::Owned(Value::Integer(value.unix_micros())),
            Self::TextArray(values) => ToSqlOutput::Owned(Value::Text(
                serde_json::to_string(values)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?,
            )),
        })
    }
}

fn from_sqlite(column: usize, value: ValueRef<'_>) -> Result<Val, StoreError> {
    match value {
        ValueRef::Null => Ok(Val::Null),
        ValueRef::Integer(value) => Ok(Val::Int(value)),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| StoreError::Inconsistent {
                column,
                wanted: "UTF-8",
            })?;
            Ok(Val::Text(text.to_owned()))
        }
        ValueRef::Blob(bytes) => Ok(Val::Bytes(bytes.to_vec())),
        ValueRef::Real(_) => Err(StoreError::Inconsistent {
            column,
            wanted: "a value that both engines know",
        }),
    }
}

/// SQLite's errors as callers tell them apart.
fn failed(error: &rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(code, message) = error else {
        return StoreError::Other(error.to_string());
    };
    let text = message.clone().unwrap_or_else(|| code.to_string());
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => StoreError::Unique {
            constraint: text
                .strip_prefix("UNIQUE constraint failed: ")
                .unwrap_or(&text)
                .to_owned(),
        },
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::ForeignKey,
        // The WAL's index finds no room: SQLite's only other word for a full disk.
        ffi::SQLITE_IOERR_SHMSIZE => StoreError::Full,
        _ => match code.code {
            rusqlite::ErrorCode::ConstraintViolation => StoreError::Check(text),
            rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked => {
                StoreError::Retry
            }
            rusqlite::ErrorCode::DiskFull => StoreError::Full,
            rusqlite::ErrorCode::ReadOnly => StoreError::ReadOnly(text),
            rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => {
                StoreError::Corrupt(text)
            }
            rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::SystemIoFailure => {
                StoreError::Unavailable(text)
            }
            _ => StoreError::Other(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `.cargo/config.toml` asks for. That SQLite was given fdatasync cannot be asked; it comes
    /// by the same variable.
    #[test]
    fn sqlite_is_built_as_the_repository_says() {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("PRAGMA compile_options").unwrap();
        let options: Vec<String> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(
            options.contains(&"DEFAULT_MEMSTATUS=0".to_owned()),
            "{options:?}"
        );
        let shared = options
            .iter()
            .any(|option| option == "ENABLE_MEMORY_MANAGEMENT");
        assert!(!shared, "each connection has a page cache of its own");
    }
}
