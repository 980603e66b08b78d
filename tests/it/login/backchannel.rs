//! Logouts that a provider tells of.

use std::time::Duration;

use serde_json::json;

use super::world::World;
use crate::support::app::Reply;

on_both_engines! {
    a_logout_at_the_provider_ends_our_sessions_once,
}

impl World {
    async fn tell(&self, token: &str) -> Reply {
        let body = format!("logout_token={token}");
        self.app
            .post("/login/backchannel/corp")
            .bytes("application/x-www-form-urlencoded", body)
            .await
    }
}

async fn a_logout_at_the_provider_ends_our_sessions_once(world: World) {
    world.corp.person(json!({"sid": "s1"}));
    let mut one = world.browser();
    let session = world.log_in(&mut one, "corp").await;
    world.corp.person(json!({"sid": "s2"}));
    let mut two = world.browser();
    world.log_in(&mut two, "corp").await;
    // One of the provider's sessions.
    let token = world.corp.logout_token(&json!({"sub": "u1", "sid": "s1"}));
    world.tell(&token).await.expect(200);
    assert!(world.session(&one).await.is_none());
    assert!(world.session(&two).await.is_some());
    assert_eq!(world.count("revoked_sessions").await, 1);
    // The same token again does nothing.
    world.log_in(&mut one, "corp").await;
    world.tell(&token).await.expect(400);
    // Of the person, everywhere.
    let token = world.corp.logout_token(&json!({"sub": "u1", "jti": "j2"}));
    world.tell(&token).await.expect(200);
    assert!(world.sessions(session.user_id).await.is_empty());
    assert_eq!(world.app.audited("session.ended").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_token_that_does_not_fit_ends_nothing() {
    let world = World::start(None).await;
    let mut browser = world.browser();
    world.log_in(&mut browser, "corp").await;
    for claims in [
        json!({"sub": "u1", "iss": "https://evil.example"}),
        json!({"sub": "u1", "aud": "somebody-else"}),
        json!({"sub": "u1", "iat": 1}),
        json!({"sub": "u1", "nonce": "n"}),
        json!({"sub": "u1", "events": {}}),
        json!({}),
    ] {
        let token = world.corp.logout_token(&claims);
        world.tell(&token).await.expect(400);
    }
    // A token of another key, none at all, and one for a provider that is none.
    let foreign = world.other.logout_token(&json!({"sub": "u1"}));
    world.tell(&foreign).await.expect(400);
    world.tell("").await.expect(400);
    world.tell("a.b.c").await.expect(400);
    world
        .app
        .post("/login/backchannel/nobody")
        .bytes("application/x-www-form-urlencoded", "logout_token=a.b.c")
        .await
        .expect(400);
    assert!(world.session(&browser).await.is_some());
    world.advance(Duration::from_secs(1));
    assert!(world.session(&browser).await.is_some());
}
