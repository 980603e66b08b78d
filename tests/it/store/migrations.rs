//! What migrations make of rows that were there before them.

use doorward::domain::{GrantId, TokenDigest, UserId};
use doorward::store::driver::Dialect;
use doorward::store::migrate::migrations;
use doorward::store::{StoreConfig, StoreLimits, Val, audit_chain, refresh_tokens, users};
use uuid::Uuid;

use super::bench::{Bench, open};
use crate::support;

/// A database as a program that knew the migrations below `version` left it, with these rows added
/// by `fill`, brought up to date.
fn upgraded(config: StoreConfig, version: i64, fill: impl Fn(&Old)) -> Bench {
    let old = Old {
        dialect: match &config {
            StoreConfig::Sqlite { .. } => Dialect::Sqlite,
            StoreConfig::Postgres { .. } => Dialect::Postgres,
        },
        config: config.clone(),
    };
    let (number, text, time) = match old.dialect {
        Dialect::Sqlite => ("INTEGER", "TEXT", "INTEGER"),
        Dialect::Postgres => ("bigint", "text", "timestamptz"),
    };
    if old.dialect == Dialect::Sqlite {
        // What marks a file as the store's.
        old.run("PRAGMA application_id = 0x446F6F72");
    }
    old.run(&format!(
        "CREATE TABLE schema_migrations (version {number} NOT NULL PRIMARY KEY,
         name {text} NOT NULL, checksum {text} NOT NULL, applied_at {time} NOT NULL)"
    ));
    for migration in migrations(old.dialect) {
        if migration.version < version {
            old.run(migration.sql);
            let (number, name, sum) = (migration.version, migration.name, migration.checksum());
            let now = old.time(0);
            old.run(&format!(
                "INSERT INTO schema_migrations VALUES ({number}, '{name}', '{sum}', {now})"
            ));
        }
    }
    fill(&old);
    Bench {
        store: open(&config, StoreLimits::default()).unwrap(),
        config,
        directory: None,
    }
}

/// A database that no program of now has opened.
struct Old {
    config: StoreConfig,
    dialect: Dialect,
}

impl Old {
    fn run(&self, sql: &str) {
        match &self.config {
            StoreConfig::Sqlite { path } => rusqlite::Connection::open(path)
                .unwrap()
                .execute_batch(sql)
                .unwrap(),
            StoreConfig::Postgres { url, .. } => {
                postgres::Client::connect(url.expose(), postgres::NoTls)
                    .unwrap()
                    .batch_execute(sql)
                    .unwrap();
            }
        }
    }

    fn id(&self, id: u128) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("x'{id:032x}'"),
            Dialect::Postgres => format!("'{}'", Uuid::from_u128(id)),
        }
    }

    /// So many seconds after 2026 began.
    fn time(&self, seconds: i64) -> String {
        let seconds = 1_767_225_600 + seconds;
        match self.dialect {
            Dialect::Sqlite => format!("{seconds}000000"),
            Dialect::Postgres => format!("to_timestamp({seconds})"),
        }
    }

    fn user(&self, id: u128, email: &str, made: i64) {
        let (id, at) = (self.id(id), self.time(made));
        self.run(&format!(
            "INSERT INTO users (id, email, display_name, created_at, updated_at) \
             VALUES ({id}, '{email}', 'Somebody', {at}, {at})"
        ));
    }

    /// An account at a provider, which says that the address is the user's.
    fn account(&self, user: u128, email: &str, verified: bool) {
        let (id, owner, at) = (self.id(user << 64), self.id(user), self.time(0));
        let verified = match self.dialect {
            Dialect::Sqlite => i32::from(verified).to_string(),
            Dialect::Postgres => verified.to_string(),
        };
        self.run(&format!(
            "INSERT INTO oauth_accounts (id, user_id, provider, provider_account_id, created_at, \
             updated_at) VALUES ({id}, {owner}, 'corp', '{user}', {at}, {at}); \
             INSERT INTO account_details (account_id, email, email_verified, last_login_at) \
             VALUES ({id}, '{email}', {verified}, {at})"
        ));
    }
}

fn text(value: &Val) -> &str {
    match value {
        Val::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

fn addresses_become_lower_case_and_nobody_is_lost(config: StoreConfig) {
    let bench = upgraded(config, 6, |old| {
        old.user(1, "Ada@Example.com", 0);
        old.user(2, "bob@example.com", 0);
        // The oldest keeps it, where no provider or every one verified it.
        old.user(3, "EVE@example.com", 20);
        old.user(4, "eve@example.com", 30);
        old.user(5, "Eve@Example.com", 10);
        // A verified address is kept before an older one.
        old.user(6, "finn@example.com", 0);
        old.user(7, "FINN@example.com", 50);
        old.account(6, "finn@example.com", false);
        old.account(7, "Finn@Example.com", true);
        // Letters beyond ASCII have no case here.
        old.user(8, "ÄNNE@example.com", 0);
        old.user(9, "änne@example.com", 0);
    });
    let set_aside = |id: u128| format!("{}@duplicate.invalid", UserId::from_u128(id));
    let expected = [
        (1, "ada@example.com".to_owned()),
        (2, "bob@example.com".to_owned()),
        (3, set_aside(3)),
        (4, set_aside(4)),
        (5, "eve@example.com".to_owned()),
        (6, set_aside(6)),
        (7, "finn@example.com".to_owned()),
        (8, "Änne@example.com".to_owned()),
        (9, "änne@example.com".to_owned()),
    ];
    for (id, email) in expected {
        let id = UserId::from_u128(id);
        let user = bench.store.read_blocking(|tx| users::find(tx, id));
        assert_eq!(user.unwrap().unwrap().email, email, "{id}");
    }
    let found = |email| {
        bench
            .store
            .read_blocking(|tx| users::find_by_email(tx, email))
    };
    let finn = found("finn@example.com").unwrap().unwrap();
    assert_eq!(finn.id, UserId::from_u128(7));

    let told = bench.rows(
        "SELECT target, details, actor FROM audit_log WHERE event = 'user.email_collision' \
         ORDER BY target",
        &[],
    );
    let told: Vec<_> = told
        .iter()
        .map(|row| (text(&row[0]), text(&row[1]), text(&row[2])))
        .collect();
    let target = |id| format!("user:{}", UserId::from_u128(id));
    let kept_by = |id| format!("{{\"kept_by\":\"{}\"}}", target(id));
    let (eve, finn) = (kept_by(5), kept_by(7));
    assert_eq!(
        told,
        [
            (target(3).as_str(), eve.as_str(), "system"),
            (&target(4), &eve, "system"),
            (&target(6), &finn, "system"),
        ]
    );
    // The audit log's chain is in order of ids that begin with their time.
    let rows = bench
        .store
        .read_blocking(|tx| audit_chain::unchained(tx, Uuid::nil(), 10))
        .unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!(row.id.get_version_num(), 7, "{}", row.id);
        let (seconds, nanos) = row.id.get_timestamp().unwrap().to_unix();
        let micros = i64::try_from(seconds).unwrap() * 1_000_000 + i64::from(nanos / 1_000);
        assert_eq!(micros, row.at);
        assert!(row.at > 1_767_225_600_000_000);
    }
}

impl Old {
    fn app(&self, id: u128) {
        let (id, at) = (self.id(id), self.time(0));
        self.run(&format!(
            "INSERT INTO oauth_clients (id, client_id, name, redirect_uris, created_at, \
             updated_at) VALUES ({id}, 'board', 'Board', {}, {at}, {at})",
            match self.dialect {
                Dialect::Sqlite => "'[]'",
                Dialect::Postgres => "'{}'",
            }
        ));
    }

    /// A grant of user 1 to app 2.
    fn grant(&self, id: u128) {
        let (id, user, app) = (self.id(id), self.id(1), self.id(2));
        let (at, end) = (self.time(0), self.time(1_000_000_000));
        let none = match self.dialect {
            Dialect::Sqlite => "'[]'",
            Dialect::Postgres => "'{}'",
        };
        self.run(&format!(
            "INSERT INTO grants (id, client_id, user_id, binding, scope, resources, \
             authenticated_at, amr, created_at, last_used_at, expires_at) VALUES \
             ({id}, {app}, {user}, 'standalone', 'openid', {none}, {at}, '', {at}, {at}, {end})"
        ));
    }

    fn refresh_token(&self, id: u128, grant: u128, hash: TokenDigest, generation: i64) {
        let (id, grant, user, app) = (self.id(id), self.id(grant), self.id(1), self.id(2));
        let (at, end, hash) = (self.time(0), self.time(1_000_000_000), hash.to_hex());
        self.run(&format!(
            "INSERT INTO refresh_tokens (id, token_hash, client_id, user_id, expires_at, \
             created_at) VALUES ({id}, '{hash}', {app}, {user}, {end}, {at}); \
             INSERT INTO refresh_token_details (token_id, grant_id, generation, idle_expires_at) \
             VALUES ({id}, {grant}, {generation}, {end})"
        ));
    }
}

fn refresh_tokens_of_before_are_still_good(config: StoreConfig) {
    let hash = |byte| TokenDigest::from_bytes([byte; 32]);
    let bench = upgraded(config, 8, |old| {
        old.user(1, "ada@example.com", 0);
        old.app(2);
        for grant in 10..13 {
            old.grant(grant);
        }
        old.refresh_token(20, 10, hash(1), 0);
        old.refresh_token(21, 11, hash(2), 7);
    });
    for (byte, grant, generation) in [(1, 10, 0), (2, 11, 7)] {
        let found = bench
            .store
            .read_blocking(|tx| refresh_tokens::find(tx, hash(byte)))
            .unwrap()
            .unwrap();
        assert_eq!(found.grant_id, GrantId::from_u128(grant));
        assert_eq!(found.generation, generation);
    }
    let none = bench
        .store
        .read_blocking(|tx| refresh_tokens::of_grant(tx, GrantId::from_u128(12)));
    assert_eq!(none.unwrap(), None);
}

#[test]
fn refresh_tokens_of_before_are_still_good_on_sqlite() {
    let directory = support::directory();
    let path = directory.path().join("doorward.db");
    refresh_tokens_of_before_are_still_good(StoreConfig::Sqlite { path });
}

#[test]
fn refresh_tokens_of_before_are_still_good_on_postgresql() {
    if let Some(config) = support::postgres::database() {
        refresh_tokens_of_before_are_still_good(config);
    }
}

#[test]
fn addresses_become_lower_case_and_nobody_is_lost_on_sqlite() {
    let directory = support::directory();
    let path = directory.path().join("doorward.db");
    addresses_become_lower_case_and_nobody_is_lost(StoreConfig::Sqlite { path });
}

#[test]
fn addresses_become_lower_case_and_nobody_is_lost_on_postgresql() {
    if let Some(config) = support::postgres::database() {
        addresses_become_lower_case_and_nobody_is_lost(config);
    }
}
