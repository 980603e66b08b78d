//! Failed attempts, counted in the database, and leases.

use std::time::Duration;

use doorward::authority::attempts::{self, JOIN_TOKEN, USER_CODE};
use doorward::authority::proxies::Proxies;
use doorward::runtime::Clock;
use doorward::store::{StoreConfig, StoreError, leases};
use serde_json::json;

use crate::support::app::{Reply, TestApp};
use crate::support::postgres;

/// Behind a proxy on this machine, which says where requests come from.
async fn start(store: Option<StoreConfig>) -> TestApp {
    let proxies = Proxies::new(&["127.0.0.1"], "x-forwarded-for").unwrap();
    TestApp::start_with(store, |config, _| config.proxies = proxies).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_failures_are_counted_by_where_they_came_from() {
    the_next_process_knows_of_wrong_secrets_and_of_whom_they_came_from(start(None).await).await;
    invitations_that_are_guessed_are_slowed_and_the_right_one_is_not(start(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_failures_are_counted_by_where_they_came_from() {
    let databases = (postgres::database(), postgres::database());
    if let (Some(one), Some(other)) = databases {
        let app = start(Some(one)).await;
        the_next_process_knows_of_wrong_secrets_and_of_whom_they_came_from(app).await;
        let app = start(Some(other)).await;
        invitations_that_are_guessed_are_slowed_and_the_right_one_is_not(app).await;
    }
}

on_both_engines! {
    failures_lock_for_longer_each_time_and_are_forgotten,
    rows_of_failures_are_bounded_and_name_nobody,
    a_lease_is_one_holders_until_it_ends,
}

async fn failures_lock_for_longer_each_time_and_are_forgotten(app: TestApp) {
    let authority = &app.authority;
    let locked = async |who| attempts::locked(authority, &[(USER_CODE, who)]).await;
    for _ in 0..5 {
        let wait = attempts::failed(authority, &[(USER_CODE, "ada")]).await;
        assert_eq!(wait, Ok(None));
    }
    assert_eq!(locked("ada").await, Ok(None));
    let minute = Duration::from_mins(1);
    let wait = attempts::failed(authority, &[(USER_CODE, "ada")]).await;
    assert_eq!(wait, Ok(Some(minute)));
    assert_eq!(locked("ada").await, Ok(Some(minute)));
    assert_eq!(locked("bob").await, Ok(None));
    app.clock.advance(Duration::from_secs(59));
    assert_eq!(locked("ada").await, Ok(Some(Duration::from_secs(1))));
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(locked("ada").await, Ok(None));
    let wait = attempts::failed(authority, &[(USER_CODE, "ada")]).await;
    assert_eq!(wait, Ok(Some(2 * minute)));
    // Forgotten after the window, and counted from one again.
    app.clock.advance(Duration::from_mins(30));
    let wait = attempts::failed(authority, &[(USER_CODE, "ada")]).await;
    assert_eq!(wait, Ok(None));
}

/// A request of a client's token, from an address.
async fn token(app: &TestApp, secret: &str, address: &str) -> Reply {
    let form = format!("grant_type=client_credentials&client_id=operator&client_secret={secret}");
    app.post("/oauth2/token")
        .header("x-forwarded-for", address)
        .bytes("application/x-www-form-urlencoded", form)
        .await
}

async fn the_next_process_knows_of_wrong_secrets_and_of_whom_they_came_from(app: TestApp) {
    let (eve, ada) = ("198.51.100.6", "203.0.113.1");
    for _ in 0..10 {
        token(&app, "dwc_x", eve).await.expect(401);
    }
    // Another process: what it counts itself begins anew, the database does not.
    let app = app.restarted();
    let slowed = token(&app, "dwc_x", eve).await.expect(429);
    assert_eq!(slowed.body["error"], "slow_down");
    let wait: u64 = slowed.header("retry-after").parse().unwrap();
    assert_eq!(wait, 6, "five seconds and the rest of one");
    // A mistake from elsewhere is told as one, and the right secret is right from anywhere.
    token(&app, "dwc_x", ada).await.expect(401);
    let secret = app.operator_secret.clone();
    token(&app, &secret, ada).await.expect(200);
    token(&app, &secret, eve).await.expect(200);
    let rows = app
        .authority
        .store
        .read::<_, StoreError>(|tx| {
            tx.rows(
                "SELECT bucket, failures FROM failed_attempts ORDER BY failures",
                &[],
            )
        })
        .await
        .unwrap();
    let counts: Vec<_> = rows.iter().map(|row| row.int(1).unwrap()).collect();
    assert_eq!(counts, [1, 11, 12], "an address, another, both");
    assert!(
        rows.iter()
            .all(|row| !row.text(0).unwrap().contains("operator"))
    );
}

async fn invitations_that_are_guessed_are_slowed_and_the_right_one_is_not(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let made = app
        .post("/v1/organizations/acme/invitations")
        .by(&owner.token)
        .json(&json!({ "role": "billing/viewer" }))
        .await
        .expect(201);
    let link = made.body["link"].as_str().unwrap();
    let right = link.split_once("token=").unwrap().1.to_owned();
    let present = async |token: &str, address: &str| {
        let kept = app.get(format!("/invitation?token={token}"));
        let kept = kept
            .header("x-forwarded-for", address)
            .send()
            .await
            .expect(303);
        let cookie = kept
            .header("set-cookie")
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let shown = app.get("/invitation").header("cookie", &cookie);
        shown.header("x-forwarded-for", address).send().await
    };
    let (eve, ada) = ("198.51.100.6", "203.0.113.1");
    let mut told = 0;
    let slowed = loop {
        let reply = present("dwi_wrong", eve).await;
        if reply.status == 429 {
            break reply;
        }
        told += 1;
        assert!(told < 50, "{reply:#?}");
        assert_ne!(reply.status, 200);
    };
    assert!(slowed.headers.contains_key("retry-after"), "{slowed:#?}");
    assert_ne!(present("dwi_wrong", ada).await.status, 429);
    present(&right, eve).await.expect(200);
}

async fn rows_of_failures_are_bounded_and_name_nobody(app: TestApp) {
    // A flood of wrong tokens is answered by the process: the database hears of ten.
    for _ in 0..100 {
        attempts::slowed(&app.authority, &[(JOIN_TOKEN, "billing")])
            .await
            .unwrap();
    }
    let rows = app
        .authority
        .store
        .read::<_, StoreError>(|tx| tx.rows("SELECT bucket, failures FROM failed_attempts", &[]))
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let bucket = rows[0].text(0).unwrap();
    assert!(!bucket.contains("billing"), "{bucket}");
    assert_eq!(bucket.len(), "join_token:".len() + 4);
    assert_eq!(rows[0].int(1), Ok(10));
}

async fn a_lease_is_one_holders_until_it_ends(app: TestApp) {
    let store = app.authority.store.clone();
    let (start, end) = (
        app.clock.now(),
        app.clock.now().plus(Duration::from_secs(30)),
    );
    let take = |holder: &'static str, now| {
        let until = end.plus(Duration::from_secs(30));
        let until = if now == start { end } else { until };
        let store = store.clone();
        async move {
            store
                .write::<_, StoreError>(move |tx| leases::take(tx, "keys", holder, (now, until)))
                .await
                .unwrap()
                .value
        }
    };
    assert!(take("a", start).await);
    assert!(!take("b", start).await);
    assert!(take("a", start).await);
    assert!(take("b", end).await);
    assert!(!take("a", end).await);
    store
        .write::<_, StoreError>(|tx| leases::release(tx, "keys", "a"))
        .await
        .unwrap();
    assert!(!take("a", end).await);
    store
        .write::<_, StoreError>(|tx| leases::release(tx, "keys", "b"))
        .await
        .unwrap();
    assert!(take("a", end).await);
}
