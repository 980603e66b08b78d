//! Capture: the triggers that note which replicated rows a transaction touched, and the queries that
//! read those rows back. Both follow from [`REPLICATED`](super::replicated::REPLICATED) alone.
//!
//! A trigger notes (table, key) in `feed_pending` and nothing else, and an update only when a
//! replicated column really changed. The migrations hold [`triggers`] word for word: 0003 those of
//! the first tables, the migration that adds a table those of that table at its end. After a change of
//! a table's columns the next number gets its triggers anew.

use std::fmt::Write as _;

use super::Dialect;
use super::replicated::{Column, Kind, Table};

/// The capture triggers of a replicated table.
pub fn triggers(table: &Table, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => sqlite_triggers(table),
        Dialect::Postgres => postgres_triggers(table),
    }
}

fn sqlite_triggers(table: &Table) -> String {
    let name = table.name;
    let columns = pending_columns(table);
    let [old, new] = ["OLD", "NEW"].map(|row| pending_values(table, Dialect::Sqlite, row));
    let changed = differences(table.columns, "IS NOT", " OR ");
    let moved = differences(key(table), "IS NOT", " OR ");
    let drops = ["insert", "delete", "update"]
        .map(|event| format!("DROP TRIGGER IF EXISTS capture_{name}_{event};\n"));
    format!(
        "{}CREATE TRIGGER capture_{name}_insert AFTER INSERT ON {name} BEGIN\n    \
             INSERT INTO feed_pending ({columns}) VALUES ({new});\n\
         END;\n\
         CREATE TRIGGER capture_{name}_delete AFTER DELETE ON {name} BEGIN\n    \
             INSERT INTO feed_pending ({columns}) VALUES ({old});\n\
         END;\n\
         CREATE TRIGGER capture_{name}_update AFTER UPDATE ON {name}\n\
         WHEN {changed} BEGIN\n    \
             INSERT INTO feed_pending ({columns}) VALUES ({new});\n    \
             INSERT INTO feed_pending ({columns}) SELECT {old} WHERE {moved};\n\
         END;\n",
        drops.concat()
    )
}

fn postgres_triggers(table: &Table) -> String {
    let name = table.name;
    let columns = pending_columns(table);
    let [old, new] = ["OLD", "NEW"].map(|row| pending_values(table, Dialect::Postgres, row));
    let changed = differences(table.columns, "IS DISTINCT FROM", " OR ");
    let moved = differences(key(table), "IS DISTINCT FROM", " OR ");
    let mut sql = format!(
        "CREATE OR REPLACE FUNCTION capture_{name}() RETURNS trigger LANGUAGE plpgsql AS $$\n\
         BEGIN\n    \
             IF TG_OP = 'DELETE' THEN\n        \
                 INSERT INTO feed_pending ({columns}) VALUES ({old});\n    \
             ELSE\n        \
                 INSERT INTO feed_pending ({columns}) VALUES ({new});\n        \
                 IF TG_OP = 'UPDATE' THEN\n            \
                     INSERT INTO feed_pending ({columns}) SELECT {old} WHERE {moved};\n        \
                 END IF;\n    \
             END IF;\n    \
             RETURN NULL;\n\
         END $$;\n"
    );
    let own = format!("capture_{name}");
    let when = format!(" WHEN ({changed})");
    for (suffix, event, each, when, function) in [
        ("rows", "AFTER INSERT OR DELETE", "ROW", "", own.as_str()),
        ("update", "AFTER UPDATE", "ROW", when.as_str(), own.as_str()),
        (
            "truncate",
            "BEFORE TRUNCATE",
            "STATEMENT",
            "",
            "feed_refuse_truncate",
        ),
    ] {
        // Writing into a String cannot fail.
        let _ = write!(
            sql,
            "DROP TRIGGER IF EXISTS capture_{name}_{suffix} ON {name};\n\
             CREATE TRIGGER capture_{name}_{suffix} {event} ON {name}\n    \
                 FOR EACH {each}{when} EXECUTE FUNCTION {function}();\n"
        );
    }
    sql
}

/// The query that gives each pending row of `table` once: its key as `feed_pending` has it, then its
/// columns now, all NULL when it is gone. `with_leftovers`: also what earlier transactions left.
///
/// PostgreSQL deletes the notes in the same statement, so that exactly what was read is gone; on
/// SQLite, where nobody else writes meanwhile, [`CLEAR`] follows.
pub(super) fn pending_rows(table: &Table, dialect: Dialect, with_leftovers: bool) -> String {
    let keys = (1..=table.key_len)
        .map(|number| format!("p.k{number}"))
        .collect::<Vec<_>>()
        .join(", ");
    let columns = table
        .columns
        .iter()
        .map(|column| format!("t.{}", column.name))
        .collect::<Vec<_>>()
        .join(", ");
    let on = key(table)
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let note = from_note(column.kind, dialect, &format!("p.k{}", index + 1));
            format!("t.{} = {note}", column.name)
        })
        .collect::<Vec<_>>()
        .join(" AND ");
    let name = table.name;
    let id = table.id;
    match dialect {
        Dialect::Sqlite => format!(
            "SELECT {keys}, {columns}
             FROM (SELECT DISTINCT k1, k2, k3 FROM feed_pending WHERE tbl = {id}) AS p
             LEFT JOIN {name} AS t ON {on}"
        ),
        Dialect::Postgres => {
            let own = if with_leftovers { "" } else { OWN };
            format!(
                "WITH gone AS (DELETE FROM feed_pending WHERE tbl = {id}{own} RETURNING k1, k2, k3),
                 p AS (SELECT DISTINCT k1, k2, k3 FROM gone)
                 SELECT {keys}, {columns} FROM p LEFT JOIN {name} AS t ON {on}"
            )
        }
    }
}

/// Only notes of this very transaction.
const OWN: &str = " AND xmin = pg_current_xact_id_if_assigned()::xid";

/// Forgets all notes.
pub(super) const CLEAR: &str = "DELETE FROM feed_pending";

/// How many distinct rows are noted per table, and whether other transactions left some of them.
pub(super) const fn pending_counts(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "SELECT tbl, count(*), 0
             FROM (SELECT DISTINCT tbl, k1, k2, k3 FROM feed_pending) AS p
             GROUP BY tbl ORDER BY tbl"
        }
        Dialect::Postgres => {
            "SELECT tbl, count(*), bool_or(left_over)
             FROM (SELECT tbl, k1, k2, k3, bool_or(
                       xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid) AS left_over
                   FROM feed_pending GROUP BY tbl, k1, k2, k3) AS p
             GROUP BY tbl ORDER BY tbl"
        }
    }
}

/// The first current rows of a table, in the order of its key.
pub(super) fn first_rows(table: &Table, page: usize) -> String {
    page_of_rows(table, "", page)
}

/// The rows after the one with the key `?1, ?2, …`.
pub(super) fn next_rows(table: &Table, page: usize) -> String {
    let places: Vec<_> = (1..=table.key_len).map(|n| format!("?{n}")).collect();
    let after = format!(" WHERE ({}) > ({})", names(key(table)), places.join(", "));
    page_of_rows(table, &after, page)
}

fn page_of_rows(table: &Table, after: &str, page: usize) -> String {
    format!(
        "SELECT {} FROM {}{after} ORDER BY {} LIMIT {page}",
        names(table.columns),
        table.name,
        names(key(table)),
    )
}

fn names(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    names.join(", ")
}

fn key(table: &Table) -> &'static [Column] {
    table.columns.get(..table.key_len).unwrap_or_default()
}

fn pending_columns(table: &Table) -> String {
    let mut columns = "tbl".to_owned();
    for number in 1..=table.key_len {
        let _ = write!(columns, ", k{number}");
    }
    columns
}

fn pending_values(table: &Table, dialect: Dialect, row: &str) -> String {
    let mut values = table.id.to_string();
    for column in key(table) {
        let value = format!("{row}.{}", column.name);
        let _ = write!(values, ", {}", to_note(column.kind, dialect, &value));
    }
    values
}

/// A key column as bytes, the same on both engines.
fn to_note(kind: Kind, dialect: Dialect, value: &str) -> String {
    match (kind, dialect) {
        (Kind::Id, Dialect::Sqlite) => value.to_owned(),
        (Kind::Id, Dialect::Postgres) => format!("uuid_send({value})"),
        (Kind::Text, Dialect::Sqlite) => format!("CAST({value} AS BLOB)"),
        (Kind::Text, Dialect::Postgres) => format!("convert_to({value}, 'UTF8')"),
        (Kind::Int | Kind::Time, _) => unsupported_key(),
    }
}

/// The inverse of [`to_note`].
fn from_note(kind: Kind, dialect: Dialect, note: &str) -> String {
    match (kind, dialect) {
        (Kind::Id, Dialect::Sqlite) => note.to_owned(),
        (Kind::Id, Dialect::Postgres) => format!("encode({note}, 'hex')::uuid"),
        (Kind::Text, Dialect::Sqlite) => format!("CAST({note} AS TEXT)"),
        (Kind::Text, Dialect::Postgres) => format!("convert_from({note}, 'UTF8')"),
        (Kind::Int | Kind::Time, _) => unsupported_key(),
    }
}

#[expect(
    clippy::unreachable,
    reason = "a test holds that keys of replicated tables are ids and texts"
)]
fn unsupported_key() -> ! {
    unreachable!("keys of replicated tables are ids and texts")
}

fn differences(columns: &[Column], operator: &str, between: &str) -> String {
    columns
        .iter()
        .map(|Column { name, .. }| format!("OLD.{name} {operator} NEW.{name}"))
        .collect::<Vec<_>>()
        .join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate::migrations;
    use crate::store::replicated::REPLICATED;

    #[test]
    fn keys_of_replicated_tables_are_ids_and_texts_of_at_most_three_columns() {
        for table in REPLICATED {
            assert!((1..=3).contains(&table.key_len), "{}", table.name);
            for column in key(table) {
                assert!(
                    matches!(column.kind, Kind::Id | Kind::Text),
                    "{}",
                    table.name
                );
            }
        }
    }

    #[test]
    fn the_newest_triggers_of_each_table_are_what_the_replicated_tables_ask_for() {
        for (dialect, directory) in [(Dialect::Sqlite, "sqlite"), (Dialect::Postgres, "postgres")] {
            for table in REPLICATED {
                let wanted = triggers(table, dialect);
                let makes = format!("CREATE TRIGGER capture_{}_", table.name);
                let newest = migrations(dialect)
                    .iter()
                    .rfind(|migration| migration.sql.contains(&makes));
                assert!(
                    newest.is_some_and(|migration| migration.sql.contains(&wanted)),
                    "{directory}: `{}` is new or changed: add to the end of the next migration, \
                     before a release of the newest\n\n{wanted}",
                    table.name
                );
            }
        }
    }
}
