//! Invitations: a link that makes whoever follows it a member, once, as far as the inviter may.

use std::time::Duration;

use doorward::authority::invitations::{self, Acceptance, Accepted, InvitationError};
use doorward::domain::user::UserState;
use doorward::domain::{PlainToken, UserId};
use doorward::runtime::Clock;
use doorward::store::{StoreError, users};
use serde_json::{Value, json};

use crate::support::app::TestApp;

on_both_engines! {
    an_invitation_makes_one_user_a_member_and_is_used_up,
    who_may_not_give_the_role_may_not_invite_with_it,
    an_inviter_who_lost_the_right_invites_nobody,
    an_invitation_for_an_address_is_for_its_owner_only,
    an_invitation_ends_by_time_and_by_being_revoked,
    of_many_who_accept_at_once_one_does,
}

const INVITATIONS: &str = "/v1/organizations/acme/invitations";

async fn invite(app: &TestApp, by: &str, body: Value) -> (Value, PlainToken) {
    let reply = app.post(INVITATIONS).by(by).json(&body).await.expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    let link = reply.body["link"].as_str().unwrap().to_owned();
    let (path, token) = link.split_once("?token=").unwrap();
    assert_eq!(path, "http://127.0.0.1:7180/invitation");
    (reply.body, PlainToken::presented(token.to_owned()))
}

async fn accept(
    app: &TestApp,
    token: &PlainToken,
    user: UserId,
) -> Result<Accepted, InvitationError> {
    let acceptance = Acceptance::new(&app.authority, token, user).unwrap();
    app.authority
        .store
        .write(move |tx| invitations::accept(tx, &acceptance))
        .await
        .map(|written| written.value)
}

async fn an_invitation_makes_one_user_a_member_and_is_used_up(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let (view, token) = invite(&app, &owner.token, json!({ "role": "billing/viewer" })).await;
    assert_eq!(view["invited_by"], format!("user:{}", owner.id));
    let list = app
        .get(INVITATIONS)
        .by(&owner.token)
        .send()
        .await
        .expect(200);
    assert_eq!(list.body["items"][0]["id"], view["id"]);
    assert!(!list.body.to_string().contains(token.expose()));

    let digest = doorward::crypto::digest::token_digest(&token);
    let now = app.clock.now();
    let offer = app
        .authority
        .store
        .read::<_, StoreError>(move |tx| invitations::offer(tx, digest, now))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(offer.organization.slug.to_string(), "acme");
    assert_eq!(offer.role.key.to_string(), "billing/viewer");

    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let accepted = accept(&app, &token, ada).await.unwrap();
    assert_eq!(accepted.role.to_string(), "billing/viewer");
    let member = format!("/v1/organizations/acme/members/{ada}");
    let member = app.get(member).by(&owner.token).send().await.expect(200);
    assert_eq!(member.body["role"], "billing/viewer");
    assert_eq!(
        accept(&app, &token, bob).await,
        Err(InvitationError::NotOpen)
    );
    let list = app
        .get(INVITATIONS)
        .by(&owner.token)
        .send()
        .await
        .expect(200);
    assert_eq!(list.body["items"], json!([]));
    for (event, rows) in [
        ("invitation.created", 1),
        ("invitation.accepted", 1),
        ("member.added", 1),
    ] {
        assert_eq!(app.audited(event).await, rows, "{event}");
    }
}

async fn who_may_not_give_the_role_may_not_invite_with_it(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let admin = app.member_of("acme", "auth/admin").await;
    let member = app.member_of("acme", "auth/member").await;
    let stranger = app.person("stranger").await;
    let ask = |by: String, role: &'static str| {
        let call = app.post(INVITATIONS).by(&by);
        async move { call.json(&json!({ "role": role })).await }
    };
    ask(owner.token.clone(), "auth/owner").await.expect(201);
    ask(admin.token.clone(), "auth/member").await.expect(201);
    ask(admin.token.clone(), "auth/owner").await.expect(403);
    // Guarded by a permission of billing's own, which an admin does not hold.
    ask(admin.token.clone(), "billing/treasurer")
        .await
        .expect(403);
    ask(member.token.clone(), "auth/member").await.expect(403);
    ask(stranger.token.clone(), "auth/member").await.expect(404);
    ask(owner.token.clone(), "auth/operator").await.expect(403);
    ask(owner.token.clone(), "billing/legacy").await.expect(409);
    ask(owner.token.clone(), "billing/nothing")
        .await
        .expect(422);
    app.get(INVITATIONS)
        .by(&member.token)
        .send()
        .await
        .expect(403);
    for seconds in [0, 59, 30 * 24 * 3600 + 1] {
        app.post(INVITATIONS)
            .by(&owner.token)
            .json(&json!({ "role": "auth/member", "expires_in_seconds": seconds }))
            .await
            .expect(422);
    }
}

async fn an_inviter_who_lost_the_right_invites_nobody(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let admin = app.member_of("acme", "auth/admin").await;
    let suspended = app.member_of("acme", "auth/admin").await;
    let (_, first) = invite(&app, &admin.token, json!({ "role": "auth/member" })).await;
    let (_, second) = invite(&app, &suspended.token, json!({ "role": "auth/member" })).await;
    let (_, third) = invite(&app, app.operator(), json!({ "role": "auth/owner" })).await;
    app.put(format!("/v1/organizations/acme/members/{}", admin.id))
        .by(&owner.token)
        .json(&json!({ "role": "auth/member" }))
        .await
        .expect(200);
    app.suspend(suspended.id).await;
    let ada = app.user("ada").await;
    assert_eq!(
        accept(&app, &first, ada).await,
        Err(InvitationError::Withdrawn)
    );
    assert_eq!(
        accept(&app, &second, ada).await,
        Err(InvitationError::Withdrawn)
    );
    accept(&app, &third, ada).await.unwrap();
    assert_eq!(app.audited("invitation.accepted").await, 1);
}

async fn an_invitation_for_an_address_is_for_its_owner_only(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let email = app
        .authority
        .store
        .read::<_, StoreError>(move |tx| Ok(users::find(tx, ada)?.unwrap().email))
        .await
        .unwrap()
        .to_uppercase();
    let body = json!({ "role": "auth/member", "email": email });
    let (_, token) = invite(&app, &owner.token, body).await;
    assert_eq!(
        accept(&app, &token, bob).await,
        Err(InvitationError::OtherAddress)
    );
    accept(&app, &token, ada).await.unwrap();
}

async fn an_invitation_ends_by_time_and_by_being_revoked(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let ada = app.user("ada").await;
    let body = json!({ "role": "auth/member", "expires_in_seconds": 60 });
    let (_, short) = invite(&app, &owner.token, body).await;
    let (view, revoked) = invite(&app, &owner.token, json!({ "role": "auth/member" })).await;
    let path = format!("{INVITATIONS}/{}", view["id"].as_str().unwrap());
    app.delete(&path).by(&owner.token).send().await.expect(200);
    app.delete(&path).by(&owner.token).send().await.expect(404);
    assert_eq!(
        accept(&app, &revoked, ada).await,
        Err(InvitationError::NotOpen)
    );
    app.clock.advance(Duration::from_mins(1));
    assert_eq!(
        accept(&app, &short, ada).await,
        Err(InvitationError::NotOpen)
    );
    let (_, token) = invite(&app, app.operator(), json!({ "role": "auth/member" })).await;
    app.authority
        .store
        .write::<_, StoreError>(move |tx| users::put_state(tx, ada, UserState::Deleted, 1))
        .await
        .unwrap();
    accept(&app, &token, ada).await.unwrap_err();
}

async fn of_many_who_accept_at_once_one_does(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let (_, token) = invite(&app, &owner.token, json!({ "role": "auth/member" })).await;
    let mut all = Vec::new();
    for index in 0..10 {
        all.push(app.user(&format!("user{index}")).await);
    }
    let tries = all.iter().map(|user| accept(&app, &token, *user)).collect();
    let outcomes = join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(app.audited("member.added").await, 1);
}

async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut waiting = false;
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *slot = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
