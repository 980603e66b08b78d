//! `oidcc-backchannel-rp-initiated-logout-certification-test-plan`.

use doorward::authority::oauth::backchannel::deliver_due;

use crate::oauth::backchannel::{Listener, start, token};
use crate::oauth::world::{Answered, World, encode};

#[tokio::test]
async fn oidcc_backchannel_logout_discovery_endpoint_verification() {
    let world = World::start().await;
    let document = world
        .app
        .get("/.well-known/openid-configuration")
        .send()
        .await
        .body;
    assert_eq!(document["backchannel_logout_supported"], true);
    assert_eq!(document["backchannel_logout_session_supported"], true);
    assert!(document["end_session_endpoint"].is_string());
}

#[tokio::test]
async fn oidcc_backchannel_rp_initiated_logout() {
    let listener = Listener::start().await;
    let world = start(&listener).await;
    let ada = world.log_in("ada").await;
    world.code(&ada, &[("client_id", "told")]).await;
    let tokens = world.flow(&ada, &[]).await;
    let query = encode(&[
        ("id_token_hint", tokens.id_token.as_str()),
        ("post_logout_redirect_uri", "https://board.example/bye"),
        ("state", "s1"),
    ]);
    let reply = world
        .visit(Some(&ada), &format!("/oauth2/logout?{query}"))
        .await;
    assert_eq!(reply.location(), "https://board.example/bye?state=s1");
    deliver_due(&world.app.authority).await.unwrap();
    let heard = listener.heard();
    assert_eq!(heard.len(), 1);
    let (_, claims) = token(&heard[0]);
    assert_eq!(claims["sid"], tokens.claims["sid"]);
    assert_eq!(claims["sub"], tokens.claims["sub"]);
    let none = [("prompt", "none")];
    world
        .authorize(Some(&ada), &none)
        .await
        .refused("login_required");
}
