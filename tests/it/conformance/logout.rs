//! `oidcc-rp-initiated-logout-certification-test-plan`.

use crate::oauth::world::{Answered, Browser, World, encode};
use crate::support::app::Reply;

const BYE: (&str, &str) = ("post_logout_redirect_uri", "https://board.example/bye");

/// Logs in, then visits the logout endpoint with these parameters and, if it is to be so, the hint.
async fn log_out(hint: bool, form: &[(&str, &str)]) -> (World, Browser, Reply) {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    let mut all = form.to_vec();
    if hint {
        all.push(("id_token_hint", &tokens.id_token));
    }
    let reply = world
        .visit(Some(&ada), &format!("/oauth2/logout?{}", encode(&all)))
        .await;
    (world, ada, reply)
}

/// Afterwards nobody is logged in.
async fn is_over(world: &World, browser: &Browser) {
    let none = [("prompt", "none")];
    world
        .authorize(Some(browser), &none)
        .await
        .refused("login_required");
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_discovery_endpoint_verification() {
    let world = World::start().await;
    let document = world
        .app
        .get("/.well-known/openid-configuration")
        .send()
        .await
        .body;
    let endpoint = document["end_session_endpoint"].as_str().unwrap();
    assert_eq!(endpoint, format!("{}/oauth2/logout", world.issuer()));
}

#[tokio::test]
async fn oidcc_rp_initiated_logout() {
    let (world, ada, reply) = log_out(true, &[BYE, ("state", "s1")]).await;
    assert_eq!(reply.location(), "https://board.example/bye?state=s1");
    is_over(&world, &ada).await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_state() {
    let (world, ada, reply) = log_out(true, &[BYE]).await;
    assert_eq!(reply.location(), "https://board.example/bye");
    is_over(&world, &ada).await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_post_logout_redirect_uri() {
    let (world, ada, reply) = log_out(true, &[("state", "s1")]).await;
    assert_eq!(reply.location(), "/signed-out");
    is_over(&world, &ada).await;
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_id_token_hint() {
    let (world, ada, reply) = log_out(false, &[BYE, ("client_id", "board")]).await;
    reply.page(200);
    assert!(world.is_logged_in(&ada).await, "the person is asked");
    let (_, _, reply) = log_out(false, &[BYE]).await;
    reply.page(400);
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_no_params() {
    let (world, ada, reply) = log_out(false, &[]).await;
    reply.page(200);
    assert!(world.is_logged_in(&ada).await);
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_only_state() {
    let (world, ada, reply) = log_out(false, &[("state", "s1")]).await;
    reply.page(200);
    assert!(world.is_logged_in(&ada).await);
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_bad_post_logout_redirect_uri() {
    let bad = (
        "post_logout_redirect_uri",
        "https://board.example/bye/other",
    );
    log_out(true, &[bad]).await.2.page(400);
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri() {
    let bad = (
        "post_logout_redirect_uri",
        "https://board.example/bye?foo=bar",
    );
    log_out(true, &[bad]).await.2.page(400);
}

#[tokio::test]
async fn oidcc_rp_initiated_logout_modified_id_token_hint() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    let (signed, signature) = tokens.id_token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let modified = format!("{signed}.{first}{}", &signature[1..]);
    let query = encode(&[BYE, ("id_token_hint", &modified)]);
    world
        .visit(Some(&ada), &format!("/oauth2/logout?{query}"))
        .await
        .page(400);
    assert!(world.is_logged_in(&ada).await);
}

/// The suite turns the hint's algorithm into `none`.
#[tokio::test]
async fn oidcc_rp_initiated_logout_bad_id_token_hint() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let tokens = world.flow(&ada, &[]).await;
    let claims = tokens.id_token.split('.').nth(1).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let query = encode(&[BYE, ("id_token_hint", &unsigned)]);
    world
        .visit(Some(&ada), &format!("/oauth2/logout?{query}"))
        .await
        .page(400);
    assert!(world.is_logged_in(&ada).await);
}
