//! `oidcc-basic-certification-test-plan`: parameters of the authorization request.

use crate::oauth::authorize::{id_token, resume_of};
use crate::oauth::world::{Answered, World, parameters, request};

/// A request with this parameter succeeds as one without would.
async fn succeeds_with(other: &[(&str, &str)]) {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    world.flow(&ada, other).await;
}

#[tokio::test]
async fn oidcc_response_type_missing() {
    let world = World::start().await;
    world
        .authorize(None, &[("response_type", "")])
        .await
        .refused("invalid_request");
}

#[tokio::test]
async fn oidcc_display_page() {
    succeeds_with(&[("display", "page")]).await;
}

#[tokio::test]
async fn oidcc_display_popup() {
    succeeds_with(&[("display", "popup")]).await;
}

#[tokio::test]
async fn oidcc_login_hint() {
    let world = World::start().await;
    let reply = world
        .authorize(None, &[("login_hint", "ada@example.com")])
        .await;
    let resume = resume_of(&world, &reply);
    let ada = world.log_in("ada").await;
    let answer = world.visit(Some(&ada), &resume).await.answer();
    world.tokens(&answer, &[]).await;
}

#[tokio::test]
async fn oidcc_ui_locales() {
    succeeds_with(&[("ui_locales", "se de")]).await;
}

#[tokio::test]
async fn oidcc_claims_locales() {
    succeeds_with(&[("claims_locales", "se")]).await;
}

#[tokio::test]
async fn oidcc_ensure_request_with_unknown_parameter_succeeds() {
    succeeds_with(&[("extra", "foobar")]).await;
}

#[tokio::test]
async fn oidcc_ensure_request_with_acr_values_succeeds() {
    succeeds_with(&[("acr_values", "1 2")]).await;
}

/// The `claims` parameter is not advertised, and so passed over (OpenID Connect Core §5.5).
#[tokio::test]
async fn oidcc_claims_essential() {
    succeeds_with(&[("claims", r#"{"userinfo":{"name":{"essential":true}}}"#)]).await;
}

#[tokio::test]
async fn oidcc_prompt_login() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let first = world.flow(&ada, &[]).await;
    world.advance(5);
    let reply = world.authorize(Some(&ada), &[("prompt", "login")]).await;
    let resume = resume_of(&world, &reply);
    world.advance(1);
    let ada = world.log_in_as(ada.user).await;
    let answer = world.visit(Some(&ada), &resume).await.answer();
    let second = world.tokens(&answer, &[]).await;
    assert_eq!(first.claims["sub"], second.claims["sub"]);
    let time = |claims: &serde_json::Value| claims["auth_time"].as_i64().unwrap();
    assert!(time(&second.claims) > time(&first.claims));
}

#[tokio::test]
async fn oidcc_prompt_none_not_logged_in() {
    let world = World::start().await;
    world
        .authorize(None, &[("prompt", "none")])
        .await
        .refused("login_required");
}

#[tokio::test]
async fn oidcc_prompt_none_logged_in() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let first = world.flow(&ada, &[]).await;
    world.advance(1);
    let second = world.flow(&ada, &[("prompt", "none")]).await;
    for same in ["sub", "auth_time"] {
        assert_eq!(first.claims[same], second.claims[same], "{same}");
    }
}

#[tokio::test]
async fn oidcc_max_age_1() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let first = world.flow(&ada, &[]).await;
    world.advance(2);
    let reply = world.authorize(Some(&ada), &[("max_age", "1")]).await;
    let resume = resume_of(&world, &reply);
    let ada = world.log_in_as(ada.user).await;
    let answer = world.visit(Some(&ada), &resume).await.answer();
    let second = world.tokens(&answer, &[]).await;
    let time = |claims: &serde_json::Value| claims["auth_time"].as_i64().unwrap();
    assert!(time(&second.claims) > time(&first.claims));
}

#[tokio::test]
async fn oidcc_max_age_10000() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let first = world.flow(&ada, &[]).await;
    world.advance(1);
    let second = world.flow(&ada, &[("max_age", "10000")]).await;
    assert!(second.claims["auth_time"].is_i64());
    assert_eq!(first.claims["auth_time"], second.claims["auth_time"]);
}

#[tokio::test]
async fn oidcc_id_token_hint() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let first = world.flow(&ada, &[]).await;
    let hinted = [
        ("prompt", "none"),
        ("id_token_hint", first.id_token.as_str()),
    ];
    let second = world.flow(&ada, &hinted).await;
    assert_eq!(first.claims["sub"], second.claims["sub"]);
    // An expired one is as good a hint.
    let old = id_token(&world, &ada, "board");
    world
        .flow(&ada, &[("prompt", "none"), ("id_token_hint", &old)])
        .await;
}

#[tokio::test]
async fn oidcc_ensure_registered_redirect_uri() {
    let world = World::start().await;
    let other = [("redirect_uri", "https://board.example/callback/other")];
    world.authorize(None, &other).await.page(400);
}

#[tokio::test]
async fn oidcc_ensure_post_request_succeeds() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let form: Vec<(String, String)> = parameters(&request(&[])).into_iter().collect();
    let form: Vec<_> = form.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let reply = world.submit(None, "/oauth2/authorize", &form, false).await;
    let path = reply.location().to_owned();
    let answer = world.visit(Some(&ada), &path).await.answer();
    world.tokens(&answer, &[]).await;
}

#[tokio::test]
async fn oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported() {
    let world = World::start().await;
    let other = [("request_uri", "https://board.example/request.jwt")];
    world
        .authorize(None, &other)
        .await
        .refused("request_uri_not_supported");
}

const UNSIGNED: &str = "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2IifQ.";

#[tokio::test]
async fn oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported() {
    let world = World::start().await;
    world
        .authorize(None, &[("request", UNSIGNED)])
        .await
        .refused("request_not_supported");
}

#[tokio::test]
async fn oidcc_ensure_request_object_with_redirect_uri() {
    let world = World::start().await;
    let other = [
        ("request", UNSIGNED),
        ("redirect_uri", "https://evil.example/cb"),
    ];
    world.authorize(None, &other).await.page(400);
}
