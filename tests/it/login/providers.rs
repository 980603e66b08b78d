//! Providers that come and go while people log in through them.

use std::time::Duration;

use doorward::authority::login::LoginRequest;
use doorward::store::{StoreError, providers};
use serde_json::{Value, json};

use super::browser::Browser;
use super::upstream::{CLIENT_ID, CLIENT_SECRET, Upstream};
use super::world::{HOME, NOW, World};
use crate::support::app::TestApp;

on_both_engines! {
    a_provider_of_the_configuration_is_changed_there_and_shows_its_drift,
}

async fn a_provider_of_the_configuration_is_changed_there_and_shows_its_drift(world: World) {
    let app = &world.app;
    let shown = async || {
        app.get("/v1/providers/corp")
            .by(app.operator())
            .send()
            .await
            .expect(200)
            .body
    };
    let before = shown().await;
    assert_eq!(before["source"], "config");
    assert_eq!(before["drift"], Value::Null);
    let same = app
        .put("/v1/providers/corp")
        .by(app.operator())
        .json(&before["declaration"])
        .await;
    assert_eq!(same.expect(200).body["action"], "none");

    let mut other = before["declaration"].clone();
    other["name"] = json!("Corporation");
    let planned = app
        .put("/v1/providers/corp?dry_run=true")
        .by(app.operator())
        .json(&other)
        .await
        .expect(200)
        .body;
    assert_eq!(planned["owner"], "config");
    assert_eq!(planned["changes"][0]["field"], "name");
    let refused = app
        .put("/v1/providers/corp")
        .by(app.operator())
        .json(&other)
        .await;
    assert_eq!(
        refused.expect(409).body["code"],
        "provider-of-configuration"
    );
    let refused = app
        .delete("/v1/providers/corp")
        .by(app.operator())
        .send()
        .await;
    assert_eq!(
        refused.expect(409).body["code"],
        "provider-of-configuration"
    );

    // Another authority on the same database has another file.
    app.authority
        .store
        .write::<_, StoreError>(|tx| {
            let mut row = providers::find(tx, "corp")?.unwrap();
            "Elsewhere".clone_into(&mut row.name);
            row.sealed_secret = None;
            providers::update(tx, &row)
        })
        .await
        .unwrap();
    assert_eq!(
        shown().await["drift"],
        "the configuration says otherwise: name, client_secret"
    );
}

/// An authority that may ask `upstream`, which nobody declared.
async fn apart_from(upstream: &Upstream) -> TestApp {
    let host = upstream.address.to_string().parse().unwrap();
    TestApp::start_with(None, move |config, _| {
        config.outbound.allow_hosts = vec![host];
        config.outbound.timeout = Duration::from_secs(2);
    })
    .await
}

async fn log_in(app: &TestApp, upstream: &Upstream, browser: &mut Browser<'_>) {
    let path = doorward::authority::login::begin(&app.authority, &LoginRequest::to(HOME)).unwrap();
    let url = browser.press_through(&path, "late").await;
    let back = upstream.agree(&url);
    let reply = browser.get(&back).await.expect(303);
    assert_eq!(reply.header("location"), HOME);
}

async fn is_offered(app: &TestApp) -> bool {
    let path = doorward::authority::login::begin(&app.authority, &LoginRequest::to(HOME)).unwrap();
    let page = Browser::new(app).get(&path).await;
    page.body
        .as_str()
        .unwrap()
        .contains("action=\"/login/late\"")
}

async fn users(app: &TestApp) -> usize {
    app.audited("user.created").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_declared_while_running_lets_people_in_until_it_is_retired() {
    let upstream = Upstream::start(NOW).await;
    let app = apart_from(&upstream).await;
    let document = json!({
        "kind": "oidc", "issuer": upstream.issuer, "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    });
    let declare = || {
        app.put("/v1/providers/late")
            .by(app.operator())
            .json(&document)
    };
    declare().await.expect(200);
    let mut alice = Browser::new(&app);
    log_in(&app, &upstream, &mut alice).await;
    alice.get("/account").await.expect(200);
    assert!(is_offered(&app).await);
    let shown = app
        .get("/v1/providers/late")
        .by(app.operator())
        .send()
        .await;
    assert_eq!(shown.expect(200).body["accounts"], 1);

    app.delete("/v1/providers/late")
        .by(app.operator())
        .send()
        .await
        .expect(200);
    // The session goes on; nobody gets another one.
    alice.get("/account").await.expect(200);
    assert!(!is_offered(&app).await);
    // The provider may still say that the session is over.
    let token = upstream.logout_token(&json!({"sub": "u1"}));
    app.post("/login/backchannel/late")
        .bytes(
            "application/x-www-form-urlencoded",
            format!("logout_token={token}"),
        )
        .await
        .expect(200);
    alice.get("/account").await.expect(303);

    declare().await.expect(200);
    log_in(&app, &upstream, &mut alice).await;
    assert_eq!(users(&app).await, 1, "the account was still there");
}
