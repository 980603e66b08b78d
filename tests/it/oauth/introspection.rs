//! What a token is, and giving one back.

use doorward::store::members;
use serde_json::json;

use super::tokens::{
    a_grant, agree, ask, code_for, confidential, expect_error, log_in, public, redeem, refresh,
    status_of, text, write,
};
use crate::support::app::TestApp;

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
