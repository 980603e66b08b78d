//! What a token is, and giving one back.

use doorward::authority::config::Config;
use doorward::crypto::digest::token_digest;
use doorward::domain::app::GrantType;
use doorward::domain::{ClientId, ClientKind, PlainToken, Scopes};
use doorward::store::clients::{Client, ClientState};
use doorward::store::{StoreConfig, clients, members};
use serde_json::{Value, json};

use super::tokens::{
    SECRET, a_grant, agree, an_app, ask, code_for, confidential, expect_error, log_in, public,
    redeem, refresh, register, status_of, text, write,
};
use crate::support::app::TestApp;
use crate::support::postgres;

on_both_engines! {
    a_token_is_told_to_those_whom_it_concerns_and_to_nobody_else,
    a_dead_token_is_not_active_and_nothing_else_is_said,
    a_token_given_back_ends_the_whole_grant,
    another_clients_token_cannot_be_given_back,
    tokens_bound_to_an_organization_end_with_the_membership,
}

async fn a_token_is_told_to_those_whom_it_concerns_and_to_nobody_else(app: TestApp) {
    let board = confidential(&app, "board").await;
    let other = confidential(&app, "other").await;
    let spa = public(&app, "spa").await;
    let agreed = agree(&app, &board, "openid board:read").await;
    let reply = redeem(&app, &board, &agreed.code).await.expect(200);
    let form = format!("token={}", text(&reply, "access_token"));
    let told = ask(&app, "/oauth2/introspect", &board, &form)
        .await
        .expect(200);
    for (name, wanted) in [
        ("active", json!(true)),
        ("client_id", json!("board")),
        ("sub", json!(agreed.user)),
        ("scope", json!("board:read openid")),
        ("token_type", json!("Bearer")),
        ("gid", json!(agreed.grant)),
    ] {
        assert_eq!(told.body[name], wanted, "{name}");
    }
    let nothing = ask(&app, "/oauth2/introspect", &other, &form)
        .await
        .expect(200);
    assert_eq!(nothing.body, json!({ "active": false }));
    let refused = ask(&app, "/oauth2/introspect", &spa, &form).await;
    expect_error(refused, 401, "invalid_client");
    let operator = format!(
        "{form}&client_id=operator&client_secret={}",
        app.operator_secret
    );
    let told = app
        .post("/oauth2/introspect")
        .bytes("application/x-www-form-urlencoded", operator)
        .await;
    assert_eq!(told.expect(200).body["active"], true);

    let form = format!("token={}", text(&reply, "refresh_token"));
    let told = ask(&app, "/oauth2/introspect", &board, &form)
        .await
        .expect(200);
    assert_eq!(told.body["token_type"], "refresh_token");
    let nothing = ask(&app, "/oauth2/introspect", &other, &form)
        .await
        .expect(200);
    assert_eq!(nothing.body, json!({ "active": false }));
}

async fn a_dead_token_is_not_active_and_nothing_else_is_said(app: TestApp) {
    let board = confidential(&app, "board").await;
    let agreed = agree(&app, &board, "openid").await;
    let reply = redeem(&app, &board, &agreed.code).await.expect(200);
    app.suspend(agreed.user).await;
    let (access, token) = (text(&reply, "access_token"), text(&reply, "refresh_token"));
    for dead in [access, token, "dwr_never", "not-a-token", "a.b.c"] {
        let told = ask(&app, "/oauth2/introspect", &board, &format!("token={dead}")).await;
        assert_eq!(told.expect(200).body, json!({ "active": false }), "{dead}");
    }
}

async fn a_token_given_back_ends_the_whole_grant(app: TestApp) {
    let board = confidential(&app, "board").await;
    let spa = public(&app, "spa").await;
    for by in [&board, &spa] {
        for name in ["access_token", "refresh_token"] {
            let code = agree(&app, by, "openid").await.code;
            let reply = redeem(&app, by, &code).await.expect(200);
            let form = format!("token={}&token_type_hint=whatever", text(&reply, name));
            ask(&app, "/oauth2/revoke", by, &form).await.expect(200);
            ask(&app, "/oauth2/revoke", by, &form).await.expect(200);
            assert_eq!(
                status_of(&app, text(&reply, "access_token")).await,
                401,
                "{name}"
            );
            let dead = refresh(&app, by, text(&reply, "refresh_token")).await;
            expect_error(dead, 400, "invalid_grant");
        }
    }
    assert_eq!(app.audited("grant.revoked").await, 4);
    let own = format!(
        "token={}&client_id=operator&client_secret={}",
        app.operator(),
        app.operator_secret
    );
    let reply = app
        .post("/oauth2/revoke")
        .bytes("application/x-www-form-urlencoded", own)
        .await;
    expect_error(reply, 400, "unsupported_token_type");
}

async fn another_clients_token_cannot_be_given_back(app: TestApp) {
    let board = confidential(&app, "board").await;
    let other = confidential(&app, "other").await;
    let code = agree(&app, &board, "openid").await.code;
    let reply = redeem(&app, &board, &code).await.expect(200);
    for name in ["access_token", "refresh_token"] {
        let form = format!("token={}", text(&reply, name));
        ask(&app, "/oauth2/revoke", &other, &form).await.expect(200);
    }
    ask(&app, "/oauth2/revoke", &other, "token=nonsense")
        .await
        .expect(200);
    refresh(&app, &board, text(&reply, "refresh_token"))
        .await
        .expect(200);
}

async fn tokens_bound_to_an_organization_end_with_the_membership(app: TestApp) {
    let board = confidential(&app, "board").await;
    app.owner_of("acme").await;
    let (user, acme) = (app.user("ada").await, app.organization("acme").await);
    app.join("acme", user, "billing/viewer").await;
    let session = log_in(&app, user).await;
    let mut grant = a_grant(&app, &board, user, session, "openid");
    grant.organization_id = Some(acme);
    let code = code_for(&app, grant.clone()).await;
    let late = {
        let mut grant = a_grant(&app, &board, user, log_in(&app, user).await, "openid");
        grant.organization_id = Some(acme);
        code_for(&app, grant).await
    };
    let reply = redeem(&app, &board, &code).await.expect(200);
    let (access, token) = (text(&reply, "access_token"), text(&reply, "refresh_token"));
    assert_eq!(status_of(&app, access).await, 200);
    write(&app, move |tx| {
        let member = members::find(tx, acme, user)?.unwrap();
        members::delete(tx, &member)
    })
    .await;
    assert_eq!(status_of(&app, access).await, 401);
    for dead in [access, token] {
        let told = ask(&app, "/oauth2/introspect", &board, &format!("token={dead}")).await;
        assert_eq!(told.expect(200).body, json!({ "active": false }));
    }
    let refused = refresh(&app, &board, token).await;
    expect_error(refused, 400, "invalid_grant");
    let refused = redeem(&app, &board, &late).await;
    expect_error(refused, 400, "invalid_grant");
}

const BILLING_API: &str = "https://billing.example";
const REPORTS_API: &str = "https://reports.example";
const NOBODYS_API: &str = "https://api.example";

fn two_resource_servers(config: &mut Config) {
    for (service, url) in [("billing", BILLING_API), ("reports", REPORTS_API)] {
        let service = service.parse().unwrap();
        assert_eq!(config.resource_servers.add(url.to_owned(), &service), None);
    }
    config.resources = [BILLING_API, REPORTS_API, NOBODYS_API]
        .map(str::to_owned)
        .to_vec();
}

/// Stores a service's client, with the secret that apps have here.
async fn a_service(app: &TestApp, service: &str) {
    let now = app.authority.clock.now();
    let client = Client {
        id: ClientId::mint(now, app.entropy.id_bits()),
        identifier: format!("{service}-service").parse().unwrap(),
        name: service.to_owned(),
        kind: ClientKind::Service(service.parse().unwrap()),
        scopes: Scopes::parse("doorward:manifest").unwrap(),
        state: ClientState::Active,
        token_epoch: 0,
        created_at: now,
    };
    let digest = token_digest(&PlainToken::presented(SECRET.to_owned()));
    write(app, move |tx| clients::insert(tx, &client, Some(digest))).await;
}

/// What a service's client is told of a token.
async fn told(app: &TestApp, service: &str, token: &str) -> Value {
    let form = format!("token={token}&client_id={service}-service&client_secret={SECRET}");
    let reply = app
        .post("/oauth2/introspect")
        .bytes("application/x-www-form-urlencoded", form);
    reply.await.expect(200).body
}

async fn a_service_is_told_of_tokens_for_what_it_owns_and_of_no_others(store: Option<StoreConfig>) {
    let app = TestApp::start_with(store, |config, _| two_resource_servers(config)).await;
    for service in ["billing", "reports", "stranger"] {
        a_service(&app, service).await;
    }
    let mut board = an_app(&app, "board");
    board.spec.resources = [BILLING_API, REPORTS_API, NOBODYS_API]
        .map(str::to_owned)
        .to_vec();
    register(&app, &board).await;
    let user = app.user("ada").await;
    let session = log_in(&app, user).await;
    let issuer = app.authority.config.issuer.to_string();
    for (audience, who) in [
        (BILLING_API, Some("billing")),
        (REPORTS_API, Some("reports")),
        (NOBODYS_API, None),
        (issuer.as_str(), None),
    ] {
        let mut grant = a_grant(&app, &board, user, session, "board:read");
        grant.resources = vec![audience.to_owned()];
        let code = code_for(&app, grant).await;
        let reply = redeem(&app, &board, &code).await.expect(200);
        let token = text(&reply, "access_token");
        for service in ["billing", "reports", "stranger"] {
            let answer = told(&app, service, token).await;
            if who == Some(service) {
                assert_eq!(answer["active"], true, "{service} of {audience}");
                assert_eq!(answer["aud"], audience);
                assert_eq!(answer["sub"], user.to_string());
            } else {
                assert_eq!(
                    answer,
                    json!({ "active": false }),
                    "{service} of {audience}"
                );
            }
        }
        let own = ask(
            &app,
            "/oauth2/introspect",
            &board,
            &format!("token={token}"),
        )
        .await;
        assert_eq!(
            own.expect(200).body["active"],
            true,
            "the app itself, of {audience}"
        );
    }
    let mut worker = an_app(&app, "worker");
    worker.spec.grant_types = [GrantType::ClientCredentials].into_iter().collect();
    register(&app, &worker).await;
    let form = format!("grant_type=client_credentials&resource={BILLING_API}");
    let reply = ask(&app, "/oauth2/token", &worker, &form).await.expect(200);
    let token = text(&reply, "access_token");
    assert_eq!(told(&app, "billing", token).await["sub"], "worker");
    assert_eq!(
        told(&app, "reports", token).await,
        json!({ "active": false })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_service_is_told_of_tokens_for_what_it_owns() {
    a_service_is_told_of_tokens_for_what_it_owns_and_of_no_others(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_service_is_told_of_tokens_for_what_it_owns() {
    if let Some(store) = postgres::database() {
        a_service_is_told_of_tokens_for_what_it_owns_and_of_no_others(Some(store)).await;
    }
}
