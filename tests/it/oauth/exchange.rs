//! A code becomes tokens, once.

use std::fmt::Write as _;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use doorward::authority::jobs::clean;
use doorward::authority::revocation;
use doorward::crypto::digest::sha256;
use doorward::domain::PlainToken;
use doorward::domain::app::IdTokenAlg;
use doorward::store::clients;
use serde_json::json;

use super::tokens::{
    REDIRECT, VERIFIER, a_grant, agree, an_app, ask, claims, code_for, code_form, confidential,
    count, expect_error, log_in, public, redeem, refresh, register, status_of, text, write,
};
use crate::support::app::TestApp;

on_both_engines! {
    a_code_becomes_an_access_token_an_id_token_and_a_refresh_token,
    a_code_is_for_its_client_redirect_and_verifier_and_stays_for_them,
    a_code_redeemed_twice_ends_all_that_came_of_it,
    a_replayed_code_is_still_known_after_a_restart,
    a_code_that_is_made_up_ends_nothing,
    a_code_that_nobody_redeemed_in_time_is_no_replay,
    a_code_ends_with_its_minute_its_session_its_user_and_its_client,
    scope_and_resource_are_narrowed_and_never_widened,
    an_app_without_the_grant_type_or_without_offline_access_gets_no_refresh_token,
    no_code_and_no_token_is_kept_in_the_database,
}

async fn a_code_becomes_an_access_token_an_id_token_and_a_refresh_token(app: TestApp) {
    let mut board = an_app(&app, "board");
    board.spec.id_token_alg = IdTokenAlg::RS256;
    register(&app, &board).await;
    let agreed = agree(&app, &board, "openid profile board:read").await;
    let reply = redeem(&app, &board, &agreed.code).await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.body["token_type"], "Bearer");
    assert_eq!(reply.body["expires_in"], 600);
    assert_eq!(reply.body["scope"], "board:read openid profile");
    assert!(text(&reply, "refresh_token").starts_with("dwr_"));

    let access = text(&reply, "access_token");
    let told = claims(access);
    let issuer = app.authority.config.issuer.as_str();
    for (name, wanted) in [
        ("iss", json!(issuer)),
        ("aud", json!(issuer)),
        ("sub", json!(agreed.user)),
        ("client_id", json!("board")),
        ("sid", json!(agreed.session)),
        ("gid", json!(agreed.grant)),
        ("dw_epoch", json!(0)),
        ("dw_client_epoch", json!(0)),
    ] {
        assert_eq!(told[name], wanted, "{name}");
    }
    assert!(access.len() < 1000, "{}", access.len());

    let id_token = text(&reply, "id_token");
    let told = claims(id_token);
    let hash = BASE64URL_NOPAD.encode(&sha256(access.as_bytes())[..16]);
    for (name, wanted) in [
        ("iss", json!(issuer)),
        ("aud", json!("board")),
        ("sub", json!(agreed.user)),
        ("nonce", json!("n-1")),
        ("amr", json!(["pwd"])),
        ("sid", json!(agreed.session)),
        ("at_hash", json!(hash)),
        ("auth_time", json!(super::tokens::now(&app).unix_seconds())),
    ] {
        assert_eq!(told[name], wanted, "{name}");
    }
    assert!(
        app.authority
            .keys
            .verify_id_token_hint(id_token, issuer)
            .is_ok()
    );
    assert_eq!(status_of(&app, access).await, 200);
    assert_ne!(
        status_of(&app, id_token).await,
        200,
        "an ID token opens nothing"
    );
    assert_eq!(app.audited("token.issued").await, 1);
}

async fn a_code_is_for_its_client_redirect_and_verifier_and_stays_for_them(app: TestApp) {
    let board = confidential(&app, "board").await;
    let other = confidential(&app, "other").await;
    let code = agree(&app, &board, "openid").await.code;
    let form = code_form(&code);
    for (by, form) in [
        (&other, form.clone()),
        (&board, form.replace(REDIRECT, "https://app.example/other")),
        (&board, form.replace(VERIFIER, &VERIFIER.replace('1', "2"))),
    ] {
        expect_error(
            ask(&app, "/oauth2/token", by, &form).await,
            400,
            "invalid_grant",
        );
    }
    let unknown = code_form("dwa_never");
    expect_error(
        ask(&app, "/oauth2/token", &board, &unknown).await,
        400,
        "invalid_grant",
    );
    let without = form.replace(&format!("&redirect_uri={REDIRECT}"), "");
    ask(&app, "/oauth2/token", &board, &without)
        .await
        .expect(200);
}

async fn a_code_redeemed_twice_ends_all_that_came_of_it(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    assert_eq!(status_of(&app, text(&first, "access_token")).await, 200);
    expect_error(redeem(&app, &board, &code).await, 400, "invalid_grant");
    assert_eq!(status_of(&app, text(&first, "access_token")).await, 401);
    let refreshed = refresh(&app, &board, text(&first, "refresh_token")).await;
    expect_error(refreshed, 400, "invalid_grant");
    assert_eq!(app.audited("code.replayed").await, 1);
    assert_eq!(count(&app, "revoked_grants").await, 1, "sidecars are told");
}

async fn a_replayed_code_is_still_known_after_a_restart(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let app = app.restarted();
    app.clock.advance(Duration::from_mins(5));
    expect_error(redeem(&app, &board, &code).await, 400, "invalid_grant");
    assert_eq!(status_of(&app, text(&first, "access_token")).await, 401);
}

async fn a_code_that_is_made_up_ends_nothing(app: TestApp) {
    let board = confidential(&app, "board").await;
    let agreed = agree(&app, &board, "openid").await;
    let first = redeem(&app, &board, &agreed.code).await.expect(200);
    // Whose grant it is can be read in the code, and in the access token.
    let made_up =
        PlainToken::from_random_of("dwa_", agreed.grant.as_uuid(), app.entropy.token_bits());
    let tokens = [made_up.expose(), "dwa_", "dwa_AAAA", "x"];
    for code in tokens {
        expect_error(redeem(&app, &board, code).await, 400, "invalid_grant");
    }
    assert_eq!(status_of(&app, text(&first, "access_token")).await, 200);
    assert_eq!(app.audited("code.replayed").await, 0);
}

async fn a_code_that_nobody_redeemed_in_time_is_no_replay(app: TestApp) {
    let board = confidential(&app, "board").await;
    let agreed = agree(&app, &board, "openid").await;
    app.clock.advance(Duration::from_mins(2));
    let cleaned = clean(&app.authority.store, &*app.clock).await;
    assert!(cleaned.unwrap() > 0);
    assert_eq!(count(&app, "authorization_codes").await, 0);
    expect_error(
        redeem(&app, &board, &agreed.code).await,
        400,
        "invalid_grant",
    );
    assert_eq!(app.audited("code.replayed").await, 0);
    assert_eq!(count(&app, "revoked_grants").await, 0);
}

async fn a_code_ends_with_its_minute_its_session_its_user_and_its_client(app: TestApp) {
    let board = confidential(&app, "board").await;
    let late = agree(&app, &board, "openid").await;
    app.clock.advance(Duration::from_mins(1));
    expect_error(redeem(&app, &board, &late.code).await, 400, "invalid_grant");

    let ended = agree(&app, &board, "openid").await;
    let (now, lifetimes) = (super::tokens::now(&app), app.authority.config.lifetimes);
    write(&app, move |tx| {
        let mut ids = || panic!("nobody is to be told");
        revocation::end_session(tx, ended.session, now, &lifetimes, &mut ids).map(drop)
    })
    .await;
    expect_error(
        redeem(&app, &board, &ended.code).await,
        400,
        "invalid_grant",
    );

    let suspended = agree(&app, &board, "openid").await;
    app.suspend(suspended.user).await;
    expect_error(
        redeem(&app, &board, &suspended.code).await,
        400,
        "invalid_grant",
    );

    let retired = agree(&app, &board, "openid").await;
    let client = board.client();
    write(&app, move |tx| clients::retire(tx, &client, now)).await;
    expect_error(
        redeem(&app, &board, &retired.code).await,
        401,
        "invalid_client",
    );
}

async fn scope_and_resource_are_narrowed_and_never_widened(app: TestApp) {
    let mut board = an_app(&app, "board");
    board.spec.resources = vec!["https://a.example".into(), "https://b.example".into()];
    register(&app, &board).await;
    let user = app.user("ada").await;
    let session = log_in(&app, user).await;
    let mut grant = a_grant(&app, &board, user, session, "openid board:read");
    grant.resources.clone_from(&board.spec.resources);
    let form = code_form(&code_for(&app, grant).await);
    for (more, error) in [
        ("", "invalid_target"),
        ("&resource=https://c.example", "invalid_target"),
        (
            "&resource=https://a.example&resource=https://b.example",
            "invalid_target",
        ),
        ("&resource=https://a.example&scope=email", "invalid_scope"),
    ] {
        let reply = ask(&app, "/oauth2/token", &board, &format!("{form}{more}")).await;
        expect_error(reply, 400, error);
    }
    let form = format!("{form}&resource=https://a.example&scope=board:read");
    let reply = ask(&app, "/oauth2/token", &board, &form).await.expect(200);
    assert_eq!(reply.body["scope"], "board:read");
    assert!(
        reply.body.get("id_token").is_none(),
        "`openid` was not asked for"
    );
    assert_eq!(
        claims(text(&reply, "access_token"))["aud"],
        "https://a.example"
    );
    assert_eq!(status_of(&app, text(&reply, "access_token")).await, 401);
}

async fn an_app_without_the_grant_type_or_without_offline_access_gets_no_refresh_token(
    app: TestApp,
) {
    use doorward::domain::app::{GrantType, RefreshBinding};
    let mut plain = an_app(&app, "plain");
    plain.spec.grant_types = [GrantType::AuthorizationCode].into_iter().collect();
    register(&app, &plain).await;
    let mut alone = an_app(&app, "alone");
    alone.spec.refresh_binding = RefreshBinding::Standalone;
    register(&app, &alone).await;
    let reply = async |by, scope| {
        let code = agree(&app, by, scope).await.code;
        redeem(&app, by, &code).await.expect(200).body
    };
    let given = |body: &serde_json::Value| body["refresh_token"].is_string();
    assert!(!given(&reply(&plain, "openid offline_access").await));
    assert!(!given(&reply(&alone, "openid").await));
    assert!(given(&reply(&alone, "openid offline_access").await));
    let none = refresh(&app, &plain, "dwr_any").await;
    expect_error(none, 400, "unauthorized_client");
    let spa = public(&app, "spa").await;
    assert!(given(&reply(&spa, "openid").await));
}

async fn no_code_and_no_token_is_kept_in_the_database(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let old = text(&first, "refresh_token").to_owned();
    let second = refresh(&app, &board, &old).await.expect(200);
    let new = text(&second, "refresh_token").to_owned();
    let rows = app
        .authority
        .store
        .read::<_, doorward::store::StoreError>(|tx| {
            let mut all = String::new();
            for table in [
                "authorization_codes",
                "refresh_tokens",
                "refresh_token_tombstones",
                "grants",
                "audit_log",
            ] {
                let rows = tx.rows(&format!("SELECT * FROM {table}"), &[])?;
                write!(all, "{rows:?}").unwrap();
            }
            Ok(all)
        })
        .await
        .unwrap();
    for secret in [code, old, new] {
        let raw = secret.split_once('_').unwrap().1;
        assert!(!rows.contains(raw));
    }
}
