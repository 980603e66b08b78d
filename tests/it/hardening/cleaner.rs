//! Rows that end by time are deleted then, and no others.

use std::time::Duration;

use doorward::authority::jobs::{clean, retire_ended_clients};
use doorward::runtime::Clock;
use doorward::store::transient::{TRANSIENT, Transient};
use doorward::store::{StoreError, Val};
use serde_json::json;

use crate::support::app::TestApp;

async fn rows(app: &TestApp) -> i64 {
    app.authority
        .store
        .read::<_, StoreError>(|tx| {
            // Clients come and go by a companion; those of an installation stay.
            let ending = TRANSIENT.iter().filter(|what| what.table == what.watched);
            ending.into_iter().try_fold(0, |all, what| {
                let sql = format!("SELECT count(*) FROM {}", what.table);
                Ok(all + tx.rows(&sql, &[])?[0].int(0)?)
            })
        })
        .await
        .unwrap()
}

async fn clean_now(app: &TestApp) -> u64 {
    clean(&app.authority.store, &*app.clock).await.unwrap()
}

#[tokio::test]
async fn expired_rows_are_deleted_and_others_stay() {
    let app = TestApp::start().await;
    app.post("/v1/sidecars/join-tokens")
        .by(app.operator())
        .json(&json!({"name": "soon"}))
        .await
        .expect(201);
    app.post("/v1/clients/operator/secret")
        .by(app.operator())
        .json(&json!({"overlap_seconds": 7200}))
        .await;
    let now = Clock::now(&*app.clock);
    app.authority
        .store
        .write::<_, StoreError>(move |tx| {
            for (table, key, id) in [
                ("revoked_sessions", "session_id", 1_u128),
                ("revoked_grants", "grant_id", 2),
            ] {
                tx.exec(
                    &format!("INSERT INTO {table} ({key}, expires_at) VALUES (?1, ?2)"),
                    &[
                        uuid::Uuid::from_u128(id).into(),
                        now.plus(Duration::from_hours(3)).into(),
                    ],
                )?;
            }
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((rows(&app).await, clean_now(&app).await), (4, 0));

    // The join token lives an hour, the former secret two, the revocations three.
    for (hours, left) in [(1, 3), (1, 2), (1, 0)] {
        app.clock.advance(Duration::from_hours(hours));
        let before = rows(&app).await;
        assert_eq!(clean_now(&app).await, (before - left).unsigned_abs());
        assert_eq!(rows(&app).await, left);
    }
    let metrics = app.get("/metrics").send().await.expect(200);
    let text = metrics.body.as_str().unwrap();
    let counted = "doorward_cleaner_rows_total{table=\"join_tokens\"}";
    assert!(text.contains(counted), "{text}");
}

/// Columns of times that end no row: whose rows they are stays, or is deleted by somebody else.
const NO_END: &[(&str, &str)] = &[
    ("account_details", "token_expires_at"),
    // The rotation of keys deletes them, and tells it in the audit log.
    ("signing_keys", "purge_at"),
];

/// Rows that end at `?1`, one of each table. Ids are `?2`, names `?3`; `?4` is a user, `?5` a
/// client, `?6` a grant, `?7` an organization, `?8` a role, `?9` an empty list.
const ROWS: &[(&str, &str)] = &[
    (
        "join_tokens",
        "(id, token_hash, name, created_by, created_at, expires_at) VALUES (?2, ?3, 'a', 'b', ?1, ?1)",
    ),
    (
        "client_secrets",
        "(id, client_id, secret_hash, created_at, expires_at) VALUES (?2, ?5, ?3, ?1, ?1)",
    ),
    (
        "revoked_sessions",
        "(session_id, expires_at) VALUES (?2, ?1)",
    ),
    ("revoked_grants", "(grant_id, expires_at) VALUES (?2, ?1)"),
    (
        "sessions",
        "(id, user_id, token_hash, expires_at, created_at) VALUES (?2, ?4, ?3, ?1, ?1)",
    ),
    (
        "authorization_codes",
        "(id, code_hash, client_id, user_id, redirect_uri, code_challenge, expires_at, created_at) VALUES (?2, ?3, ?5, ?4, 'x', 'y', ?1, ?1)",
    ),
    (
        "refresh_tokens",
        "(id, token_hash, client_id, user_id, expires_at, created_at) VALUES (?2, ?3, ?5, ?4, ?1, ?1)",
    ),
    (
        "refresh_token_tombstones",
        "(token_hash, grant_id, generation, rotated_at, purge_at) VALUES (?3, ?6, 0, ?1, ?1)",
    ),
    (
        "grants",
        "(id, client_id, user_id, binding, scope, resources, authenticated_at, amr, created_at, last_used_at, expires_at) VALUES (?2, ?5, ?4, 'session', 'a', ?9, ?1, '', ?1, ?1, ?1)",
    ),
    (
        "pushed_requests",
        "(uri_hash, client_id, parameters, created_at, expires_at) VALUES (?3, ?5, '{}', ?1, ?1)",
    ),
    (
        "device_codes",
        "(device_code_hash, user_code_hash, client_id, scope, resources, state, interval_seconds, created_at, expires_at) VALUES (?3, ?3, ?5, 'a', ?9, 'pending', 5, ?1, ?1)",
    ),
    (
        "logout_outbox",
        "(id, client_id, user_id, attempts, next_at, created_at, expires_at) VALUES (?2, ?5, ?4, 0, ?1, ?1, ?1)",
    ),
    (
        "failed_attempts",
        "(bucket, failures, expires_at) VALUES (?3, 1, ?1)",
    ),
    (
        "organization_invitations",
        "(id, organization_id, role_id, token_hash, invited_by, created_at, expires_at) VALUES (?2, ?7, ?8, ?3, 'a', ?1, ?1)",
    ),
    (
        "registration_tokens",
        "(id, token_hash, name, uses_left, created_by, created_at, expires_at) VALUES (?2, ?3, 'a', 1, 'b', ?1, ?1)",
    ),
    (
        "used_jtis",
        "(issuer, jti_hash, purge_at) VALUES ('a', ?3, ?1)",
    ),
    ("leases", "(name, holder, expires_at) VALUES (?3, 'a', ?1)"),
];

#[tokio::test]
async fn every_column_of_an_end_is_watched_by_the_cleaner() {
    let app = TestApp::start().await;
    let columns = app
        .authority
        .store
        .read::<_, StoreError>(|tx| {
            let sql = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                 WHERE m.type = 'table' \
                 AND (c.name LIKE '%expires_at' OR c.name LIKE '%purge_at')";
            tx.rows(sql, &[])?
                .iter()
                .map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())))
                .collect::<Result<Vec<_>, _>>()
        })
        .await
        .unwrap();
    assert!(columns.len() > TRANSIENT.len() / 2);
    for (table, column) in columns {
        let watched = |what: &Transient| what.watched == table && what.until == column;
        let known = NO_END.contains(&(table.as_str(), column.as_str()));
        assert!(known || TRANSIENT.iter().any(watched), "{table}.{column}");
    }
    for what in TRANSIENT.iter().filter(|what| what.table == what.watched) {
        assert!(
            ROWS.iter().any(|(table, _)| *table == what.table),
            "{what:?}"
        );
    }
}

async fn each_tables_ended_rows_are_deleted_and_others_stay(app: TestApp) {
    app.owner_of("acme").await;
    let (user, organization) = (app.user("ada").await, app.organization("acme").await);
    let now = Clock::now(&*app.clock);
    let later = now.plus(Duration::from_hours(1));
    let grant = uuid::Uuid::from_u128(1);
    let left = app
        .authority
        .store
        .write::<_, StoreError>(move |tx| {
            let client = tx.rows(
                "SELECT id FROM oauth_clients WHERE client_id = 'operator'",
                &[],
            )?;
            let role = tx.rows("SELECT id FROM roles WHERE name = 'viewer'", &[])?;
            let (client, role) = (client[0].uuid(0)?, role[0].uuid(0)?);
            let mut number = 1_u128;
            for until in [later, now] {
                // The grant that others hang on stays.
                for (table, rest) in ROWS.iter().rev() {
                    let id = if *table == "grants" && until == later {
                        grant
                    } else {
                        number += 1;
                        uuid::Uuid::from_u128(number)
                    };
                    if *table == "grants" {
                        insert(
                            tx,
                            table,
                            rest,
                            &[
                                until.into(),
                                id.into(),
                                Val::Null,
                                user.into(),
                                client.into(),
                                Val::Null,
                                Val::Null,
                                Val::Null,
                                Vec::<String>::new().into(),
                            ],
                        )?;
                    }
                }
                for (table, rest) in ROWS.iter().filter(|(table, _)| *table != "grants") {
                    number += 1;
                    let values = [
                        until.into(),
                        uuid::Uuid::from_u128(number).into(),
                        format!("name{number}").into(),
                        user.into(),
                        client.into(),
                        grant.into(),
                        organization.into(),
                        role.into(),
                        Vec::<String>::new().into(),
                    ];
                    insert(tx, table, rest, &values)?;
                }
            }
            Ok(())
        })
        .await;
    left.unwrap();
    let before = rows(&app).await;
    assert_eq!(before, 2 * i64::try_from(ROWS.len()).unwrap());
    assert_eq!(clean_now(&app).await, ROWS.len() as u64);
    assert_eq!(rows(&app).await, before / 2);
    app.clock.advance(Duration::from_hours(1));
    clean_now(&app).await;
    assert_eq!(rows(&app).await, 0);
}

/// Takes only those parameters that the statement has, numbered anew.
fn insert(
    tx: &mut dyn doorward::store::Tx,
    table: &str,
    rest: &str,
    values: &[Val],
) -> Result<(), StoreError> {
    let (mut sql, mut params) = (format!("INSERT INTO {table} {rest}"), Vec::new());
    for (index, value) in values.iter().enumerate() {
        let name = format!("?{}", index + 1);
        if sql.contains(&name) {
            params.push(value.clone());
            sql = sql.replace(&name, &format!("?#{}", params.len()));
        }
    }
    tx.exec(&sql.replace("?#", "?"), &params)?;
    Ok(())
}

#[tokio::test]
async fn each_tables_ended_rows_are_deleted_on_sqlite() {
    each_tables_ended_rows_are_deleted_and_others_stay(TestApp::start().await).await;
}

#[tokio::test]
async fn each_tables_ended_rows_are_deleted_on_postgres() {
    if let Some(store) = crate::support::postgres::database() {
        let app = TestApp::start_on(Some(store)).await;
        each_tables_ended_rows_are_deleted_and_others_stay(app).await;
    }
}

async fn idle_sessions_and_ended_clients_go(app: TestApp) {
    let user = app.user("ada").await;
    let now = Clock::now(&*app.clock);
    app.authority
        .store
        .write::<_, StoreError>(move |tx| {
            let (session, client) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
            let day = now.plus(Duration::from_hours(24));
            tx.exec(
                "INSERT INTO sessions (id, user_id, token_hash, expires_at, created_at) \
                 VALUES (?1, ?2, 'a', ?3, ?4)",
                &[session.into(), user.into(), day.into(), now.into()],
            )?;
            tx.exec(
                "INSERT INTO session_details (session_id, provider, upstream_subject, \
                 authenticated_at, amr, last_seen_at, idle_expires_at) \
                 VALUES (?1, 'google', 'a', ?2, '', ?2, ?2)",
                &[session.into(), now.into()],
            )?;
            tx.exec(
                "INSERT INTO oauth_clients (id, client_id, name, redirect_uris, created_at, \
                 updated_at) VALUES (?1, 'registered', 'Registered', ?2, ?3, ?3)",
                &[client.into(), Vec::<String>::new().into(), now.into()],
            )?;
            tx.exec(
                "INSERT INTO client_settings (client_id, kind, scopes) VALUES (?1, 'app', '')",
                &[client.into()],
            )?;
            tx.exec(
                "INSERT INTO client_details (client_id, application_type, auth_method, \
                 grant_types, resources, post_logout_redirect_uris, first_party, require_par, \
                 dpop_bound, refresh_binding, id_token_alg, source, expires_at) \
                 VALUES (?1, 'web', 'none', 'authorization_code', ?2, ?2, ?3, ?3, ?3, 'session', \
                 'RS256', 'registration', ?4)",
                &[
                    client.into(),
                    Vec::<String>::new().into(),
                    false.into(),
                    now.into(),
                ],
            )
        })
        .await
        .unwrap();
    assert_eq!(clean_now(&app).await, 1);
    // Retired at once, so that every copy refuses its tokens, and deleted when none can be left.
    assert_eq!(retire_ended_clients(&app.authority).await, Ok(1));
    assert_eq!(retire_ended_clients(&app.authority).await, Ok(0));
    assert_eq!(app.audited("client.ended").await, 1);
    app.clock.advance(Duration::from_hours(47));
    assert_eq!(clean_now(&app).await, 0);
    app.clock.advance(Duration::from_hours(1));
    assert_eq!(clean_now(&app).await, 1);
    let gone = app.get("/v1/clients/registered").by(app.operator()).send();
    assert_ne!(gone.await.status.as_u16(), 200);
}

#[tokio::test]
async fn idle_sessions_and_ended_clients_go_on_sqlite() {
    idle_sessions_and_ended_clients_go(TestApp::start().await).await;
}

#[tokio::test]
async fn idle_sessions_and_ended_clients_go_on_postgres() {
    if let Some(store) = crate::support::postgres::database() {
        idle_sessions_and_ended_clients_go(TestApp::start_on(Some(store)).await).await;
    }
}
