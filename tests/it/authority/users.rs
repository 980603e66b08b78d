//! Users: made by operators before their first login, seen by operators and by themselves.

use std::time::Duration;

use doorward::domain::{
    AccountId, ClientId, ClientIdentifier, ClientKind, GrantId, Scopes, SessionId, TokenDigest,
    UserId,
};
use doorward::runtime::Clock;
use doorward::store::accounts::{self, Account, AccountDetails, SealedTokens};
use doorward::store::clients::{self, Client, ClientState};
use doorward::store::sessions::{self, NewSession, Session};
use doorward::store::{StoreError, Val};
use serde_json::json;

use crate::support::app::TestApp;

on_both_engines! {
    an_operator_makes_a_user_whose_address_is_optional,
    users_see_themselves_and_nobody_else,
    a_profile_that_cannot_be_is_refused_at_its_field,
    operators_find_users_by_id_and_by_how_address_or_name_begin,
    a_suspended_user_is_refused_at_once_and_restored_signed_out,
    an_erased_user_leaves_an_id_and_the_audit_log,
    an_export_tells_everything_held_on_a_person_and_no_secret,
    only_operators_touch_users_and_never_themselves,
    the_last_owner_of_an_organization_is_not_erased,
}

async fn an_operator_makes_a_user_whose_address_is_optional(app: TestApp) {
    let made = app
        .post("/v1/users")
        .by(app.operator())
        .json(&json!({
            "display_name": "Ada",
            "account": { "provider": "google", "provider_account_id": "10769150350006150715" },
        }))
        .await
        .expect(201);
    made.freshness();
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.body["email"], format!("{id}@users.invalid"));
    assert_eq!(made.header("location"), format!("/v1/users/{id}"));

    app.post("/v1/users")
        .by(app.operator())
        .json(&json!({
            "display_name": "Eve",
            "account": { "provider": "google", "provider_account_id": "10769150350006150715" },
        }))
        .await
        .expect_problem(409, "account-taken");
    let addressed = json!({ "display_name": "Bob", "email": "bob@example.com" });
    app.post("/v1/users")
        .by(app.operator())
        .json(&addressed)
        .await
        .expect(201);
    app.post("/v1/users")
        .by(app.operator())
        .json(&addressed)
        .await
        .expect_problem(409, "email-taken");
    let list = app
        .get("/v1/users")
        .by(app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().len(), 2);
}

async fn users_see_themselves_and_nobody_else(app: TestApp) {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    app.get(format!("/v1/users/{}", ada.id))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    app.get(format!("/v1/users/{}", bob.id))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(404, "not-found");
    app.get("/v1/users")
        .by(&ada.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.post("/v1/users")
        .by(&ada.token)
        .json(&json!({ "display_name": "Eve" }))
        .await
        .expect_problem(403, "insufficient-scope");
}

async fn a_profile_that_cannot_be_is_refused_at_its_field(app: TestApp) {
    for (body, pointer) in [
        (json!({ "display_name": " " }), "/display_name"),
        (json!({ "display_name": "A", "email": "nobody" }), "/email"),
        (
            json!({ "display_name": "A", "account": { "provider": "Google!", "provider_account_id": "1" } }),
            "/account/provider",
        ),
        (json!({ "display_name": "A", "admin": true }), "/admin"),
    ] {
        let refused = app
            .post("/v1/users")
            .by(app.operator())
            .json(&body)
            .await
            .expect_problem(422, "invalid-request");
        assert_eq!(refused.pointer(), pointer, "{body}");
    }
}

/// Everything that can be held on a person: an account with tokens, a session, a grant, a consent.
async fn with_traces(app: &TestApp, user: UserId) {
    let (now, entropy) = (app.clock.now(), &app.entropy);
    let account = Account {
        id: AccountId::mint(now, entropy.id_bits()),
        user_id: user,
        provider: "google".to_owned(),
        subject: format!("subject-{user}"),
        email: Some("traces@example.com".to_owned()),
        email_verified: true,
        created_at: now,
        last_login_at: now,
    };
    let session = Session {
        id: SessionId::mint(now, entropy.id_bits()),
        user_id: user,
        created_at: now,
        expires_at: now.plus(Duration::from_hours(24)),
        provider: "google".to_owned(),
        upstream_subject: account.subject.clone(),
        upstream_sid: None,
        authenticated_at: now,
        amr: vec!["pwd".to_owned()],
        acr: None,
        user_agent: Some("Netscape".to_owned()),
        address: Some("192.0.2.0/24".to_owned()),
        last_seen_at: now,
        idle_expires_at: now.plus(Duration::from_hours(1)),
    };
    let client = Client {
        id: ClientId::mint(now, entropy.id_bits()),
        identifier: "shop".parse::<ClientIdentifier>().unwrap(),
        name: "Shop".to_owned(),
        kind: ClientKind::App,
        scopes: Scopes::parse("openid").unwrap(),
        state: ClientState::Active,
        token_epoch: 0,
        created_at: now,
    };
    let grant = GrantId::mint(now, entropy.id_bits());
    app.authority
        .store
        .write::<_, StoreError>(move |tx| {
            accounts::insert(tx, &account)?;
            let details = AccountDetails {
                email: account.email.clone(),
                email_verified: true,
                last_login_at: now,
            };
            accounts::put_details(tx, account.id, &details)?;
            let tokens = SealedTokens {
                access: Some("sealed-access-token".to_owned()),
                ..SealedTokens::default()
            };
            accounts::put_tokens(tx, account.id, &tokens, now)?;
            sessions::insert(
                tx,
                &NewSession {
                    session: session.clone(),
                    digest: TokenDigest::from_bytes([7; 32]),
                },
            )?;
            clients::insert(tx, &client, None)?;
            tx.exec(
                "INSERT INTO grants (id, client_id, user_id, session_id, binding, scope, \
                 resources, authenticated_at, amr, created_at, last_used_at, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, 'session', 'openid email', ?7, ?5, '', ?5, ?5, ?6)",
                &[
                    grant.into(),
                    client.id.into(),
                    user.into(),
                    session.id.into(),
                    now.into(),
                    now.plus(Duration::from_hours(24)).into(),
                    Vec::<String>::new().into(),
                ],
            )?;
            tx.exec(
                "INSERT INTO consents (user_id, client_id, scope, granted_at) \
                 VALUES (?1, ?2, 'email', ?3)",
                &[user.into(), client.id.into(), now.into()],
            )?;
            tx.exec(
                "INSERT INTO user_details (user_id, locale, last_login_at) VALUES (?1, 'de', ?2)",
                &[user.into(), now.into()],
            )
        })
        .await
        .unwrap();
}

async fn count(app: &TestApp, sql: &'static str, user: UserId) -> i64 {
    app.authority
        .store
        .read::<_, StoreError>(move |tx| tx.rows(sql, &[Val::from(user)])?[0].int(0))
        .await
        .unwrap()
}

async fn operators_find_users_by_id_and_by_how_address_or_name_begin(app: TestApp) {
    let mut made = Vec::new();
    for (name, email) in [
        ("Ada Lovelace", "ada@example.com"),
        ("Adam_Smith", "smith@example.com"),
        ("Grace 100% Hopper", "grace@example.com"),
    ] {
        let reply = app
            .post("/v1/users")
            .by(app.operator())
            .json(&json!({ "display_name": name, "email": email }))
            .await
            .expect(201);
        made.push(reply.body["id"].as_str().unwrap().to_owned());
    }
    let find = |query: &str| {
        let call = app.get(format!("/v1/users?{query}")).by(app.operator());
        async move {
            let items = call.send().await.expect(200).body["items"].take();
            let id = |item: &serde_json::Value| item["id"].as_str().unwrap().to_owned();
            items.as_array().unwrap().iter().map(id).collect::<Vec<_>>()
        }
    };
    // In order of id, which within a millisecond is chance.
    let (ada, adam, grace) = (&made[0], &made[1], &made[2]);
    let mut both = vec![ada.clone(), adam.clone()];
    both.sort();
    assert_eq!(find("search=ada").await, both);
    assert_eq!(find("search=ADA%40").await, std::slice::from_ref(ada));
    assert_eq!(find("search=smith").await, std::slice::from_ref(adam));
    assert_eq!(
        find("search=grace%20100%25").await,
        std::slice::from_ref(grace)
    );
    assert_eq!(find("search=adam_").await, std::slice::from_ref(adam));
    assert!(find("search=_dam").await.is_empty());
    assert_eq!(
        find(&format!("search={grace}")).await,
        std::slice::from_ref(grace)
    );
    assert_eq!(find("search=ada&limit=1").await, both[..1]);
    let rest = format!("search=ada&limit=1&after={}", both[0]);
    assert_eq!(find(&rest).await, both[1..]);
}

async fn a_suspended_user_is_refused_at_once_and_restored_signed_out(app: TestApp) {
    let ada = app.person("ada").await;
    with_traces(&app, ada.id).await;
    let path = format!("/v1/users/{}", ada.id);
    let own = || app.get(&path).by(&ada.token).send();
    own().await.expect(200);
    for _ in 0..2 {
        let reply = app
            .post(format!("{path}/suspend"))
            .by(app.operator())
            .send()
            .await
            .expect(200);
        assert_eq!(reply.body["state"], "suspended");
        reply.freshness();
    }
    own().await.expect(401);
    let sessions = "SELECT count(*) FROM sessions WHERE user_id = ?1";
    assert_eq!(count(&app, sessions, ada.id).await, 0);
    let live = "SELECT count(*) FROM grants WHERE user_id = ?1 AND revoked_at IS NULL";
    assert_eq!(count(&app, live, ada.id).await, 0);
    let restored = app
        .post(format!("{path}/restore"))
        .by(app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(restored.body["state"], "active");
    own().await.expect(401);
    let again = app.token(ada.id).await;
    app.get(&path).by(&again).send().await.expect(200);
    app.post(format!("{path}/sign-out"))
        .by(app.operator())
        .send()
        .await
        .expect(200);
    app.get(&path).by(&again).send().await.expect(401);
    for event in ["user.suspended", "user.restored", "user.signed_out"] {
        assert_eq!(app.audited(event).await, 1, "{event}");
    }
}

async fn an_erased_user_leaves_an_id_and_the_audit_log(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let ada = app.member_of("acme", "auth/member").await;
    with_traces(&app, ada.id).await;
    let path = format!("/v1/users/{}", ada.id);
    let email = app
        .get(&path)
        .by(app.operator())
        .send()
        .await
        .expect(200)
        .body["email"]
        .as_str()
        .unwrap()
        .to_owned();
    app.post("/v1/organizations/acme/invitations")
        .by(&owner.token)
        .json(&json!({ "role": "auth/member", "email": email }))
        .await
        .expect(201);
    let erased = app
        .delete(&path)
        .by(app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(erased.body["state"], "deleted");
    assert_eq!(erased.body["display_name"], "erased user");
    assert_eq!(erased.body["email"], format!("{}@users.invalid", ada.id));
    app.get(&path).by(&ada.token).send().await.expect(401);
    for sql in [
        "SELECT count(*) FROM oauth_accounts WHERE user_id = ?1",
        "SELECT count(*) FROM sessions WHERE user_id = ?1",
        "SELECT count(*) FROM grants WHERE user_id = ?1",
        "SELECT count(*) FROM consents WHERE user_id = ?1",
        "SELECT count(*) FROM user_details WHERE user_id = ?1",
        "SELECT count(*) FROM organization_members WHERE user_id = ?1",
        "SELECT count(*) FROM organization_invitations WHERE organization_id <> ?1",
    ] {
        assert_eq!(count(&app, sql, ada.id).await, 0, "{sql}");
    }
    assert_eq!(app.audited("user.erased").await, 1);
    for again in [
        app.delete(&path).by(app.operator()).send().await,
        app.post(format!("{path}/restore"))
            .by(app.operator())
            .send()
            .await,
        app.post(format!("{path}/suspend"))
            .by(app.operator())
            .send()
            .await,
    ] {
        again.expect_problem(409, "user-erased");
    }
}

async fn an_export_tells_everything_held_on_a_person_and_no_secret(app: TestApp) {
    app.owner_of("acme").await;
    let ada = app.member_of("acme", "billing/viewer").await;
    with_traces(&app, ada.id).await;
    let path = format!("/v1/users/{}/export", ada.id);
    let export = app.post(&path).by(app.operator()).send().await.expect(200);
    assert_eq!(export.header("cache-control"), "no-store");
    let body = &export.body;
    assert_eq!(body["user"]["id"], ada.id.to_string());
    assert_eq!(body["locale"], "de");
    assert_eq!(body["accounts"][0]["email"], "traces@example.com");
    assert_eq!(body["accounts"][0]["tokens_kept"], true);
    assert_eq!(body["sessions"][0]["user_agent"], "Netscape");
    assert_eq!(body["grants"][0]["client_id"], "shop");
    assert_eq!(body["consents"][0]["scope"], "email");
    assert_eq!(body["roles"][0]["role"], "billing/viewer");
    assert_eq!(body["audit_truncated"], false);
    let text = body.to_string();
    assert!(!text.contains("sealed-access-token"), "{text}");
    assert!(
        !text.contains(&TokenDigest::from_bytes([7; 32]).to_hex()),
        "{text}"
    );
    // The next one tells of this one.
    let again = app.post(&path).by(app.operator()).send().await.expect(200);
    let told = again.body["audit"].as_array().unwrap();
    assert!(told.iter().any(|row| row["event"] == "user.exported"));
}

async fn only_operators_touch_users_and_never_themselves(app: TestApp) {
    let ada = app.person("ada").await;
    app.join("system", ada.id, "auth/operator").await;
    let operating = app.token_with(ada.id, "doorward:admin").await;
    let bob = app.person("bob").await;
    for what in ["suspend", "restore", "sign-out", "export"] {
        app.post(format!("/v1/users/{}/{what}", ada.id))
            .by(&bob.token)
            .send()
            .await
            .expect(403);
        app.post(format!("/v1/users/{}/{what}", UserId::from_u128(1)))
            .by(app.operator())
            .send()
            .await
            .expect(404);
    }
    app.delete(format!("/v1/users/{}", ada.id))
        .by(&bob.token)
        .send()
        .await
        .expect(403);
    let own = format!("/v1/users/{}", ada.id);
    app.delete(&own)
        .by(&operating)
        .send()
        .await
        .expect_problem(409, "yourself");
    app.post(format!("{own}/suspend"))
        .by(&operating)
        .send()
        .await
        .expect_problem(409, "yourself");
    app.post(format!("/v1/users/{}/suspend", bob.id))
        .by(&operating)
        .send()
        .await
        .expect(200);
}

async fn the_last_owner_of_an_organization_is_not_erased(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let path = format!("/v1/users/{}", owner.id);
    app.delete(&path)
        .by(app.operator())
        .send()
        .await
        .expect_problem(409, "last-owner");
    app.get(&path).by(&owner.token).send().await.expect(200);
    app.member_of("acme", "auth/owner").await;
    app.delete(&path)
        .by(app.operator())
        .send()
        .await
        .expect(200);
}
