//! Many at once: one code, one branch, no honest client left outside.

use std::collections::BTreeSet;

use super::tokens::{
    a_grant, agree, ask, code_for, confidential, count, expect_error, redeem, refresh, status_of,
    text,
};
use crate::support::app::{Reply, TestApp};

on_both_engines! {
    of_a_hundred_redemptions_of_a_code_one_succeeds,
    of_fifty_refreshes_all_end_with_the_one_live_token,
    refreshing_while_the_grant_is_revoked_leaves_nothing_alive,
}

/// Runs as many as asked for, all at once.
async fn together<F: Future<Output = Reply>>(many: usize, one: impl Fn(usize) -> F) -> Vec<Reply> {
    let mut waiting: Vec<_> = (0..many).map(|number| Box::pin(one(number))).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        waiting.retain_mut(|future| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(reply) => {
                done.push(reply);
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}

async fn of_a_hundred_redemptions_of_a_code_one_succeeds(app: TestApp) {
    a_hundred_redemptions(&[&app]).await;
}

async fn of_fifty_refreshes_all_end_with_the_one_live_token(app: TestApp) {
    fifty_refreshes(&[&app]).await;
}

/// Two authorities on one database: what one of them knows, only the database can tell the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_redemptions_at_two_authorities_one_succeeds() {
    if let Some(store) = crate::support::postgres::database() {
        let app = TestApp::start_on(Some(store)).await;
        let other = app.beside();
        a_hundred_redemptions(&[&app, &other]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_refreshes_at_two_authorities_all_end_with_the_one_live_token() {
    if let Some(store) = crate::support::postgres::database() {
        let app = TestApp::start_on(Some(store)).await;
        let other = app.beside();
        fifty_refreshes(&[&app, &other]).await;
    }
}

/// At each of the authorities in turn.
async fn a_hundred_redemptions(apps: &[&TestApp]) {
    let app = apps[0];
    let board = confidential(app, "board").await;
    let agreed = agree(app, &board, "openid").await;
    let code = &agreed.code;
    let replies = together(100, |number| {
        redeem(apps[number % apps.len()], &board, code)
    })
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!(won.len(), 1);
    assert_eq!(lost.len(), 99);
    for reply in lost {
        expect_error(reply, 400, "invalid_grant");
    }
    // Ninety-nine others had the code: nothing that came of it counts, wherever it is shown.
    for app in apps {
        assert_eq!(status_of(app, text(&won[0], "access_token")).await, 401);
        let dead = refresh(app, &board, text(&won[0], "refresh_token")).await;
        expect_error(dead, 400, "invalid_grant");
    }
    assert_eq!(count(app, "refresh_tokens").await, 0);
    assert_eq!(app.audited("code.replayed").await, 1);
    // The login is still there: the client asks for another code and goes on.
    let session = agreed.session;
    for app in apps {
        let grant = a_grant(app, &board, agreed.user, session, "openid");
        let code = code_for(app, grant).await;
        let anew = redeem(app, &board, &code).await.expect(200);
        refresh(app, &board, text(&anew, "refresh_token"))
            .await
            .expect(200);
    }
}

/// At each of the authorities in turn.
async fn fifty_refreshes(apps: &[&TestApp]) {
    let app = apps[0];
    let board = confidential(app, "board").await;
    let code = agree(app, &board, "openid").await.code;
    let first = redeem(app, &board, &code).await.expect(200);
    let mut token = text(&first, "refresh_token").to_owned();
    for _ in 0..2 {
        let replies = together(50, |number| {
            refresh(apps[number % apps.len()], &board, &token)
        })
        .await;
        let mut successors = BTreeSet::new();
        for reply in replies {
            let reply = reply.expect(200);
            for app in apps {
                assert_eq!(status_of(app, text(&reply, "access_token")).await, 200);
            }
            successors.insert(text(&reply, "refresh_token").to_owned());
        }
        assert_eq!(successors.len(), 1, "one live branch");
        assert_eq!(count(app, "refresh_tokens").await, 1);
        token = successors.into_iter().next().unwrap();
    }
    for app in apps {
        let reply = refresh(app, &board, &token).await.expect(200);
        text(&reply, "refresh_token").clone_into(&mut token);
    }
    assert_eq!(count(app, "refresh_tokens").await, 1);
    assert_eq!(app.audited("refresh_token.reused").await, 0);
}

async fn refreshing_while_the_grant_is_revoked_leaves_nothing_alive(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let first = redeem(&app, &board, &code).await.expect(200);
    let token = text(&first, "refresh_token").to_owned();
    let form = format!("token={token}");
    let revoked = ask(&app, "/oauth2/revoke", &board, &form);
    let (replies, revoked) = tokio::join!(together(20, |_| refresh(&app, &board, &token)), revoked);
    revoked.expect(200);
    assert_eq!(count(&app, "refresh_tokens").await, 0);
    for reply in replies {
        if reply.status == 200 {
            assert_eq!(status_of(&app, text(&reply, "access_token")).await, 401);
            let dead = refresh(&app, &board, text(&reply, "refresh_token")).await;
            expect_error(dead, 400, "invalid_grant");
        } else {
            expect_error(reply, 400, "invalid_grant");
        }
    }
}
