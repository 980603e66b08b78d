//! The copy's tables, generated from [`REPLICATED`], and the statements on them.

use std::fmt::Write as _;

use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::ReplicaError;
use crate::protocol::feed::Cell;
use crate::store::replicated::{Kind, REPLICATED, Table};

/// Marks the file as a copy (`PRAGMA application_id`): "dwrd".
pub(super) const APPLICATION_ID: i32 = 0x6477_7264;

/// The tables that describe the copy.
const META: &str = "\
CREATE TABLE replica (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    feed TEXT NOT NULL,
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    revision INTEGER NOT NULL,
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    state BLOB NOT NULL CHECK (length(state) = 32), -- sum of the hashes of all rows
    schema INTEGER NOT NULL,
    feed_key TEXT NOT NULL,                         -- public key that signs this feed
    signed_time INTEGER NOT NULL                    -- latest signature seen; older ones are replays
) STRICT;
CREATE TABLE replica_epochs (
    epoch BLOB NOT NULL PRIMARY KEY CHECK (length(epoch) = 16),
    first_revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE replica_tables (
    id INTEGER NOT NULL PRIMARY KEY,                -- the table's number in frames
    name TEXT NOT NULL UNIQUE,
    key_len INTEGER NOT NULL,
    columns TEXT NOT NULL                           -- space-delimited, in the order of cells
) STRICT;
";

/// Indexes beyond the primary keys: slugs, the holders of a role, the organizations of a user and
/// the instances in an organization.
/// A copy that an older program made gets them when it is opened.
pub(super) const INDEXES: &str = "\
CREATE INDEX IF NOT EXISTS organizations_slug ON organizations(slug);
CREATE INDEX IF NOT EXISTS organization_members_role
    ON organization_members(organization_id, role_id, user_id);
CREATE INDEX IF NOT EXISTS organization_members_user
    ON organization_members(user_id, organization_id);
CREATE INDEX IF NOT EXISTS organization_member_roles_role
    ON organization_member_roles(organization_id, role_id, user_id);
CREATE INDEX IF NOT EXISTS resource_instances_organization
    ON resource_instances(service, resource, organization_id, id);
";

/// The tables as text. With [`INDEXES`], `schema/sql/replica.sql` is its golden dump.
pub(super) fn tables() -> String {
    let mut sql = String::from(META);
    for table in REPLICATED {
        let _ = writeln!(sql, "CREATE TABLE {} (", table.name);
        for column in table.columns {
            let kind = match column.kind {
                Kind::Id => "BLOB",
                Kind::Text => "TEXT",
                Kind::Int | Kind::Time => "INTEGER",
            };
            let _ = writeln!(sql, "    {} {kind} NOT NULL,", column.name);
        }
        let key: Vec<&str> = table
            .columns
            .iter()
            .take(table.key_len)
            .map(|column| column.name)
            .collect();
        let _ = writeln!(
            sql,
            "    PRIMARY KEY ({})\n) STRICT, WITHOUT ROWID;",
            key.join(", ")
        );
    }
    sql
}

/// The columns of a table as `replica_tables` lists them.
pub(super) fn column_list(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    names.join(" ")
}

/// A table as a file describes it, with its statements.
#[derive(Debug, Clone)]
pub(super) struct TableShape {
    pub(super) id: u16,
    pub(super) key_len: usize,
    pub(super) columns: usize,
    /// Reads one row by its key.
    pub(super) find: String,
    /// Reads all rows, in order of their keys.
    pub(super) all: String,
    /// Writes a row, new or not.
    pub(super) put: String,
    /// Removes a row by its key.
    pub(super) delete: String,
}

impl TableShape {
    fn new(id: u16, name: &str, key_len: usize, columns: &[&str]) -> Self {
        let list = columns.join(", ");
        let marks: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let keys: Vec<&str> = columns.iter().take(key_len).copied().collect();
        let by_key: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(index, column)| format!("{column} = ?{}", index.saturating_add(1)))
            .collect();
        let by_key = by_key.join(" AND ");
        let sets: Vec<String> = columns
            .iter()
            .skip(key_len)
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let conflict = if sets.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!("UPDATE SET {}", sets.join(", "))
        };
        Self {
            id,
            key_len,
            columns: columns.len(),
            find: format!("SELECT {list} FROM {name} WHERE {by_key}"),
            all: format!("SELECT {list} FROM {name} ORDER BY {}", keys.join(", ")),
            put: format!(
                "INSERT INTO {name} ({list}) VALUES ({}) ON CONFLICT ({}) DO {conflict}",
                marks.join(", "),
                keys.join(", ")
            ),
            delete: format!("DELETE FROM {name} WHERE {by_key}"),
        }
    }
}

/// What tables the file says it has. Names go into SQL, so only names of ours pass.
pub(super) fn shapes(connection: &Connection) -> Result<Vec<TableShape>, ReplicaError> {
    let mut statement =
        connection.prepare("SELECT id, name, key_len, columns FROM replica_tables ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get::<_, u16>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, u8>(2)?.into(),
            row.get::<_, String>(3)?,
        ))
    })?;
    let mut shapes = Vec::new();
    for row in rows {
        let (id, name, key_len, columns): (u16, String, usize, String) = row?;
        let columns: Vec<&str> = columns.split(' ').collect();
        let named = plain(&name) && columns.iter().copied().all(plain);
        if !named || key_len == 0 || key_len > columns.len() || columns.len() > 64 {
            return Err(ReplicaError::Schema(format!("table {id} is not described")));
        }
        shapes.push(TableShape::new(id, &name, key_len, &columns));
    }
    for table in REPLICATED {
        if !is_described(connection, table)? {
            return Err(ReplicaError::Schema(format!(
                "table `{}` is missing or older than this program",
                table.name
            )));
        }
    }
    Ok(shapes)
}

/// Whether a text may stand in SQL as a name.
fn plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whether the file has this table with at least our columns, ours first.
fn is_described(connection: &Connection, table: &Table) -> Result<bool, ReplicaError> {
    let mut statement = connection.prepare_cached(
        "SELECT columns FROM replica_tables WHERE id = ?1 AND name = ?2 AND key_len = ?3",
    )?;
    let key_len = i64::try_from(table.key_len).unwrap_or(i64::MAX);
    let mut rows = statement.query((table.id, table.name, key_len))?;
    let Some(row) = rows.next()? else {
        return Ok(false);
    };
    let columns: String = row.get(0)?;
    let ours = table.columns.iter().map(|column| column.name);
    let theirs: Vec<&str> = columns.split(' ').collect();
    Ok(theirs.len() >= table.columns.len() && ours.zip(theirs).all(|(a, b)| a == b))
}

/// A cell as a parameter.
pub(super) struct Bind<'a>(pub(super) &'a Cell);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Int(value) => ValueRef::Integer(*value),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A row's cells.
pub(super) fn cells(row: &rusqlite::Row<'_>, columns: usize) -> Result<Vec<Cell>, ReplicaError> {
    let mut cells = Vec::with_capacity(columns);
    for index in 0..columns {
        cells.push(match row.get_ref(index)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Text(bytes) => Cell::Text(
                std::str::from_utf8(bytes)
                    .map_err(|_| ReplicaError::Corrupt("text that is not UTF-8".to_owned()))?
                    .to_owned(),
            ),
            ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => {
                return Err(ReplicaError::Corrupt("a real number".to_owned()));
            }
        });
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_golden_dump_shows_the_copys_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/sql/replica.sql");
        let ddl = super::tables() + super::INDEXES;
        #[expect(clippy::disallowed_methods, reason = "the switch of golden files")]
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/sql")).unwrap();
            std::fs::write(path, &ddl).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), ddl);
    }
}
