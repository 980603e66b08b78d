//! What the suite works with: a store on either engine, a way around it, and a few rows.

use std::path::PathBuf;

use doorward::domain::{Chain, OrganizationId, PermissionId, Revision, RoleId, Timestamp, UserId};
use doorward::protocol::feed::{Frame, Op, SealedFrame};
use doorward::runtime::{ManualClock, SeededEntropy};
use doorward::store::{Store, StoreConfig, StoreError, StoreLimits, Tx, Val, Written, feed};

use crate::support;

/// Instantiates behaviours, functions over a [`Bench`], as tests of each engine.
macro_rules! on_both_engines {
    ($($name:ident,)*) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(&$crate::store::bench::Bench::sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $name() {
                if let Some(bench) = $crate::store::bench::Bench::postgres() {
                    super::$name(&bench);
                }
            })*
        }
    };
}
pub(super) use on_both_engines;

pub const NOW: Timestamp = Timestamp::from_unix_micros(1_795_000_000_000_000);

pub struct Bench {
    pub config: StoreConfig,
    pub store: Store,
    pub directory: Option<tempfile::TempDir>,
}

pub fn open(config: &StoreConfig, limits: StoreLimits) -> Result<Store, StoreError> {
    Store::open_with(
        config,
        limits,
        &ManualClock::at(NOW),
        &SeededEntropy::new(1),
    )
}

impl Bench {
    pub fn sqlite() -> Self {
        Self::sqlite_with(StoreLimits::default())
    }

    pub fn postgres() -> Option<Self> {
        Self::postgres_with(StoreLimits::default())
    }

    pub fn sqlite_with(limits: StoreLimits) -> Self {
        let directory = support::directory();
        let config = StoreConfig::Sqlite {
            path: directory.path().join("doorward.db"),
        };
        Self {
            store: open(&config, limits).unwrap(),
            config,
            directory: Some(directory),
        }
    }

    pub fn postgres_with(limits: StoreLimits) -> Option<Self> {
        let config = support::postgres::database()?;
        Some(Self {
            store: open(&config, limits).unwrap(),
            config,
            directory: None,
        })
    }

    pub fn path(&self) -> PathBuf {
        match &self.config {
            StoreConfig::Sqlite { path } => path.clone(),
            StoreConfig::Postgres { .. } => panic!("not a file"),
        }
    }

    /// What an operator does in a shell, past the store.
    pub fn manual(&self, sql: &str) -> Result<(), String> {
        match &self.config {
            StoreConfig::Sqlite { path } => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection
                    .pragma_update(None, "foreign_keys", true)
                    .unwrap();
                connection
                    .execute_batch(sql)
                    .map_err(|error| error.to_string())
            }
            StoreConfig::Postgres { url, .. } => {
                postgres::Client::connect(url.expose(), postgres::NoTls)
                    .unwrap()
                    .batch_execute(sql)
                    .map_err(|error| format!("{:?}", error.as_db_error()))
            }
        }
    }

    pub fn write<T>(
        &self,
        f: impl FnMut(&mut dyn Tx) -> Result<T, StoreError>,
    ) -> Result<Written<T>, StoreError> {
        self.store.write_blocking(f)
    }

    /// A write that must succeed.
    pub fn put<T>(&self, f: impl FnMut(&mut dyn Tx) -> Result<T, StoreError>) -> Written<T> {
        self.write(f).unwrap()
    }

    pub fn rows(&self, sql: &str, params: &[Val]) -> Vec<Vec<Val>> {
        self.store
            .read_blocking(|tx| tx.rows(sql, params))
            .unwrap()
            .into_iter()
            .map(doorward::store::Row::into_columns)
            .collect()
    }

    pub fn count(&self, table: &str) -> i64 {
        match &self.rows(&format!("SELECT count(*) FROM {table}"), &[])[0][0] {
            Val::Int(count) => *count,
            other => panic!("{other:?}"),
        }
    }

    pub fn head(&self) -> feed::FeedHead {
        self.store.read_blocking(feed::head).unwrap()
    }

    pub fn frames(&self) -> Vec<SealedFrame> {
        self.store
            .read_blocking(|tx| feed::frames_after(tx, Revision::ZERO, usize::MAX, usize::MAX))
            .unwrap()
    }

    /// The ops of the newest frame.
    pub fn last_ops(&self) -> Vec<Op> {
        Frame::decode(&self.frames().last().unwrap().payload)
            .unwrap()
            .ops
    }

    /// Every revision from 1 to the head is there once, and the chain runs through them to it.
    pub fn verify_history(&self) {
        let mut chain = Chain::ZERO;
        let mut revision = Revision::ZERO;
        for frame in self.frames() {
            revision = revision.next();
            assert_eq!(frame.revision, revision);
            chain = chain.extend(revision, &frame.payload);
            assert_eq!(frame.chain, chain);
        }
        let head = self.head().position;
        assert_eq!((head.revision, head.chain), (revision, chain));
        assert_eq!(self.count("feed_pending"), 0);
    }
}

pub fn add_organization(tx: &mut dyn Tx, id: u128, slug: &str) -> Result<u64, StoreError> {
    tx.exec(
        "INSERT INTO organizations (id, name, slug, created_at, updated_at)
         VALUES (?1, ?2, ?2, ?3, ?3)",
        &[
            OrganizationId::from_u128(id).into(),
            slug.into(),
            NOW.into(),
        ],
    )
}

pub fn add_user(tx: &mut dyn Tx, id: u128) -> Result<u64, StoreError> {
    tx.exec(
        "INSERT INTO users (id, email, display_name, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?4)",
        &[
            UserId::from_u128(id).into(),
            format!("user-{id}@example.com").into(),
            "A user".into(),
            NOW.into(),
        ],
    )
}

pub fn add_role(tx: &mut dyn Tx, id: u128, name: &str) -> Result<u64, StoreError> {
    tx.exec(
        "INSERT INTO roles (id, service, name, created_at, updated_at)
         VALUES (?1, 'billing', ?2, ?3, ?3)",
        &[RoleId::from_u128(id).into(), name.into(), NOW.into()],
    )
}

pub fn add_permission(tx: &mut dyn Tx, id: u128, action: &str) -> Result<u64, StoreError> {
    tx.exec(
        "INSERT INTO permissions (id, service, resource, action)
         VALUES (?1, 'billing', 'invoice', ?2)",
        &[PermissionId::from_u128(id).into(), action.into()],
    )
}

pub fn add_member(
    tx: &mut dyn Tx,
    organization: u128,
    user: u128,
    role: u128,
) -> Result<u64, StoreError> {
    tx.exec(
        "INSERT INTO organization_members
             (id, organization_id, user_id, role_id, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        &[
            UserId::from_u128(organization << 64 | user).into(),
            OrganizationId::from_u128(organization).into(),
            UserId::from_u128(user).into(),
            RoleId::from_u128(role).into(),
            NOW.into(),
        ],
    )
}
