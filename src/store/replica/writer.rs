//! The single writer of a copy: opening, building, checking.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::ReplicaError;
use super::meta::{self, ReplicaPosition};
use super::schema::{self, APPLICATION_ID, Bind, TableShape, cells};
use crate::crypto::sign::FeedPublicKey;
use crate::domain::{Position, Timestamp};
use crate::protocol::feed::{Cell, row_hash};
use crate::store::replicated::{REPLICATED, Table};

/// The writer of one copy. There is one per file; readers have connections of their own.
#[derive(Debug)]
pub struct Replica {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) tables: Vec<TableShape>,
    pub(super) meta: ReplicaPosition,
}

impl Replica {
    /// Opens the copy at `path`; `Ok(None)` when there is no file. Checks that it is a copy of ours
    /// whose meta row and tables can be read, not its content: that is [`Self::verify`].
    ///
    /// # Errors
    ///
    /// [`ReplicaError::discard`] tells whether to throw the file away.
    pub fn open(path: &Path) -> Result<Option<Self>, ReplicaError> {
        match std::fs::exists(path) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(ReplicaError::Unavailable(error.to_string())),
        }
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        let application: i32 =
            connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application != APPLICATION_ID {
            return Err(ReplicaError::Corrupt("not a copy".to_owned()));
        }
        prepare(&connection)?;
        let tables = schema::shapes(&connection)?;
        let meta = ReplicaPosition::read(&connection)?;
        // Without them searches take longer and are as right: no reason to do without the copy.
        if let Err(error) = connection.execute_batch(schema::INDEXES) {
            tracing::warn!(%error, "the copy has no indexes for searches");
        }
        Ok(Some(Self {
            connection,
            path: path.to_owned(),
            tables,
            meta,
        }))
    }

    /// Where the copy stands.
    pub const fn position(&self) -> Position {
        self.meta.position
    }

    /// Where the copy stands and what it adds up to.
    pub const fn meta(&self) -> &ReplicaPosition {
        &self.meta
    }

    /// The sum of the hashes of all rows, kept along the way.
    pub const fn state(&self) -> [u64; 4] {
        self.meta.state
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file has every table and column that this program knows. One from before an
    /// upgrade does not: it can be followed on, but snapshots of it lack what is new.
    pub fn is_complete(&self) -> bool {
        REPLICATED.iter().all(|table| {
            self.tables.iter().any(|shape| {
                shape.id == table.id
                    && shape.key_len == table.key_len
                    && shape.columns >= table.columns.len()
            })
        })
    }

    /// Checks the whole file: the engine's own check, then every row against the state. Reads
    /// everything (0.5 s for a million rows).
    ///
    /// # Errors
    ///
    /// [`ReplicaError::Corrupt`] when it does not hold.
    pub fn verify(&self) -> Result<(), ReplicaError> {
        // The quick check does not compare an index with its table: for the one that has an index
        // the full check does.
        for check in [
            "PRAGMA quick_check(1)",
            "PRAGMA integrity_check('organizations')",
        ] {
            let answer: String = self.connection.query_row(check, [], |row| row.get(0))?;
            if answer != "ok" {
                return Err(ReplicaError::Corrupt(answer));
            }
        }
        if self.recount()? == self.meta.state {
            Ok(())
        } else {
            Err(ReplicaError::Corrupt(
                "the rows do not add up to the state".to_owned(),
            ))
        }
    }

    /// The sum of the hashes of all rows, counted anew.
    pub fn recount(&self) -> Result<[u64; 4], ReplicaError> {
        let mut state = [0; 4];
        for table in &self.tables {
            let mut statement = self.connection.prepare(&table.all)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                meta::add(&mut state, row_hash(table.id, &cells(row, table.columns)?));
            }
        }
        Ok(state)
    }

    /// Every row of a table in key order, for comparing copies. `None`: the file has no such table.
    pub fn rows(&self, table: u16) -> Result<Option<Vec<Vec<Cell>>>, ReplicaError> {
        let Some(shape) = self.tables.iter().find(|shape| shape.id == table) else {
            return Ok(None);
        };
        let mut statement = self.connection.prepare(&shape.all)?;
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(cells(row, shape.columns)?);
        }
        Ok(Some(all))
    }

    /// Removes the file at `path` with what the engine keeps beside it. One that is not there is fine.
    pub fn remove(path: &Path) -> Result<(), ReplicaError> {
        remove(path)
    }

    /// Writes a compact, consistent image of the copy to a new file, on a connection of its own.
    pub fn vacuum_into(path: &Path, target: &Path) -> Result<(), ReplicaError> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let target = target
            .to_str()
            .ok_or_else(|| ReplicaError::Unavailable("a path that is not UTF-8".to_owned()))?;
        connection.execute("VACUUM INTO ?1", [target])?;
        Ok(())
    }
}

/// Pragmas of a writer's connection.
fn prepare(connection: &Connection) -> Result<(), ReplicaError> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(())
}

/// Fills a new copy from a scan. Nothing is at `path` until [`Self::finish`].
#[derive(Debug)]
pub struct Builder {
    connection: Connection,
    path: PathBuf,
    building: PathBuf,
    tables: Vec<TableShape>,
    meta: ReplicaPosition,
}

impl Builder {
    /// Starts a copy that will stand at `position`, beside `path`.
    pub fn create(
        path: &Path,
        position: Position,
        feed_key: &FeedPublicKey,
    ) -> Result<Self, ReplicaError> {
        let mut building = path.as_os_str().to_owned();
        building.push(".building");
        let building = PathBuf::from(building);
        remove(&building)?;
        let connection = Connection::open(&building)?;
        connection.set_prepared_statement_cache_capacity(128);
        // Nobody sees the file before it is whole and synced.
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.execute_batch(&format!("BEGIN;\n{}", schema::tables()))?;
        for table in REPLICATED {
            let key_len = i64::try_from(table.key_len).unwrap_or(i64::MAX);
            connection.execute(
                "INSERT INTO replica_tables (id, name, key_len, columns) VALUES (?1, ?2, ?3, ?4)",
                (table.id, table.name, key_len, schema::column_list(table)),
            )?;
        }
        let tables = schema::shapes(&connection)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            building,
            tables,
            meta: ReplicaPosition::empty(position, feed_key),
        })
    }

    /// Notes a past epoch.
    pub fn epoch(
        &mut self,
        epoch: crate::domain::Epoch,
        first: crate::domain::Revision,
    ) -> Result<(), ReplicaError> {
        self.connection.execute(
            "INSERT INTO replica_epochs (epoch, first_revision) VALUES (?1, ?2)",
            (
                epoch.as_uuid().as_bytes(),
                i64::try_from(first.get()).unwrap_or(i64::MAX),
            ),
        )?;
        Ok(())
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::Corrupt`] for a row that does not fit its table or is there already.
    pub fn insert(&mut self, table: &Table, row: &[Cell]) -> Result<(), ReplicaError> {
        let shape = self
            .tables
            .iter()
            .find(|shape| shape.id == table.id && shape.columns == row.len())
            .ok_or_else(|| ReplicaError::Corrupt(format!("a row of `{}`", table.name)))?;
        let written = self
            .connection
            .prepare_cached(&shape.put)?
            .execute(params_from_iter(row.iter().map(Bind)))?;
        if written != 1 {
            return Err(ReplicaError::Corrupt(format!(
                "a row of `{}` came twice",
                table.name
            )));
        }
        meta::add(&mut self.meta.state, row_hash(table.id, row));
        Ok(())
    }

    /// Puts the copy at its path, synced, in place of what was there.
    pub fn finish(mut self, signed_time: Timestamp) -> Result<Replica, ReplicaError> {
        self.meta.signed_time = signed_time;
        self.meta.write(&self.connection)?;
        // Over rows that are there already: sorted, and so faster than row by row.
        self.connection.execute_batch(schema::INDEXES)?;
        self.connection.execute_batch("COMMIT")?;
        drop(self.connection);
        sync(&self.building)?;
        remove(&self.path)?;
        let io = |error: std::io::Error| ReplicaError::Unavailable(error.to_string());
        std::fs::rename(&self.building, &self.path).map_err(io)?;
        if let Some(parent) = self.path.parent() {
            sync(parent)?;
        }
        Replica::open(&self.path)?
            .ok_or_else(|| ReplicaError::Unavailable("the new copy vanished".to_owned()))
    }
}

fn sync(path: &Path) -> Result<(), ReplicaError> {
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| ReplicaError::Unavailable(error.to_string()))
}

/// Removes a database file with its WAL. A file that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), ReplicaError> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(Path::new(&name)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ReplicaError::Unavailable(error.to_string())),
        }
    }
    Ok(())
}
