//! Brings a database to the schema this program knows, or refuses it.
//!
//! Migrations are numbered files, the same number meaning the same change on both engines; each is
//! recorded with its checksum. Nothing is guessed: a database with a number we do not know, with
//! other contents under a number we know, or with tables and no record at all is left alone.

use sha2::{Digest, Sha256};

use crate::domain::Timestamp;

use super::driver::{Dialect, Session};
use super::{StoreError, Val};

/// One step of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its number: 1, 2, 3, …
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    /// What it runs.
    pub sql: &'static str,
}

impl Migration {
    /// SHA-256 of the text, in lower-case hex.
    pub fn checksum(&self) -> String {
        data_encoding::HEXLOWER.encode(&Sha256::digest(self.sql.as_bytes()))
    }
}

macro_rules! migrations {
    ($directory:literal: $($version:literal $name:literal $file:literal,)*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../migrations/", $directory, "/", $file)),
        },)*]
    };
}

const SQLITE: &[Migration] = migrations! { "sqlite":
    1 "seed" "0001_seed.sql",
    2 "doorward" "0002_doorward.sql",
    3 "capture" "0003_capture.sql",
    4 "login" "0004_login.sql",
    5 "registration" "0005_registration.sql",
    6 "addresses" "0006_addresses.sql",
    7 "indexes" "0007_indexes.sql",
    8 "grants" "0008_grants.sql",
    9 "instances" "0009_instances.sql",
};

const POSTGRES: &[Migration] = migrations! { "postgres":
    1 "seed" "0001_seed.sql",
    2 "doorward" "0002_doorward.sql",
    3 "capture" "0003_capture.sql",
    4 "login" "0004_login.sql",
    5 "registration" "0005_registration.sql",
    6 "addresses" "0006_addresses.sql",
    7 "indexes" "0007_indexes.sql",
    8 "grants" "0008_grants.sql",
    9 "instances" "0009_instances.sql",
};

/// The steps for an engine, in order.
pub const fn migrations(dialect: Dialect) -> &'static [Migration] {
    match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    }
}

/// Runs what is missing, inside one transaction that no other process runs at the same time.
pub(super) fn run(
    session: &mut dyn Session,
    dialect: Dialect,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = migrations(dialect);
    let applied = match record(session, dialect)? {
        Some(applied) => applied,
        None => start(session, dialect)?,
    };
    let missing = compare(known, &applied).map_err(StoreError::Schema)?;
    for migration in missing {
        session.batch(migration.sql)?;
        session.exec(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at)
             VALUES (?1, ?2, ?3, ?4)",
            &[
                migration.version.into(),
                migration.name.into(),
                migration.checksum().into(),
                now.into(),
            ],
        )?;
    }
    Ok(())
}

/// A row of `schema_migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    version: i64,
    checksum: String,
}

/// What was run before; `None` when the database keeps no record.
fn record(session: &mut dyn Session, dialect: Dialect) -> Result<Option<Vec<Applied>>, StoreError> {
    if !tables(session, dialect)?.contains(&"schema_migrations".to_owned()) {
        return Ok(None);
    }
    session
        .rows(
            "SELECT version, checksum FROM schema_migrations ORDER BY version",
            &[],
        )?
        .iter()
        .map(|row| {
            Ok(Applied {
                version: row.int(0)?,
                checksum: row.text(1)?.to_owned(),
            })
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Begins the record in an empty database.
fn start(session: &mut dyn Session, dialect: Dialect) -> Result<Vec<Applied>, StoreError> {
    let tables = tables(session, dialect)?;
    if let Some(table) = tables.first() {
        return Err(StoreError::Schema(format!(
            "this is not a Doorward database: it has a table `{table}` and no record of \
             migrations; give Doorward a database of its own"
        )));
    }
    session.batch(match dialect {
        Dialect::Sqlite => {
            "CREATE TABLE schema_migrations (
                version INTEGER NOT NULL PRIMARY KEY,
                name TEXT NOT NULL,
                checksum TEXT NOT NULL,
                applied_at INTEGER NOT NULL
            ) STRICT"
        }
        Dialect::Postgres => {
            "CREATE TABLE schema_migrations (
                version bigint NOT NULL PRIMARY KEY,
                name text NOT NULL,
                checksum text NOT NULL,
                applied_at timestamptz NOT NULL
            )"
        }
    })?;
    Ok(Vec::new())
}

fn tables(session: &mut dyn Session, dialect: Dialect) -> Result<Vec<String>, StoreError> {
    let sql = match dialect {
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             ORDER BY name"
        }
        Dialect::Postgres => {
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = current_schema() ORDER BY table_name"
        }
    };
    session
        .rows(sql, &[] as &[Val])?
        .iter()
        .map(|row| Ok(row.text(0)?.to_owned()))
        .collect()
}

/// Which of `known` are to be run, or why the database is refused.
fn compare<'k>(known: &'k [Migration], applied: &[Applied]) -> Result<&'k [Migration], String> {
    let newest = known.last().map_or(0, |migration| migration.version);
    if let Some(newer) = applied.iter().find(|applied| applied.version > newest) {
        return Err(format!(
            "the database has schema {}, this program knows schemas up to {newest}: it was \
             migrated by a newer Doorward; run that version or restore a backup",
            newer.version
        ));
    }
    for (migration, applied) in known.iter().zip(applied) {
        if migration.version != applied.version {
            return Err(format!(
                "the record of migrations is damaged: number {} is missing",
                migration.version
            ));
        }
        if migration.checksum() != applied.checksum {
            return Err(format!(
                "migration {} (`{}`) was run with other contents than this program has: the \
                 database comes from another build",
                migration.version, migration.name
            ));
        }
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[
        Migration {
            version: 1,
            name: "one",
            sql: "SELECT 1",
        },
        Migration {
            version: 2,
            name: "two",
            sql: "SELECT 2",
        },
    ];

    fn applied(version: i64, sql: &'static str) -> Applied {
        let migration = Migration {
            version,
            name: "",
            sql,
        };
        Applied {
            version,
            checksum: migration.checksum(),
        }
    }

    #[test]
    fn only_what_is_missing_is_run() {
        assert_eq!(compare(KNOWN, &[]), Ok(KNOWN));
        assert_eq!(compare(KNOWN, &[applied(1, "SELECT 1")]), Ok(&KNOWN[1..]));
        let all = [applied(1, "SELECT 1"), applied(2, "SELECT 2")];
        assert_eq!(compare(KNOWN, &all), Ok(&KNOWN[2..]));
    }

    #[test]
    fn a_newer_a_changed_and_a_gapped_schema_are_refused() {
        for (record, word) in [
            (
                vec![
                    applied(1, "SELECT 1"),
                    applied(2, "SELECT 2"),
                    applied(3, "SELECT 3"),
                ],
                "newer",
            ),
            (vec![applied(1, "SELECT one")], "other contents"),
            (vec![applied(2, "SELECT 2")], "number 1 is missing"),
        ] {
            let refusal = compare(KNOWN, &record).unwrap_err();
            assert!(refusal.contains(word), "{refusal}");
        }
    }

    #[test]
    fn numbers_begin_at_one_and_have_no_gap() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for (index, migration) in migrations(dialect).iter().enumerate() {
                assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
            }
        }
    }
}
