//! `oidcc-basic-certification-test-plan`: flows, tokens and userinfo. PKCE is added to every request,
//! as every client here must.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::relying_party::{Auth, FORM};
use crate::oauth::world::{Answered, World};

#[tokio::test]
async fn oidcc_server() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    assert_eq!(tokens.claims["sub"], json!(ada.user));
    let said = world.userinfo(&tokens.access_token).await.expect(200);
    assert_eq!(said.body["sub"], tokens.claims["sub"]);
    assert!(tokens.claims["auth_time"].is_i64());
}

#[tokio::test]
async fn oidcc_server_client_secret_post() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let sql = "UPDATE client_details SET auth_method = 'client_secret_post'";
    world
        .app
        .authority
        .store
        .write::<_, doorward::store::StoreError>(move |tx| tx.exec(sql, &[]))
        .await
        .unwrap();
    let code = world.code(&ada, &[]).await;
    let reply = world.redeem_by(Auth::Post, &code).await.expect(200);
    world
        .verified(reply.body["id_token"].as_str().unwrap())
        .await;
}

#[tokio::test]
async fn oidcc_idtoken_signature() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    let header = tokens.id_token.split('.').next().unwrap();
    let header: Value =
        serde_json::from_slice(&BASE64URL_NOPAD.decode(header.as_bytes()).unwrap()).unwrap();
    assert_eq!(header["alg"], "RS256");
    assert!(header["kid"].is_string());
}

#[tokio::test]
async fn oidcc_userinfo_get() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    let said = world.userinfo(&tokens.access_token).await.expect(200);
    assert_eq!(said.header("content-type"), "application/json");
    assert_eq!(said.body["sub"], json!(ada.user));
}

#[tokio::test]
async fn oidcc_userinfo_post_header() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    let call = world.app.post("/oauth2/userinfo").by(&tokens.access_token);
    let said = call.bytes(FORM, "").await.expect(200);
    assert_eq!(said.body["sub"], json!(ada.user));
}

/// OAuth 2.1 §5.1.2 lets a server read tokens in bodies; this one reads the header only.
#[tokio::test]
async fn oidcc_userinfo_post_body() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    let body = format!("access_token={}", tokens.access_token);
    world
        .app
        .post("/oauth2/userinfo")
        .bytes(FORM, body)
        .await
        .expect(401);
}

#[tokio::test]
async fn oidcc_ensure_request_without_nonce_succeeds_for_code_flow() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[("nonce", "")]).await;
    assert!(tokens.claims.get("nonce").is_none());
}

#[tokio::test]
async fn oidcc_scope_profile() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[("scope", "openid profile")]).await;
    let said = world.userinfo(&tokens.access_token).await.expect(200).body;
    assert_eq!(said["name"], "ada");
    assert!(said.get("email").is_none());
}

#[tokio::test]
async fn oidcc_scope_email() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[("scope", "openid email")]).await;
    let said = world.userinfo(&tokens.access_token).await.expect(200).body;
    assert!(said["email"].as_str().unwrap().ends_with("@example.com"));
    assert!(said["email_verified"].is_boolean() && said.get("name").is_none());
}

/// Scopes that nobody here knows are passed over.
#[tokio::test]
async fn oidcc_scope_address() {
    scope_is_passed_over("openid address").await;
}

#[tokio::test]
async fn oidcc_scope_phone() {
    scope_is_passed_over("openid phone").await;
}

async fn scope_is_passed_over(scope: &str) {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let code = world.code(&ada, &[("scope", scope)]).await;
    let reply = world.redeem(&code).await.expect(200);
    assert_eq!(
        reply.body["scope"], "openid",
        "the response tells what was granted"
    );
}

#[tokio::test]
async fn oidcc_scope_all() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let scope = ("scope", "openid profile email address phone");
    let tokens = world.flow(&ada, &[scope]).await;
    let said = world.userinfo(&tokens.access_token).await.expect(200).body;
    assert!(said["name"].is_string() && said["email"].is_string());
}

#[tokio::test]
async fn oidcc_codereuse() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let code = world.code(&ada, &[]).await;
    let first = world.redeem(&code).await.expect(200);
    let again = world.redeem(&code).await.expect(400);
    assert_eq!(again.body["error"], "invalid_grant");
    let access_token = first.body["access_token"].as_str().unwrap();
    world.userinfo(access_token).await.expect(401);
}

#[tokio::test]
async fn oidcc_codereuse_30seconds() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let code = world.code(&ada, &[]).await;
    let first = world.redeem(&code).await.expect(200);
    world.advance(30);
    let again = world.redeem(&code).await.expect(400);
    assert_eq!(again.body["error"], "invalid_grant");
    let access_token = first.body["access_token"].as_str().unwrap();
    world.userinfo(access_token).await.expect(401);
}

#[tokio::test]
async fn oidcc_ensure_request_with_valid_pkce_succeeds() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    world.flow(&ada, &[]).await;
    let code = world.code(&ada, &[]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", crate::oauth::world::CALLBACK),
        (
            "code_verifier",
            "another-verifier-that-is-long-enough-to-be-one",
        ),
    ];
    let reply = world.token_request(Auth::Basic, &form).await.expect(400);
    assert_eq!(reply.body["error"], "invalid_grant");
}

#[tokio::test]
async fn oidcc_refresh_token() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world
        .flow(&ada, &[("scope", "openid offline_access")])
        .await;
    let refresh_token = tokens.refresh_token.unwrap();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.as_str()),
    ];
    let reply = world.token_request(Auth::Basic, &form).await.expect(200);
    let access_token = reply.body["access_token"].as_str().unwrap();
    assert_ne!(access_token, tokens.access_token);
    world.userinfo(access_token).await.expect(200);
    let claims = world
        .verified(reply.body["id_token"].as_str().unwrap())
        .await;
    // OpenID Connect Core §12.2.
    for same in ["iss", "sub", "aud", "auth_time"] {
        assert_eq!(claims[same], tokens.claims[same], "{same}");
    }
}

/// ID tokens are always signed.
#[tokio::test]
async fn oidcc_idtoken_unsigned() {
    let world = World::start().await;
    let document = world
        .app
        .get("/.well-known/openid-configuration")
        .send()
        .await
        .body;
    let algorithms = document["id_token_signing_alg_values_supported"]
        .as_array()
        .unwrap();
    assert!(!algorithms.contains(&json!("none")));
    assert!("none".parse::<doorward::domain::app::IdTokenAlg>().is_err());
}

#[tokio::test]
async fn oidcc_alternate_happy_flow() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let first = world.flow(&ada, &[]).await;
    let second = world.flow(&ada, &[]).await;
    assert_eq!(first.claims["sub"], second.claims["sub"]);
    let none = [("prompt", "none")];
    assert!(
        world
            .authorize(Some(&ada), &none)
            .await
            .answer()
            .contains_key("code")
    );
}
