//! Transactions: begin, lock, seal and commit.

use std::fmt::Write as _;
use std::sync::Weak;
use std::thread;
use std::time::Duration;

use ::postgres::SimpleQueryMessage;
use ::postgres::fallible_iterator::FallibleIterator as _;
use ::postgres::types::ToSql;
use r2d2::{Pool, PooledConnection};
use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::{Chain, Epoch, FeedName, Position, Revision, Secret};
use crate::store::driver::{
    Dialect, Ending, Engine, ExclusiveWork, Payload, Session, Width, WriteWork,
};
use crate::store::{Lock, Row, StoreError, Tx, Val, feed};

use super::connect::{Connection, Connector};
use super::values::{Column, Param, failed};

const POOL_WAIT: Duration = Duration::from_secs(10);
/// How often the head is read when no notification comes.
const POLL: Duration = Duration::from_millis(250);
/// How long a lost listener waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// A database and the connections to it.
#[derive(Debug)]
pub(in crate::store) struct Postgres {
    connector: Connector,
    // Taken out only when dropped.
    pool: Option<Pool<Connector>>,
    width: usize,
}

impl Postgres {
    /// Connects once, so that what is wrong is told at once, and keeps a pool.
    pub(in crate::store) fn open(
        url: &Secret<String>,
        max_connections: u32,
    ) -> Result<Self, StoreError> {
        let connector = Connector::new(url)?;
        drop(connector.open()?);
        let size = max_connections.max(1);
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(POOL_WAIT)
            .build(connector.clone())
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            connector,
            pool: Some(pool),
            width: size as usize,
        })
    }

    fn take(&self) -> Result<PooledConnection<Connector>, StoreError> {
        self.pool
            .as_ref()
            .ok_or_else(|| StoreError::Unavailable("the pool is closed".to_owned()))?
            .get()
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pool = self.pool.take();
        // This may be an async worker, where dropping a client panics. Failing to start a thread
        // leaves the connections to the end of the process, which is near.
        let _ = thread::Builder::new()
            .name("doorward-pool-drop".to_owned())
            .spawn(move || drop(pool));
    }
}

impl Engine for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn width(&self) -> Width {
        Width {
            reads: self.width,
            writes: self.width,
        }
    }

    fn read(&self, work: &mut dyn FnMut(&mut dyn Tx)) -> Result<(), StoreError> {
        let mut connection = self.take()?;
        let mut tx = PostgresTx::begin(
            &mut connection,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )?;
        work(&mut tx);
        // A failed statement was told to the closure; a commit of it is a rollback, which is fine.
        tx.end("COMMIT").map(drop)
    }

    fn write(&self, work: &mut WriteWork<'_>) -> Result<Option<Position>, StoreError> {
        let mut connection = self.take()?;
        let mut tx = PostgresTx::begin(&mut connection, "BEGIN ISOLATION LEVEL READ COMMITTED")?;
        match work(&mut tx) {
            Ending::RollBack => tx.end("ROLLBACK").map(|_| None),
            Ending::Commit => tx.end("COMMIT").map(|_| None),
            Ending::Seal(payload) => {
                let messages = tx.end(&seal_and_commit(&payload))?;
                sealed(&messages).map(Some)
            }
        }
    }

    fn exclusive(&self, work: &mut ExclusiveWork<'_>) -> Result<(), StoreError> {
        let mut connection = self.take()?;
        let mut tx = PostgresTx::begin(&mut connection, "BEGIN ISOLATION LEVEL READ COMMITTED")?;
        // Another process's migration may take long; waiting for it is the point.
        tx.batch(
            "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;
             SELECT pg_advisory_xact_lock(hashtext('doorward migrations'))",
        )?;
        work(&mut tx)?;
        tx.end("COMMIT").map(drop)
    }

    fn follow(&self, head: Weak<watch::Sender<Position>>) {
        let connector = self.connector.clone();
        // Without the thread, heads of other processes come with this process's own writes.
        let _ = thread::Builder::new()
            .name("doorward-feed-listen".to_owned())
            .spawn(move || {
                while head.strong_count() > 0 {
                    let lost = listen(&connector, &head);
                    if let Err(error) = lost {
                        tracing::warn!(%error, "the listener for feed changes lost its connection");
                        thread::park_timeout(RECONNECT);
                    }
                }
            });
    }
}

/// Announces each head that the database shows, until the store is closed or the connection lost.
fn listen(connector: &Connector, head: &Weak<watch::Sender<Position>>) -> Result<(), StoreError> {
    let mut connection = connector.open()?;
    connection
        .client
        .batch_execute("LISTEN doorward_feed")
        .map_err(|error| failed(&error))?;
    loop {
        // Autocommit: the listener holds no snapshot between polls.
        let mut tx = PostgresTx {
            connection: &mut connection,
            open: false,
        };
        let position = feed::head(&mut tx)?.position;
        drop(tx);
        let Some(sender) = head.upgrade() else {
            return Ok(());
        };
        feed::announce(&sender, position);
        drop(sender);
        let mut notifications = connection.client.notifications();
        let woken = notifications
            .timeout_iter(POLL)
            .next()
            .map_err(|error| failed(&error))?;
        if woken.is_some() {
            // One look at the head answers them all.
            while notifications
                .iter()
                .next()
                .map_err(|error| failed(&error))?
                .is_some()
            {}
        }
    }
}

/// The frame's number, its row and the commit in one round trip: the counter row, which all writers
/// share, is locked for the time of the commit alone.
fn seal_and_commit(payload: &Payload) -> String {
    let feed = FeedName::Authz;
    let floor = if payload.reset {
        "s.revision + 1"
    } else {
        "s.floor"
    };
    let mut sql = String::with_capacity(payload.bytes.len() * 2 + 800);
    sql.push_str("WITH frame (payload) AS (VALUES ('\\x");
    data_encoding::HEXLOWER.encode_append(&payload.bytes, &mut sql);
    // Writing into a String cannot fail.
    let _ = write!(
        sql,
        "'::bytea)), moved AS (
             UPDATE feed_state AS s SET
                 revision = s.revision + 1,
                 chain = sha256(s.chain || int8send(s.revision + 1) || f.payload),
                 floor = {floor}
             FROM frame AS f WHERE s.feed = '{feed}'
             RETURNING s.epoch, s.revision, s.chain, f.payload)
         INSERT INTO feed_outbox (feed, revision, chain, payload)
         SELECT '{feed}', revision, chain, payload FROM moved
         RETURNING (SELECT epoch FROM moved), revision, encode(chain, 'hex');
         NOTIFY doorward_feed; COMMIT"
    );
    sql
}

fn sealed(messages: &[SimpleQueryMessage]) -> Result<Position, StoreError> {
    messages
        .iter()
        .find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(Position {
                feed: FeedName::Authz,
                epoch: Epoch::from_uuid(Uuid::try_parse(row.get(0)?).ok()?),
                revision: Revision::new(row.get(1)?.parse().ok()?),
                chain: Chain::from_hex(row.get(2)?)?,
            }),
            _ => None,
        })
        .ok_or_else(|| {
            StoreError::Other("the feed's row is missing: the frame was not sealed".to_owned())
        })
}

/// A transaction; rolled back when it is dropped without an end.
struct PostgresTx<'c> {
    connection: &'c mut Connection,
    open: bool,
}

impl<'c> PostgresTx<'c> {
    fn begin(connection: &'c mut Connection, sql: &str) -> Result<Self, StoreError> {
        match connection.client.batch_execute(sql) {
            Ok(()) => Ok(Self {
                connection,
                open: true,
            }),
            Err(error) => {
                // The server went away since the last use; nothing was begun, another connection
                // may work.
                connection.broken = true;
                Err(match failed(&error) {
                    StoreError::Unavailable(_) => StoreError::Retry,
                    other => other,
                })
            }
        }
    }

    fn end(mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, StoreError> {
        let messages = self
            .connection
            .client
            .simple_query(sql)
            .map_err(|error| self.note(&error))?;
        self.open = false;
        Ok(messages)
    }

    fn note(&mut self, error: &::postgres::Error) -> StoreError {
        let error_kind = failed(error);
        // 0A000: a prepared statement outlived a migration. A new session has none.
        let stale = error.code().is_some_and(|code| code.code() == "0A000");
        self.connection.broken |= stale || matches!(error_kind, StoreError::Unavailable(_));
        error_kind
    }
}

impl Drop for PostgresTx<'_> {
    fn drop(&mut self) {
        if self.open && self.connection.client.batch_execute("ROLLBACK").is_err() {
            self.connection.broken = true;
        }
    }
}

impl Tx for PostgresTx<'_> {
    fn exec(&mut self, sql: &str, params: &[Val]) -> Result<u64, StoreError> {
        let statement = self
            .connection
            .prepare(sql)
            .map_err(|error| self.note(&error))?;
        let params: Vec<_> = params.iter().map(Param).collect();
        let params: Vec<&(dyn ToSql + Sync)> = params
            .iter()
            .map(|param| param as &(dyn ToSql + Sync))
            .collect();
        self.connection
            .client
            .execute(&statement, &params)
            .map_err(|error| self.note(&error))
    }

    fn rows(&mut self, sql: &str, params: &[Val]) -> Result<Vec<Row>, StoreError> {
        let statement = self
            .connection
            .prepare(sql)
            .map_err(|error| self.note(&error))?;
        let params: Vec<_> = params.iter().map(Param).collect();
        let found = self
            .connection
            .client
            .query_raw(&statement, &params)
            .and_then(::postgres::RowIter::collect::<Vec<_>>)
            .map_err(|error| self.note(&error))?;
        found
            .iter()
            .map(|row| {
                (0..row.len())
                    .map(|index| {
                        row.try_get::<_, Column>(index)
                            .map(|column| column.0)
                            .map_err(|_| StoreError::Inconsistent {
                                column: index,
                                wanted: "a value that both engines know",
                            })
                    })
                    .collect::<Result<_, _>>()
                    .map(Row::new)
            })
            .collect()
    }

    fn lock(&mut self, entity: Lock) -> Result<(), StoreError> {
        // NO KEY UPDATE: rows that refer to the locked one may still be added meanwhile.
        let (sql, value): (_, Val) = match entity {
            Lock::Organization(id) => (
                "SELECT 1 FROM organizations WHERE id = ?1 FOR NO KEY UPDATE",
                id.into(),
            ),
            // A service has no row before its first manifest.
            Lock::Service(name) => (
                "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended('service ' || ?1, 0)))
                     AS locked",
                (&name).into(),
            ),
            Lock::Client(id) => (
                "SELECT 1 FROM oauth_clients WHERE id = ?1 FOR NO KEY UPDATE",
                id.into(),
            ),
            Lock::Providers => (
                "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended(?1, 0))) AS locked",
                "identity providers".into(),
            ),
            Lock::User(id) => (
                "SELECT 1 FROM users WHERE id = ?1 FOR NO KEY UPDATE",
                id.into(),
            ),
            Lock::Grant(id) => (
                "SELECT 1 FROM grants WHERE id = ?1 FOR NO KEY UPDATE",
                id.into(),
            ),
            Lock::Session(id) => (
                "SELECT 1 FROM sessions WHERE id = ?1 FOR KEY SHARE",
                id.into(),
            ),
        };
        self.rows(sql, &[value]).map(drop)
    }
}

impl Session for PostgresTx<'_> {
    fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection
            .client
            .batch_execute(sql)
            .map_err(|error| self.note(&error))
    }
}
