//! What a bearer tries who may do less.

use doorward::authority::access::Denied;
use doorward::authority::credentials::{AuthError, Doer, authenticate, clients};
use doorward::protocol::jose::{AccessTokenClaims, Audience};
use doorward::runtime::Clock;
use doorward::store::feed;
use serde_json::{Value, json};

use crate::support::app::TestApp;

on_both_engines! {
    whoever_is_let_in_before_the_client_is_retired_changes_nothing_after,
    the_open_stream_of_a_revoked_sidecar_ends,
    a_role_guarded_by_what_everybody_may_is_given_by_roles_alone,
    an_old_slug_leads_to_the_whole_path_however_it_is_spelled,
    a_token_counts_within_its_bounds_only,
    methods_that_somebody_makes_up_share_one_counter,
    names_that_lie_on_a_screen_are_refused,
    a_sidecar_whose_client_was_retired_by_name_can_still_be_put_out,
}

/// A sidecar's id, its client and a token of it.
async fn sidecar(app: &TestApp) -> (String, String, String) {
    let invited = app
        .post("/v1/sidecars/join-tokens")
        .by(app.operator())
        .json(&json!({ "name": "edge" }))
        .await
        .expect(201);
    let joined = app
        .post("/v1/sidecars/enroll")
        .json(&json!({ "join_token": invited.body["join_token"] }))
        .await
        .expect(201);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (id, client) = (
        text(&joined.body["sidecar_id"]),
        text(&joined.body["client_id"]),
    );
    let body = format!(
        "grant_type=client_credentials&client_id={client}&client_secret={}",
        text(&joined.body["client_secret"])
    );
    let issued = app
        .post("/oauth2/token")
        .bytes("application/x-www-form-urlencoded", body)
        .await
        .expect(200);
    (id, client, text(&issued.body["access_token"]))
}

async fn retire(app: &TestApp, client: &str) {
    let doer = Doer::Host("test".to_owned());
    let client = client.parse().unwrap();
    clients::retire(&app.authority, &doer, client)
        .await
        .unwrap();
}

async fn whoever_is_let_in_before_the_client_is_retired_changes_nothing_after(app: TestApp) {
    let (_, client, token) = sidecar(&app).await;
    let ada = app.person("ada").await;
    let by_sidecar = authenticate(&app.authority, &token).await.unwrap();
    let by_ada = authenticate(&app.authority, &ada.token).await.unwrap();
    let ask = async || {
        let access = app.authority.access.clone();
        let (sidecar, person) = (by_sidecar.clone(), by_ada.clone());
        app.authority
            .store
            .read::<_, Denied>(move |tx| {
                Ok((
                    access.check_installation(tx, &sidecar, "auth:feed:read"),
                    access.check_account(tx, &person, ada.id),
                ))
            })
            .await
            .unwrap()
    };
    let (feed, account) = ask().await;
    assert!(feed.is_ok() && account.is_ok());
    retire(&app, &client).await;
    retire(&app, "doorward-cli").await;
    let (feed, account) = ask().await;
    assert_eq!(feed, Err(Denied::Inactive));
    assert_eq!(account, Err(Denied::Inactive));
}

async fn the_open_stream_of_a_revoked_sidecar_ends(app: TestApp) {
    app.authority.feed.start().unwrap();
    let (id, _, token) = sidecar(&app).await;
    let head = app
        .authority
        .store
        .read(|tx| feed::head(tx))
        .await
        .unwrap()
        .position;
    let path = format!(
        "/v1/feeds/authz/changes?epoch={}&revision={}&chain={}&schema={}",
        head.epoch,
        head.revision,
        head.chain,
        doorward::protocol::feed::FEED_SCHEMA,
    );
    let stream = app.get(path).by(&token).send();
    let revoke = async {
        // Only once it streams is there something to end.
        while app.authority.feed.fleet().all().is_empty() {
            tokio::task::yield_now().await;
        }
        app.delete(format!("/v1/sidecars/{id}"))
            .by(app.operator())
            .send()
            .await
            .expect(200);
    };
    // The answer is whole only when the stream has ended. The deadline is far off: it only keeps a
    // stream that was refused, or never ends, from holding up everything else.
    let both = async { tokio::join!(stream, revoke) };
    let (ended, ()) = tokio::time::timeout(std::time::Duration::from_mins(1), both)
        .await
        .expect("the stream begins, and ends once its sidecar is revoked");
    ended.expect(200);
}

async fn a_role_guarded_by_what_everybody_may_is_given_by_roles_alone(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let role = |guard: &str| {
        format!(
            r#"{{"service":"vault","permissions":{{"secret":{{"read":null}}}},
               "roles":{{"keeper":{{"permissions":["secret:read"],"assignable_by":"auth:{guard}"}}}}}}"#
        )
    };
    for guard in ["member:remove", "member:read", "organization:read"] {
        app.sync(&role(guard)).await;
        let guest = app.member_of("acme", "billing/viewer").await;
        let own = format!(
            "/v1/organizations/acme/members/{}/roles/vault/keeper",
            guest.id
        );
        // Everybody sees and ends the own membership: that is no right to give oneself a role.
        app.put(&own)
            .by(&guest.token)
            .send()
            .await
            .expect_problem(403, "forbidden");
        app.put(&own).by(&ada.token).send().await.expect(200);
        app.delete(&own)
            .by(&guest.token)
            .send()
            .await
            .expect_problem(403, "forbidden");
    }
}

async fn an_old_slug_leads_to_the_whole_path_however_it_is_spelled(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let bob = app.member_of("acme", "auth/member").await;
    app.patch("/v1/organizations/acme")
        .by(&ada.token)
        .json(&json!({ "slug": "apex" }))
        .await
        .expect(200);
    for spelled in ["acme", "%61cme", "a%63m%65"] {
        let member = format!("/v1/organizations/{spelled}/members/{}", bob.id);
        let moved = app
            .delete(&member)
            .by(&ada.token)
            .send()
            .await
            .expect_problem(308, "moved");
        assert_eq!(
            moved.header("location"),
            format!("/v1/organizations/apex/members/{}", bob.id),
            "{member}"
        );
    }
    let moved = app
        .get("/v1/organizations/%61cme?x=/y")
        .by(&ada.token)
        .send()
        .await
        .expect_problem(308, "moved");
    assert_eq!(moved.header("location"), "/v1/organizations/apex?x=/y");
}

async fn a_token_counts_within_its_bounds_only(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let now = app.clock.now().unix_seconds();
    let issuer = app.authority.config.issuer.to_string();
    let claims = AccessTokenClaims {
        iss: issuer.clone(),
        sub: ada.id.to_string(),
        aud: Audience::One(issuer),
        exp: now + 60,
        iat: now,
        nbf: None,
        jti: "1".to_owned(),
        client_id: "doorward-cli".parse().unwrap(),
        scope: "doorward:organizations".to_owned(),
        dw_epoch: 0,
        dw_client_epoch: Some(0),
        dw_client: None,
        dw_org: None,
        sid: None,
        gid: None,
        cnf: None,
    };
    let (organization, session) = (
        app.organization("acme").await,
        "0198c0de-0000-7000-8000-000000000001".parse().unwrap(),
    );
    let grant = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
    let present = async |claims: &AccessTokenClaims| {
        let token = app.authority.keys.sign(claims).unwrap();
        authenticate(&app.authority, &token).await
    };
    assert!(present(&claims).await.is_ok());
    app.owner_of("other").await;
    app.join("other", ada.id, "auth/owner").await;
    let bound = AccessTokenClaims {
        dw_org: Some(organization),
        ..claims.clone()
    };
    let token = app.authority.keys.sign(&bound).unwrap();
    for (path, status) in [
        ("/v1/organizations/acme", 200),
        ("/v1/organizations/other", 404),
        ("/v1/organizations/other/members", 404),
        ("/v1/organizations", 403),
    ] {
        app.get(path).by(&token).send().await.expect(status);
        let anywhere = app.get(path).by(&ada.token).send().await;
        assert_eq!(anywhere.status, 200, "{path}");
    }
    for gone in [
        AccessTokenClaims {
            sid: Some(session),
            ..claims.clone()
        },
        AccessTokenClaims {
            gid: Some(grant),
            ..claims.clone()
        },
    ] {
        assert_eq!(present(&gone).await, Err(AuthError::Revoked));
    }
}

async fn methods_that_somebody_makes_up_share_one_counter(app: TestApp) {
    for method in ["XQJZ1", "XQJZ2", "XQJZ3"] {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        app.call(method, "/healthz").send().await.expect(405);
    }
    let metrics = app.get("/metrics").send().await.expect(200);
    let metrics = metrics.body.as_str().unwrap();
    assert!(!metrics.contains("XQJZ"), "{metrics}");
    assert!(metrics.contains(r#"method="other""#), "{metrics}");
}

async fn names_that_lie_on_a_screen_are_refused(app: TestApp) {
    let ada = app.owner_of("acme").await;
    for (what, text) in [
        ("a null byte", "a\u{0}b"),
        ("an escape", "a\u{1b}[2Jb"),
        ("a bidirectional override", "gro\u{202e}emca"),
        ("an isolate", "a\u{2066}b"),
        ("a line separator", "a\u{2028}b"),
        ("an invisible tag", "a\u{e0041}b"),
    ] {
        app.patch("/v1/organizations/acme")
            .by(&ada.token)
            .json(&json!({ "name": text }))
            .await
            .expect_problem(422, "invalid-request");
        for (path, body) in [
            ("/v1/users", json!({ "display_name": text })),
            ("/v1/sidecars/join-tokens", json!({ "name": text })),
            (
                "/v1/clients",
                json!({ "client_id": "x", "kind": "operator", "name": text }),
            ),
        ] {
            let reply = app.post(path).by(app.operator()).json(&body).await;
            assert_eq!(reply.status, 422, "{what} in {path}: {reply:#?}");
        }
    }
}

async fn a_sidecar_whose_client_was_retired_by_name_can_still_be_put_out(app: TestApp) {
    let (id, client, _) = sidecar(&app).await;
    retire(&app, &client).await;
    let path = format!("/v1/sidecars/{id}");
    for _ in 0..2 {
        app.delete(&path)
            .by(app.operator())
            .send()
            .await
            .expect(200);
    }
    let shown = app.get(&path).by(app.operator()).send().await.expect(200);
    assert!(shown.body["revoked_at"].is_string(), "{shown:#?}");
    assert_eq!(app.audited("sidecar.revoked").await, 1);
}
