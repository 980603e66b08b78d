//! What one address may ask of the endpoints that anybody may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use doorward::authority::proxies::Proxies;
use serde_json::json;

use crate::support::app::{Call, Reply, TestApp};

const FORM: &str = "application/x-www-form-urlencoded";
const ADA: &str = "203.0.113.1";
const BOB: &str = "203.0.113.2";

/// Behind a proxy on this machine; an address may make three requests and then one a second.
async fn bounded() -> TestApp {
    TestApp::start_with(None, |config, _| {
        config.proxies = Proxies::new(&["127.0.0.1"], "x-forwarded-for").unwrap();
        config.limits.requests_per_second = NonZeroU32::new(1);
        config.limits.burst = NonZeroU32::new(3).unwrap();
        config.registration.dynamic = true;
    })
    .await
}

fn from<'a>(call: Call<'a>, address: &str) -> Call<'a> {
    call.header("x-forwarded-for", address)
}

async fn post(app: &TestApp, path: &str, address: &str) -> Reply {
    from(app.post(path), address)
        .bytes(FORM, "client_id=nobody&grant_type=client_credentials")
        .await
}

fn is_refusal(reply: &Reply) {
    assert_eq!(reply.status, 429, "{reply:#?}");
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_too_much_is_told_when_to_come_again_and_nobody_else_is() {
    for path in [
        "/oauth2/token",
        "/oauth2/par",
        "/oauth2/device_authorization",
        "/oauth2/register",
    ] {
        let app = bounded().await;
        while post(&app, path, ADA).await.status != 429 {}
        let refused = post(&app, path, ADA).await;
        is_refusal(&refused);
        assert_eq!(refused.body["error"], "slow_down", "{refused:#?}");
        if ["/oauth2/token", "/oauth2/par"].contains(&path) {
            assert_eq!(refused.header("access-control-allow-origin"), "*");
        }
        assert_ne!(post(&app, path, BOB).await.status, 429, "{path}");
        app.clock.advance(Duration::from_secs(10));
        assert_ne!(post(&app, path, ADA).await.status, 429, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_enrols_no_more_sidecars_than_it_may_ask() {
    let app = bounded().await;
    let enrol = async |address| {
        let body = json!({ "join_token": "dwj_wrong" });
        from(app.post("/v1/sidecars/enroll"), address)
            .json(&body)
            .await
    };
    for _ in 0..3 {
        enrol(ADA).await.expect(401);
    }
    let refused = enrol(ADA).await.expect_problem(429, "too-many-requests");
    is_refusal(&refused);
    enrol(BOB).await.expect(401);
    app.clock.advance(Duration::from_secs(10));
    enrol(ADA).await.expect(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_guesses_tokens_of_registered_clients_without_bound() {
    let app = bounded().await;
    let path = "/oauth2/register/app-1";
    let calls = || [app.get(path), app.put(path), app.delete(path)];
    while from(app.get(path), ADA).send().await.status != 429 {}
    for call in calls() {
        is_refusal(&from(call.by("dwm_guess"), ADA).send().await);
    }
    for call in calls() {
        let answer = from(call.by("dwm_guess"), BOB).send().await;
        assert_ne!(answer.status, 429, "{answer:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_refuse_with_a_page() {
    let app = bounded().await;
    for path in [
        "/oauth2/authorize",
        "/oauth2/authorize/resume",
        "/consent",
        "/login",
        "/login/callback/corp",
        "/device",
        "/invitation",
        "/account",
    ] {
        let visit = async |address| from(app.get(path), address).send().await;
        while visit(ADA).await.status != 429 {}
        let refused = visit(ADA).await;
        is_refusal(&refused);
        assert_eq!(refused.header("content-type"), "text/html; charset=utf-8");
        assert_ne!(visit(BOB).await.status, 429, "{path}");
        app.clock.advance(Duration::from_secs(10));
    }
    let press = from(app.post("/login/corp"), ADA);
    assert_ne!(press.bytes(FORM, "").await.status, 429);
    while from(app.get("/login"), ADA).send().await.status != 429 {}
    let press = from(app.post("/login/corp"), ADA);
    is_refusal(&press.bytes(FORM, "").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_page_and_client_needs_has_no_bound_nor_has_the_machine_itself() {
    let app = bounded().await;
    while post(&app, "/oauth2/token", ADA).await.status != 429 {}
    for path in [
        "/healthz",
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
    ] {
        from(app.get(path), ADA).send().await.expect(200);
    }
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        assert_ne!(post(&app, path, ADA).await.status, 429, "{path}");
    }
    // Without a configured proxy everything comes from the machine itself here.
    let app = TestApp::start_with(None, |config, _| {
        config.limits.requests_per_second = NonZeroU32::new(1);
        config.limits.burst = NonZeroU32::new(1).unwrap();
    })
    .await;
    for _ in 0..5 {
        from(app.get("/login"), ADA).send().await.expect(303);
    }
}
