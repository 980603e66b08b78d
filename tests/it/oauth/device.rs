//! Devices: they wait, they are let in or sent away, once.

use std::time::Duration;

use doorward::authority::oauth::device;
use doorward::crypto::digest::sha256;
use doorward::domain::{TokenDigest, UserId};
use doorward::protocol::oauth::DEVICE_CODE;
use doorward::protocol::oauth::device::UserCode;
use doorward::store::StoreError;
use doorward::store::apps::App;
use doorward::store::clients;
use doorward::store::device_codes;
use doorward::store::sessions::{self, Session};

use super::tokens::{
    ask, claims, count, expect_error, log_in, now, public, refresh, status_of, text, write,
};
use super::world::digest;
use crate::support::app::{Reply, TestApp};

on_both_engines! {
    a_device_waits_until_it_is_let_in_and_is_let_in_once,
    a_device_that_asks_too_often_waits_longer,
    a_device_is_sent_away_and_a_code_ends,
    neither_code_is_kept,
    a_device_is_let_in_by_a_live_session_of_an_active_user_only,
    a_client_has_no_more_than_a_thousand_devices_wait,
}

async fn session(app: &TestApp, user: UserId) -> Session {
    let id = log_in(app, user).await;
    app.authority
        .store
        .read::<_, StoreError>(move |tx| sessions::find(tx, id))
        .await
        .unwrap()
        .unwrap()
}

async fn start(app: &TestApp, by: &App) -> Reply {
    let reply = ask(app, "/oauth2/device_authorization", by, "scope=openid").await;
    reply.expect(200)
}

async fn poll(app: &TestApp, by: &App, started: &Reply) -> Reply {
    let code = text(started, "device_code");
    let form = format!("grant_type={DEVICE_CODE}&device_code={code}");
    ask(app, "/oauth2/token", by, &form).await
}

fn user_code(started: &Reply) -> UserCode {
    text(started, "user_code").parse().unwrap()
}

async fn a_device_waits_until_it_is_let_in_and_is_let_in_once(app: TestApp) {
    let tv = public(&app, "tv").await;
    let other = public(&app, "other").await;
    let started = start(&app, &tv).await;
    assert_eq!(started.body["interval"], 5);
    assert_eq!(started.body["expires_in"], 600);
    let complete = text(&started, "verification_uri_complete");
    assert_eq!(
        complete,
        format!(
            "http://127.0.0.1:7180/device?user_code={}",
            text(&started, "user_code")
        )
    );
    expect_error(
        poll(&app, &tv, &started).await,
        400,
        "authorization_pending",
    );
    expect_error(poll(&app, &other, &started).await, 400, "invalid_grant");

    let code = user_code(&started);
    let waiting = device::waiting(&app.authority, &code)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(waiting.app.id, tv.id);
    assert_eq!(waiting.scope.to_string(), "openid");
    let user = app.user("ada").await;
    let session = session(&app, user).await;
    assert!(
        device::approve(&app.authority, &session, &code)
            .await
            .unwrap()
    );
    assert!(
        !device::approve(&app.authority, &session, &code)
            .await
            .unwrap()
    );
    assert!(!device::deny(&app.authority, &session, &code).await.unwrap());
    assert!(
        device::waiting(&app.authority, &code)
            .await
            .unwrap()
            .is_none()
    );

    app.clock.advance(Duration::from_secs(5));
    let (one, two) = tokio::join!(poll(&app, &tv, &started), poll(&app, &tv, &started));
    let (won, lost) = if one.status == 200 {
        (one, two)
    } else {
        (two, one)
    };
    let won = won.expect(200);
    assert_eq!(lost.status, 400);
    assert_eq!(claims(text(&won, "access_token"))["sub"], user.to_string());
    assert_eq!(claims(text(&won, "id_token"))["sub"], user.to_string());
    assert_eq!(status_of(&app, text(&won, "access_token")).await, 200);
    refresh(&app, &tv, text(&won, "refresh_token"))
        .await
        .expect(200);
    app.clock.advance(Duration::from_secs(30));
    expect_error(poll(&app, &tv, &started).await, 400, "invalid_grant");
    assert_eq!(app.audited("device.approved").await, 1);
}

async fn a_device_that_asks_too_often_waits_longer(app: TestApp) {
    let tv = public(&app, "tv").await;
    let started = start(&app, &tv).await;
    expect_error(
        poll(&app, &tv, &started).await,
        400,
        "authorization_pending",
    );
    app.clock.advance(Duration::from_secs(4));
    expect_error(poll(&app, &tv, &started).await, 400, "slow_down");
    app.clock.advance(Duration::from_secs(9));
    expect_error(poll(&app, &tv, &started).await, 400, "slow_down");
    app.clock.advance(Duration::from_secs(15));
    expect_error(
        poll(&app, &tv, &started).await,
        400,
        "authorization_pending",
    );
}

async fn a_device_is_sent_away_and_a_code_ends(app: TestApp) {
    let tv = public(&app, "tv").await;
    let user = app.user("ada").await;
    let session = session(&app, user).await;
    let started = start(&app, &tv).await;
    assert!(
        device::deny(&app.authority, &session, &user_code(&started))
            .await
            .unwrap()
    );
    expect_error(poll(&app, &tv, &started).await, 400, "access_denied");
    let late = start(&app, &tv).await;
    app.clock.advance(Duration::from_mins(10));
    let code = user_code(&late);
    assert!(
        device::waiting(&app.authority, &code)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !device::approve(&app.authority, &session, &code)
            .await
            .unwrap()
    );
    expect_error(poll(&app, &tv, &late).await, 400, "expired_token");
    assert_eq!(count(&app, "grants").await, 0);
    let wider = ask(
        &app,
        "/oauth2/device_authorization",
        &tv,
        "scope=doorward:admin",
    )
    .await;
    expect_error(wider, 400, "invalid_scope");
}

async fn neither_code_is_kept(app: TestApp) {
    let tv = public(&app, "tv").await;
    let started = start(&app, &tv).await;
    let rows = app
        .authority
        .store
        .read::<_, StoreError>(|tx| {
            Ok(format!("{:?}", tx.rows("SELECT * FROM device_codes", &[])?))
        })
        .await
        .unwrap();
    let user = user_code(&started);
    for code in [text(&started, "device_code"), user.letters()] {
        assert!(!rows.contains(code));
    }
    let plain = sha256(user.letters().as_bytes());
    let plain = TokenDigest::from_bytes(plain).to_hex();
    assert!(
        !rows.contains(&plain),
        "a plain hash of so few letters could be tried out"
    );
}

async fn a_device_is_let_in_by_a_live_session_of_an_active_user_only(app: TestApp) {
    let tv = public(&app, "tv").await;
    let started = start(&app, &tv).await;
    let code = user_code(&started);
    let user = app.user("ada").await;
    let ended = session(&app, user).await;
    let id = ended.id;
    write(&app, move |tx| sessions::delete(tx, id).map(|_| ())).await;
    assert!(
        !device::approve(&app.authority, &ended, &code)
            .await
            .unwrap()
    );
    assert!(!device::deny(&app.authority, &ended, &code).await.unwrap());
    let suspended = app.user("bob").await;
    let of_suspended = session(&app, suspended).await;
    app.suspend(suspended).await;
    assert!(
        !device::approve(&app.authority, &of_suspended, &code)
            .await
            .unwrap()
    );
    let live = session(&app, user).await;
    let (client, now) = (tv.client(), now(&app));
    write(&app, move |tx| clients::retire(tx, &client, now)).await;
    assert!(!device::approve(&app.authority, &live, &code).await.unwrap());
    assert_eq!(count(&app, "grants").await, 0);
}

async fn a_client_has_no_more_than_a_thousand_devices_wait(app: TestApp) {
    let tv = public(&app, "tv").await;
    let other = public(&app, "other").await;
    let first = digest(text(&start(&app, &tv).await, "device_code"));
    write(&app, move |tx| {
        let mut device = device_codes::find(tx, first)?.unwrap();
        for index in 1..1_000_u32 {
            let one = index.to_be_bytes();
            device.device_digest = TokenDigest::from_bytes(sha256(&one));
            device.user_digest = TokenDigest::from_bytes(sha256(&[&one[..], b"u"].concat()));
            device_codes::insert(tx, &device)?;
        }
        Ok(())
    })
    .await;
    let refused = ask(&app, "/oauth2/device_authorization", &tv, "scope=openid").await;
    let refused = expect_error(refused, 429, "slow_down");
    assert_eq!(refused.header("retry-after"), "60");
    start(&app, &other).await;
    assert_eq!(app.audited("device.started").await, 0);
    app.clock.advance(Duration::from_mins(10));
    start(&app, &tv).await;
}
