//! Refresh tokens: one live branch, and no honest client left outside.

use std::time::Duration;

use doorward::authority::revocation;
use doorward::domain::Scopes;
use doorward::domain::app::RefreshBinding;
use doorward::store::apps::{self, App};
use doorward::store::{StoreError, sessions};
use serde_json::json;

use super::tokens::{
    a_grant, agree, an_app, ask, claims, code_for, confidential, count, expect_error, log_in, now,
    redeem, refresh, register, status_of, text, write,
};
use crate::support::app::TestApp;

on_both_engines! {
    each_refresh_gives_a_successor_and_the_next_one_works,
    the_same_token_gives_the_same_successor_for_a_while,
    a_lost_answer_is_made_good_after_a_restart,
    a_token_reused_after_its_window_ends_the_grant,
    a_token_reused_after_its_successor_was_used_ends_the_grant,
    another_clients_token_is_refused_and_nothing_ends,
    scope_is_narrowed_for_one_access_token_only,
    a_refresh_token_dies_unused_and_at_its_absolute_end,
    a_bound_refresh_token_dies_with_its_session_and_a_standalone_one_does_not,
    using_an_app_keeps_the_session_behind_it_alive,
    an_app_that_was_narrowed_refreshes_for_what_is_left_to_it,
    a_used_token_keeps_no_session_alive,
}

async fn each_refresh_gives_a_successor_and_the_next_one_works(app: TestApp) {
    let board = confidential(&app, "board").await;
    let agreed = agree(&app, &board, "openid board:read").await;
    let mut reply = redeem(&app, &board, &agreed.code).await.expect(200);
    for _ in 0..3 {
        let old = text(&reply, "refresh_token").to_owned();
        app.clock.advance(Duration::from_mins(10));
        reply = refresh(&app, &board, &old).await.expect(200);
        assert_ne!(text(&reply, "refresh_token"), old);
        assert_eq!(status_of(&app, text(&reply, "access_token")).await, 200);
        let told = claims(text(&reply, "id_token"));
        assert_eq!(told["sub"], json!(agreed.user));
        assert!(told.get("nonce").is_none(), "OpenID Connect Core §12.2");
    }
    assert_eq!(count(&app, "refresh_tokens").await, 1);
    assert_eq!(count(&app, "refresh_token_tombstones").await, 3);
}

async fn the_same_token_gives_the_same_successor_for_a_while(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let old = text(&first, "refresh_token");
    let one = refresh(&app, &board, old).await.expect(200);
    app.clock.advance(Duration::from_secs(29));
    let two = refresh(&app, &board, old).await.expect(200);
    assert_eq!(text(&one, "refresh_token"), text(&two, "refresh_token"));
    assert_eq!(count(&app, "refresh_tokens").await, 1);
    assert_eq!(status_of(&app, text(&two, "access_token")).await, 200);
    refresh(&app, &board, text(&two, "refresh_token"))
        .await
        .expect(200);
}

async fn a_lost_answer_is_made_good_after_a_restart(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let old = text(&first, "refresh_token").to_owned();
    // The commit is made; the answer reaches nobody.
    let lost = refresh(&app, &board, &old).await.expect(200);
    let app = app.restarted();
    let again = refresh(&app, &board, &old).await.expect(200);
    assert_eq!(text(&again, "refresh_token"), text(&lost, "refresh_token"));
    refresh(&app, &board, text(&again, "refresh_token"))
        .await
        .expect(200);
}

async fn a_token_reused_after_its_window_ends_the_grant(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let old = text(&first, "refresh_token");
    let second = refresh(&app, &board, old).await.expect(200);
    app.clock.advance(Duration::from_secs(30));
    expect_error(refresh(&app, &board, old).await, 400, "invalid_grant");
    let successor = text(&second, "refresh_token");
    expect_error(refresh(&app, &board, successor).await, 400, "invalid_grant");
    assert_eq!(status_of(&app, text(&second, "access_token")).await, 401);
    assert_eq!(app.audited("refresh_token.reused").await, 1);
}

async fn a_token_reused_after_its_successor_was_used_ends_the_grant(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let old = text(&first, "refresh_token");
    let second = refresh(&app, &board, old).await.expect(200);
    let third = refresh(&app, &board, text(&second, "refresh_token"))
        .await
        .expect(200);
    expect_error(refresh(&app, &board, old).await, 400, "invalid_grant");
    let live = text(&third, "refresh_token");
    expect_error(refresh(&app, &board, live).await, 400, "invalid_grant");
    assert_eq!(count(&app, "refresh_tokens").await, 0);
}

async fn another_clients_token_is_refused_and_nothing_ends(app: TestApp) {
    let board = confidential(&app, "board").await;
    let other = confidential(&app, "other").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let token = text(&first, "refresh_token");
    expect_error(refresh(&app, &other, token).await, 400, "invalid_grant");
    expect_error(
        refresh(&app, &board, "dwr_never").await,
        400,
        "invalid_grant",
    );
    refresh(&app, &board, token).await.expect(200);
}

async fn scope_is_narrowed_for_one_access_token_only(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid board:read").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let token = text(&first, "refresh_token");
    let form = format!("grant_type=refresh_token&refresh_token={token}&scope=");
    let wider = ask(&app, "/oauth2/token", &board, &format!("{form}email")).await;
    expect_error(wider, 400, "invalid_scope");
    let less = ask(&app, "/oauth2/token", &board, &format!("{form}board:read"))
        .await
        .expect(200);
    assert_eq!(less.body["scope"], "board:read");
    let all = refresh(&app, &board, text(&less, "refresh_token"))
        .await
        .expect(200);
    assert_eq!(all.body["scope"], "board:read openid");
}

async fn a_refresh_token_dies_unused_and_at_its_absolute_end(app: TestApp) {
    let mut alone = an_app(&app, "alone");
    alone.spec.refresh_binding = RefreshBinding::Standalone;
    register(&app, &alone).await;
    let code = agree(&app, &alone, "openid offline_access").await.code;
    let mut token = text(
        &redeem(&app, &alone, &code).await.expect(200),
        "refresh_token",
    )
    .to_owned();
    let day = Duration::from_hours(24);
    for _ in 0..8 {
        app.clock.advance(day * 11);
        let reply = refresh(&app, &alone, &token).await.expect(200);
        text(&reply, "refresh_token").clone_into(&mut token);
    }
    app.clock.advance(day * 2);
    expect_error(refresh(&app, &alone, &token).await, 400, "invalid_grant");

    let code = agree(&app, &alone, "openid offline_access").await.code;
    let first = redeem(&app, &alone, &code).await.expect(200);
    app.clock.advance(day * 14);
    let unused = refresh(&app, &alone, text(&first, "refresh_token")).await;
    expect_error(unused, 400, "invalid_grant");
}

async fn a_bound_refresh_token_dies_with_its_session_and_a_standalone_one_does_not(app: TestApp) {
    let board = confidential(&app, "board").await;
    let mut alone = an_app(&app, "alone");
    alone.spec.refresh_binding = RefreshBinding::Standalone;
    register(&app, &alone).await;
    for (by, survives) in [(&board, false), (&alone, true)] {
        let agreed = agree(&app, by, "openid offline_access").await;
        let first = redeem(&app, by, &agreed.code).await.expect(200);
        let (now, lifetimes) = (now(&app), app.authority.config.lifetimes);
        write(&app, move |tx| {
            let mut ids = || panic!("nobody is to be told");
            revocation::end_session(tx, agreed.session, now, &lifetimes, &mut ids).map(drop)
        })
        .await;
        let access = status_of(&app, text(&first, "access_token")).await;
        let next = refresh(&app, by, text(&first, "refresh_token")).await;
        if survives {
            assert_eq!(access, 200);
            assert!(claims(text(&first, "access_token")).get("sid").is_none());
            next.expect(200);
        } else {
            assert_eq!(access, 401);
            expect_error(next, 400, "invalid_grant");
        }
    }
    let everywhere = agree(&app, &alone, "openid offline_access").await;
    let first = redeem(&app, &alone, &everywhere.code).await.expect(200);
    let (now, lifetimes) = (now(&app), app.authority.config.lifetimes);
    write(&app, move |tx| {
        let mut ids = || panic!("nobody is to be told");
        revocation::sign_out_everywhere(tx, everywhere.user, now, &lifetimes, &mut ids).map(drop)
    })
    .await;
    assert_eq!(status_of(&app, text(&first, "access_token")).await, 401);
    let dead = refresh(&app, &alone, text(&first, "refresh_token")).await;
    expect_error(dead, 400, "invalid_grant");
}

async fn using_an_app_keeps_the_session_behind_it_alive(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let mut token = text(
        &redeem(&app, &board, &code).await.expect(200),
        "refresh_token",
    )
    .to_owned();
    for _ in 0..3 {
        app.clock.advance(Duration::from_hours(20));
        let reply = refresh(&app, &board, &token).await.expect(200);
        text(&reply, "refresh_token").clone_into(&mut token);
    }
    app.clock.advance(Duration::from_hours(24));
    expect_error(refresh(&app, &board, &token).await, 400, "invalid_grant");
}

async fn an_app_that_was_narrowed_refreshes_for_what_is_left_to_it(app: TestApp) {
    const API: &str = "https://api.example";
    let mut board = an_app(&app, "board");
    board.spec.resources = vec![API.to_owned()];
    register(&app, &board).await;
    let user = app.user("ada").await;
    let session = log_in(&app, user).await;
    let mut grant = a_grant(&app, &board, user, session, "profile board:read");
    grant.resources = vec![API.to_owned()];
    let code = code_for(&app, grant).await;
    let mut reply = redeem(&app, &board, &code).await.expect(200);
    let change = async |board: &App| {
        let (board, now) = (board.clone(), now(&app));
        write(&app, move |tx| apps::update(tx, &board, now)).await;
    };
    board.spec.scopes = Scopes::parse("profile email").unwrap();
    change(&board).await;
    let token = text(&reply, "refresh_token").to_owned();
    let form = format!("grant_type=refresh_token&refresh_token={token}&scope=board:read");
    let asked = ask(&app, "/oauth2/token", &board, &form).await;
    expect_error(asked, 400, "invalid_scope");
    reply = refresh(&app, &board, &token).await.expect(200);
    assert_eq!(text(&reply, "scope"), "profile");
    assert_eq!(claims(text(&reply, "access_token"))["aud"], json!(API));
    board.spec.resources.clear();
    change(&board).await;
    let token = text(&reply, "refresh_token").to_owned();
    let gone = refresh(&app, &board, &token).await;
    expect_error(gone, 400, "invalid_target");
    board.spec.scopes = Scopes::parse("email").unwrap();
    change(&board).await;
    expect_error(refresh(&app, &board, &token).await, 400, "invalid_grant");
}

async fn a_used_token_keeps_no_session_alive(app: TestApp) {
    let board = confidential(&app, "board").await;
    let agreed = agree(&app, &board, "openid").await;
    let first = redeem(&app, &board, &agreed.code).await.expect(200);
    let old = text(&first, "refresh_token");
    refresh(&app, &board, old).await.expect(200);
    let session = agreed.session;
    let seen = async || {
        app.authority
            .store
            .read::<_, StoreError>(move |tx| Ok(sessions::find(tx, session)?.unwrap().last_seen_at))
            .await
            .unwrap()
    };
    let before = seen().await;
    app.clock.advance(Duration::from_mins(10));
    expect_error(refresh(&app, &board, old).await, 400, "invalid_grant");
    assert_eq!(seen().await, before);
}
