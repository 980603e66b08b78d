//! RFC 9700 (Best Current Practice for OAuth 2.0 Security), requirement by requirement.

use std::collections::BTreeSet;

use doorward::domain::app::AuthMethod;

use super::relying_party::{Auth, FORM};
use crate::oauth::world::{
    Answered, CALLBACK, CHALLENGE, SECRET, VERIFIER, World, app, encode, parameters, request,
};

/// §2.1, §4.1.3: exact string comparison of redirect URIs.
#[tokio::test]
async fn s2_1_redirect_uris_are_compared_exactly() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    for uri in [
        "https://board.example/callback/",
        "https://board.example/callback?a=b",
        "https://board.example/callback#x",
        "https://board.example/callback/../callback",
        "https://board.example/CALLBACK",
        "https://board.example:443/callback",
        "https://sub.board.example/callback",
        "http://board.example/callback",
        "https://board.example%2fcallback",
    ] {
        let reply = world.authorize(Some(&ada), &[("redirect_uri", uri)]).await;
        assert!(reply.page(400).contains("invalid_request"));
    }
}

/// §2.1, §4.11.2: no redirect to what is not verified, so the server is no open redirector.
#[tokio::test]
async fn s4_11_2_an_unknown_target_gets_a_page() {
    let world = World::start().await;
    let evil = ("redirect_uri", "https://evil.example/");
    for (other, code) in [
        ([evil, ("prompt", "none")], "invalid_request"),
        ([evil, ("scope", "nonsense")], "invalid_request"),
        ([evil, ("client_id", "nobody")], "invalid_client"),
    ] {
        let reply = world.authorize(None, &other).await;
        assert!(reply.page(400).contains(code), "{code}: {reply:#?}");
    }
}

/// §2.1.1: PKCE for every client; §4.8.2: no downgrade.
#[tokio::test]
async fn s2_1_1_pkce_is_required_of_every_client_by_s256() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    for other in [
        vec![("code_challenge", ""), ("code_challenge_method", "")],
        vec![("code_challenge", "")],
        vec![("code_challenge_method", "plain")],
        vec![("code_challenge_method", "")],
        vec![("code_challenge_method", "s256")],
    ] {
        world
            .authorize(Some(&ada), &other)
            .await
            .refused("invalid_request");
    }
}

/// §2.1.1, §4.5: a code is bound to its client, its redirect URI and its verifier.
#[tokio::test]
async fn s4_5_an_injected_code_is_refused() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let mut public = app("other");
    public.spec.auth_method = AuthMethod::None;
    world.register(public).await;
    let redeem = async |client: Option<&str>, verifier: &str, uri: &str| {
        let code = world.code(&ada, &[]).await;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", uri),
            ("code_verifier", verifier),
        ];
        let reply = match client {
            Some(client) => {
                form.push(("client_id", client));
                world
                    .app
                    .post("/oauth2/token")
                    .bytes(FORM, encode(&form))
                    .await
            }
            None => world.token_request(Auth::Basic, &form).await,
        };
        (
            reply.status.as_u16(),
            reply.body["error"].as_str().map(str::to_owned),
        )
    };
    let refused = |error: &str| (400, Some(error.to_owned()));
    let long = "x".repeat(43);
    assert_eq!(
        redeem(Some("other"), VERIFIER, CALLBACK).await,
        refused("invalid_grant")
    );
    assert_eq!(
        redeem(None, &long, CALLBACK).await,
        refused("invalid_grant")
    );
    assert_eq!(
        redeem(None, VERIFIER, "https://board.example/other").await,
        refused("invalid_grant")
    );
    assert_eq!(
        redeem(None, CHALLENGE, CALLBACK).await,
        refused("invalid_grant")
    );
    assert_eq!(redeem(None, "", CALLBACK).await, refused("invalid_request"));
    assert_eq!(redeem(None, VERIFIER, CALLBACK).await, (200, None));
}

/// §4.5 and RFC 6749 §4.1.2: a code counts once; a replay ends what came of it.
#[tokio::test]
async fn s4_5_a_replayed_code_ends_its_grant() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let code = world
        .code(&ada, &[("scope", "openid offline_access")])
        .await;
    let tokens = world.redeem(&code).await.expect(200).body;
    let again = world.redeem(&code).await.expect(400);
    assert_eq!(again.body["error"], "invalid_grant");
    let dead = world.userinfo(tokens["access_token"].as_str().unwrap());
    dead.await.expect_problem(401, "unauthenticated");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    let reply = world.token_request(Auth::Basic, &form).await.expect(400);
    assert_eq!(reply.body["error"], "invalid_grant");
}

/// §2.1.2: no access token in an authorization response.
#[tokio::test]
async fn s2_1_2_there_is_no_implicit_grant() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    for kind in [
        "token",
        "id_token",
        "id_token token",
        "code token",
        "code id_token",
        "none",
    ] {
        let reply = world
            .authorize(Some(&ada), &[("response_type", kind)])
            .await;
        reply.refused("unsupported_response_type");
    }
    let mode = [("response_mode", "fragment")];
    world
        .authorize(Some(&ada), &mode)
        .await
        .refused("invalid_request");
}

/// §2.4: no resource owner password credentials grant.
#[tokio::test]
async fn s2_4_there_is_no_password_grant() {
    let world = World::start().await;
    let form = [
        ("grant_type", "password"),
        ("username", "ada"),
        ("password", "x"),
    ];
    let reply = world.token_request(Auth::Basic, &form).await.expect(400);
    assert_eq!(reply.body["error"], "unsupported_grant_type");
}

/// §2.1, §4.4.2: mix-up is prevented by the issuer in every answer (RFC 9207).
#[tokio::test]
async fn s4_4_2_every_answer_names_its_issuer() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let none = ("prompt", "none");
    for (browser, other, error) in [
        (Some(&ada), none, None),
        (None, none, Some("login_required")),
        (None, ("scope", "nonsense"), Some("invalid_scope")),
        (Some(&ada), ("scope", "nonsense"), Some("invalid_scope")),
        (None, ("max_age", "x"), Some("invalid_request")),
        (Some(&ada), ("max_age", "x"), Some("invalid_request")),
    ] {
        let answer = world.authorize(browser, &[other]).await.answer();
        assert_eq!(answer["iss"], world.issuer());
        assert_eq!(answer.get("error").map(String::as_str), error);
        assert_eq!(answer.contains_key("code"), error.is_none());
    }
    let document = world
        .app
        .get("/.well-known/oauth-authorization-server")
        .send()
        .await
        .body;
    assert_eq!(
        document["authorization_response_iss_parameter_supported"],
        true
    );
}

/// §4.12: redirects are 303, so that no browser sends a form on.
#[tokio::test]
async fn s4_12_redirects_are_never_307() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let form: Vec<(String, String)> = parameters(&request(&[])).into_iter().collect();
    let form: Vec<_> = form.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let reply = world.authorize(Some(&ada), &[]).await;
    assert!(reply.answer().contains_key("code"));
    let reply = world.authorize(None, &[]).await;
    assert!(reply.location().starts_with("/login?"), "{reply:#?}");
    for (browser, of_ours) in [(Some(&ada), true), (Some(&ada), false), (None, false)] {
        let path = "/oauth2/authorize";
        let reply = world.submit(browser, path, &form, of_ours).await;
        let resume = "/oauth2/authorize/resume?";
        assert!(reply.location().starts_with(resume), "{reply:#?}");
        let reply = world.visit(browser, reply.location()).await;
        match browser {
            Some(_) => assert!(reply.answer().contains_key("code")),
            None => assert!(reply.location().starts_with("/login?"), "{reply:#?}"),
        }
    }
    let prompt = [("prompt", "none")];
    let silent = world.authorize(None, &prompt).await;
    silent.refused("login_required");
}

/// §2.6: no CORS at the authorization endpoint, which is not called but visited.
#[tokio::test]
async fn s2_6_the_authorization_endpoint_has_no_cors() {
    let world = World::start().await;
    let path = format!("/oauth2/authorize?{}", request(&[]));
    let call = world
        .app
        .get(&path)
        .header("origin", "https://board.example");
    let reply = call.send().await;
    assert!(
        reply
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
    assert_eq!(reply.status.as_u16(), 303);
    let call = world.app.call(http::Method::OPTIONS, &path);
    let call = call.header("origin", "https://board.example");
    let reply = call
        .header("access-control-request-method", "GET")
        .send()
        .await;
    assert!(
        reply
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
    assert_eq!(reply.status.as_u16(), 405);
}

/// §2.6: metadata is published.
#[tokio::test]
async fn s2_6_metadata_is_published() {
    let world = World::start().await;
    let document = world
        .app
        .get("/.well-known/oauth-authorization-server")
        .send()
        .await;
    let document = document.expect(200).body;
    assert_eq!(document["issuer"], world.issuer());
    assert_eq!(
        document["code_challenge_methods_supported"],
        serde_json::json!(["S256"])
    );
}

/// §4.16: pages cannot be framed.
#[tokio::test]
async fn s4_16_pages_cannot_be_framed() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let mut foreign = app("foreign");
    foreign.spec.first_party = false;
    foreign.spec.redirect_uris = vec![CALLBACK.to_owned()];
    world.register(foreign).await;
    let consent = world
        .authorize(Some(&ada), &[("client_id", "foreign")])
        .await;
    let consent = world.visit(Some(&ada), consent.location()).await;
    let error = world.authorize(None, &[("client_id", "nobody")]).await;
    let logout = world.visit(Some(&ada), "/oauth2/logout").await;
    for reply in [consent, error, logout] {
        assert_eq!(reply.header("x-frame-options"), "DENY");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
}

/// §4.2.4: codes and states do not leak by the referrer, and are kept by no cache.
#[tokio::test]
async fn s4_2_4_nothing_leaks_by_referrer_or_cache() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let reply = world.authorize(Some(&ada), &[]).await;
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert_eq!(reply.header("cache-control"), "no-store");
    let code = reply.answer()["code"].clone();
    let reply = world.redeem(&code).await.expect(200);
    assert_eq!(reply.header("cache-control"), "no-store");
}

/// §4.2.4: a code is short-lived and good for one use.
#[tokio::test]
async fn s4_2_4_a_code_expires_within_a_minute() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let code = world.code(&ada, &[]).await;
    world.advance(60);
    let reply = world.redeem(&code).await.expect(400);
    assert_eq!(reply.body["error"], "invalid_grant");
}

/// §4.3.2: no access token in a URL.
#[tokio::test]
async fn s4_3_2_a_token_in_a_query_counts_for_nothing() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    world.userinfo(&tokens.access_token).await.expect(200);
    let path = format!("/oauth2/userinfo?access_token={}", tokens.access_token);
    let reply = world.app.get(path).send().await;
    let reply = reply.expect_problem(401, "unauthenticated");
    assert_eq!(
        reply.header("www-authenticate"),
        "Bearer realm=\"doorward\""
    );
}

/// §4.14.2: refresh tokens rotate, and one that is used again after its time ends the grant.
#[tokio::test]
async fn s4_14_2_a_reused_refresh_token_ends_the_grant() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world
        .flow(&ada, &[("scope", "openid offline_access")])
        .await;
    let refresh = async |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        world.token_request(Auth::Basic, &form).await
    };
    let old = tokens.refresh_token.unwrap();
    let next = refresh(&old).await.expect(200).body;
    let next = next["refresh_token"].as_str().unwrap();
    assert_ne!(next, old);
    world.advance(31);
    for dead in [old.as_str(), next] {
        let reply = refresh(dead).await.expect(400);
        assert_eq!(reply.body["error"], "invalid_grant");
    }
}

/// §2.3: access tokens are for one audience and for the scopes that were granted.
#[tokio::test]
async fn s2_3_access_tokens_are_restricted() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let resource = ("resource", "https://api.board.example");
    let code = world
        .code(&ada, &[resource, ("scope", "openid billing:read")])
        .await;
    let reply = world.redeem(&code).await.expect(200);
    let token = reply.body["access_token"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    let payload = data_encoding::BASE64URL_NOPAD
        .decode(payload.as_bytes())
        .unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["aud"], "https://api.board.example");
    let scope: BTreeSet<&str> = claims["scope"].as_str().unwrap().split(' ').collect();
    assert_eq!(scope, BTreeSet::from(["openid", "billing:read"]));
}

/// §2.5, §4.5: client authentication is enforced where there is a secret.
#[tokio::test]
async fn s2_5_a_confidential_client_has_to_authenticate() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let code = world.code(&ada, &[]).await;
    let form = |more: &[(&'static str, &'static str)]| {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", "board"),
        ];
        form.extend(more);
        encode(&form)
    };
    for more in [vec![], vec![("client_secret", "dwc_wrong")]] {
        let reply = world
            .app
            .post("/oauth2/token")
            .bytes(FORM, form(&more))
            .await
            .expect(401);
        assert_eq!(reply.body["error"], "invalid_client");
        assert!(reply.header("www-authenticate").starts_with("Basic"));
    }
    // Nor does the right secret count when it comes another way than the client registered.
    let other_way = form(&[("client_secret", SECRET)]);
    let reply = world.app.post("/oauth2/token").bytes(FORM, other_way).await;
    assert_eq!(reply.expect(401).body["error"], "invalid_client");
    world.redeem(&code).await.expect(200);
}

/// §4.15: a client cannot be taken for a user: its id is never a user's.
#[tokio::test]
async fn s4_15_a_clients_token_is_no_users() {
    let world = World::start().await;
    let body = encode(&[
        ("grant_type", "client_credentials"),
        ("client_id", "operator"),
        ("client_secret", &world.app.operator_secret),
    ]);
    let reply = world
        .app
        .post("/oauth2/token")
        .bytes(FORM, body)
        .await
        .expect(200);
    let token = reply.body["access_token"].as_str().unwrap();
    let reply = world.userinfo(token).await;
    let reply = reply.expect_problem(403, "insufficient-scope");
    let challenge = reply.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_scope\""));
}

/// §4.7: state comes back unchanged, whatever printable characters it has.
#[tokio::test]
async fn s4_7_state_comes_back_unchanged() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let state = "a b&c=d%20\"<>'+#?/\\";
    let answer = world
        .authorize(Some(&ada), &[("state", state)])
        .await
        .answer();
    assert_eq!(answer["state"], state);
}
