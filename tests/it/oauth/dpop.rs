//! Tokens bound to a key: with a proof of it, once, of this request, or not at all.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::digest::sha256;
use doorward::protocol::oauth::FORM;
use doorward::store::apps::App;
use doorward::store::{StoreError, grants, sessions};
use serde_json::{Value, json};

use super::client_auth::Key;
use super::tokens::{
    a_grant, agree, an_app, claims, code_for, code_form, expect_error, log_in, now, public, redeem,
    register, text,
};
use crate::support::app::{Reply, TestApp};

on_both_engines! {
    a_proof_needs_the_servers_nonce_and_binds_what_is_issued,
    a_bound_token_is_no_bearer_token_and_a_proof_counts_once,
    a_proof_is_of_this_method_url_token_and_time,
    a_public_clients_refresh_token_is_bound_to_its_key,
    a_refresh_with_another_key_or_by_another_client_is_no_use_of_anything,
    a_code_bound_by_its_request_wants_that_key,
}

/// A proof's claims, as they should be.
fn proof_claims(app: &TestApp, method: &str, path: &str, nonce: Option<&str>) -> Value {
    let mut claims = json!({
        "jti": BASE64URL_NOPAD.encode(&app.entropy.id_bits()),
        "htm": method,
        "htu": format!("{}{path}", app.authority.config.issuer),
        "iat": now(app).unix_seconds(),
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    claims
}

fn prove(key: &Key, claims: &Value) -> String {
    key.sign(
        &json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk }),
        claims,
    )
}

async fn with_proof(app: &TestApp, by: &App, form: &str, proof: &str) -> Reply {
    app.post("/oauth2/token")
        .header("dpop", proof)
        .bytes(FORM, format!("{form}&client_id={}", by.spec.identifier))
        .await
}

/// Refused with this word of RFC 9449 §7.1, or of RFC 6750 §3 where no proof is wrong.
#[track_caller]
fn expect_challenge(reply: Reply, error: &str) -> Reply {
    let reply = reply.expect_problem(401, "unauthenticated");
    let challenge = reply.header("www-authenticate");
    let told = format!("error=\"{error}\"");
    assert!(challenge.contains(&told), "{challenge}");
    reply
}

/// Asks, is given a nonce, and asks again.
pub async fn token(app: &TestApp, by: &App, key: &Key, form: &str) -> Reply {
    let bare = prove(key, &proof_claims(app, "POST", "/oauth2/token", None));
    let told = expect_error(
        with_proof(app, by, form, &bare).await,
        400,
        "use_dpop_nonce",
    );
    let nonce = told.header("dpop-nonce").to_owned();
    let proof = prove(
        key,
        &proof_claims(app, "POST", "/oauth2/token", Some(&nonce)),
    );
    with_proof(app, by, form, &proof).await
}

/// Shows a bound token to userinfo, with a proof changed by `change`.
async fn show(
    app: &TestApp,
    access: &str,
    key: &Key,
    nonce: &str,
    change: impl FnOnce(&mut Value),
) -> Reply {
    let mut claims = proof_claims(app, "GET", "/oauth2/userinfo", Some(nonce));
    claims["ath"] = json!(BASE64URL_NOPAD.encode(&sha256(access.as_bytes())));
    change(&mut claims);
    app.get("/oauth2/userinfo")
        .header("authorization", &format!("DPoP {access}"))
        .header("dpop", &prove(key, &claims))
        .send()
        .await
}

async fn a_proof_needs_the_servers_nonce_and_binds_what_is_issued(app: TestApp) {
    let spa = public(&app, "spa").await;
    let key = Key::new();
    let code = agree(&app, &spa, "openid").await.code;
    let reply = token(&app, &spa, &key, &code_form(&code)).await.expect(200);
    assert_eq!(reply.body["token_type"], "DPoP");
    let canonical = format!(
        r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
        key.jwk["x"], key.jwk["y"]
    );
    let thumbprint = BASE64URL_NOPAD.encode(&sha256(canonical.as_bytes()));
    assert_eq!(
        claims(text(&reply, "access_token"))["cnf"]["jkt"],
        thumbprint
    );
    let nonce = reply.header("dpop-nonce").to_owned();
    let access = text(&reply, "access_token");
    show(&app, access, &key, &nonce, |_| ()).await.expect(200);

    // A nonce counts for two windows at most.
    app.clock.advance(Duration::from_mins(10));
    let old = prove(
        &key,
        &proof_claims(&app, "POST", "/oauth2/token", Some(&nonce)),
    );
    let form = "grant_type=refresh_token&refresh_token=dwr_x";
    expect_error(
        with_proof(&app, &spa, form, &old).await,
        400,
        "use_dpop_nonce",
    );
}

async fn a_bound_token_is_no_bearer_token_and_a_proof_counts_once(app: TestApp) {
    let spa = public(&app, "spa").await;
    let key = Key::new();
    let code = agree(&app, &spa, "openid").await.code;
    let reply = token(&app, &spa, &key, &code_form(&code)).await.expect(200);
    let (access, nonce) = (text(&reply, "access_token"), reply.header("dpop-nonce"));
    let bearer = app.get("/oauth2/userinfo").by(access).send().await;
    expect_challenge(bearer, "invalid_token");
    let stolen = show(&app, access, &Key::new(), nonce, |_| ()).await;
    expect_challenge(stolen, "invalid_token");
    let once = |claims: &mut Value| claims["jti"] = json!("once");
    show(&app, access, &key, nonce, once).await.expect(200);
    let again = show(&app, access, &key, nonce, once).await;
    expect_challenge(again, "invalid_dpop_proof");

    let bare = show(&app, access, &key, nonce, |claims| {
        claims.as_object_mut().unwrap().remove("nonce");
    })
    .await;
    let bare = expect_challenge(bare, "use_dpop_nonce");
    assert_eq!(bare.header("dpop-nonce"), nonce);

    let plain = agree(&app, &spa, "openid").await.code;
    let plain = redeem(&app, &spa, &plain).await.expect(200);
    let unbound = show(&app, text(&plain, "access_token"), &key, nonce, |_| ()).await;
    unbound.expect(401);
}

async fn a_proof_is_of_this_method_url_token_and_time(app: TestApp) {
    let spa = public(&app, "spa").await;
    let key = Key::new();
    let code = agree(&app, &spa, "openid").await.code;
    let reply = token(&app, &spa, &key, &code_form(&code)).await.expect(200);
    let (access, nonce) = (text(&reply, "access_token"), reply.header("dpop-nonce"));
    let now = now(&app).unix_seconds();
    for (name, value, error) in [
        ("htm", json!("POST"), "invalid_dpop_proof"),
        (
            "htu",
            json!("http://127.0.0.1:7180/oauth2/token"),
            "invalid_dpop_proof",
        ),
        ("ath", json!("other"), "invalid_dpop_proof"),
        ("iat", json!(now - 601), "invalid_dpop_proof"),
        ("iat", json!(now + 61), "invalid_dpop_proof"),
        ("jti", json!(""), "invalid_dpop_proof"),
        ("nonce", json!("made-up"), "use_dpop_nonce"),
    ] {
        let change = |claims: &mut Value| claims[name] = value.clone();
        expect_challenge(show(&app, access, &key, nonce, change).await, error);
    }
    let claims = proof_claims(&app, "POST", "/oauth2/token", Some(nonce));
    let form = "grant_type=refresh_token&refresh_token=dwr_x";
    let mut private = key.jwk.clone();
    private["d"] = json!("AA");
    for header in [
        json!({ "typ": "JWT", "alg": "ES256", "jwk": key.jwk }),
        json!({ "typ": "dpop+jwt", "alg": "none", "jwk": key.jwk }),
        json!({ "typ": "dpop+jwt", "alg": "ES256" }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": private }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": Key::new().jwk }),
    ] {
        let reply = with_proof(&app, &spa, form, &key.sign(&header, &claims)).await;
        expect_error(reply, 400, "invalid_dpop_proof");
    }
}

async fn a_public_clients_refresh_token_is_bound_to_its_key(app: TestApp) {
    let spa = public(&app, "spa").await;
    let key = Key::new();
    let code = agree(&app, &spa, "openid").await.code;
    let first = token(&app, &spa, &key, &code_form(&code)).await.expect(200);
    let form = format!(
        "grant_type=refresh_token&refresh_token={}",
        text(&first, "refresh_token")
    );
    let other = token(&app, &spa, &Key::new(), &form).await;
    expect_error(other, 400, "invalid_grant");
    let none = super::tokens::ask(&app, "/oauth2/token", &spa, &form).await;
    expect_error(none, 400, "invalid_dpop_proof");
    let one = token(&app, &spa, &key, &form).await.expect(200);
    let two = token(&app, &spa, &key, &form).await.expect(200);
    assert_eq!(text(&one, "refresh_token"), text(&two, "refresh_token"));
}

async fn a_refresh_with_another_key_or_by_another_client_is_no_use_of_anything(app: TestApp) {
    let spa = public(&app, "spa").await;
    let other = public(&app, "other").await;
    let key = Key::new();
    let agreed = agree(&app, &spa, "openid").await;
    let first = token(&app, &spa, &key, &code_form(&agreed.code))
        .await
        .expect(200);
    let form = format!(
        "grant_type=refresh_token&refresh_token={}",
        text(&first, "refresh_token")
    );
    let (session, grant) = (agreed.session, agreed.grant);
    let noted = async || {
        app.authority
            .store
            .read::<_, StoreError>(move |tx| {
                let session = sessions::find(tx, session)?.unwrap();
                let grant = grants::find(tx, grant)?.unwrap();
                Ok((
                    session.last_seen_at,
                    session.idle_expires_at,
                    grant.last_used_at,
                ))
            })
            .await
            .unwrap()
    };
    let before = noted().await;
    app.clock.advance(Duration::from_mins(10));
    let stolen = token(&app, &spa, &Key::new(), &form).await;
    expect_error(stolen, 400, "invalid_grant");
    let unproved = super::tokens::ask(&app, "/oauth2/token", &spa, &form).await;
    expect_error(unproved, 400, "invalid_dpop_proof");
    let elsewhere = token(&app, &other, &key, &form).await;
    expect_error(elsewhere, 400, "invalid_grant");
    assert_eq!(noted().await, before);
    token(&app, &spa, &key, &form).await.expect(200);
    let (seen, idle, used) = noted().await;
    assert!(seen > before.0 && idle > before.1 && used > before.2);
}

async fn a_code_bound_by_its_request_wants_that_key(app: TestApp) {
    let mut strict = an_app(&app, "strict");
    strict.spec.dpop_bound = true;
    strict.spec.auth_method = doorward::domain::app::AuthMethod::None;
    register(&app, &strict).await;
    let user = app.user("ada").await;
    let session = log_in(&app, user).await;
    let mut grant = a_grant(&app, &strict, user, session, "openid");
    let key = Key::new();
    let canonical = format!(
        r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
        key.jwk["x"], key.jwk["y"]
    );
    grant.dpop_jkt = Some(BASE64URL_NOPAD.encode(&sha256(canonical.as_bytes())));
    let form = code_form(&code_for(&app, grant).await);
    expect_error(
        token(&app, &strict, &Key::new(), &form).await,
        400,
        "invalid_grant",
    );
    let none = super::tokens::ask(&app, "/oauth2/token", &strict, &form).await;
    expect_error(none, 400, "invalid_dpop_proof");
    token(&app, &strict, &key, &form).await.expect(200);
}
