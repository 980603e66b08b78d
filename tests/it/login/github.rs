//! A provider like GitHub: no ID token, accounts by number, addresses of their own.

use doorward::authority::login::LoginRequest;
use serde_json::json;

use super::browser::query;
use super::upstream::Instead;
use super::world::{HOME, World};

fn account(world: &World, login: &str, emails: serde_json::Value) {
    let user = json!({"id": 4711, "login": login, "name": null,
        "email": "public@profile.example", "avatar_url": "https://hub.example/a.png"});
    world.hub.with(|script| script.github = (user, emails));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_its_number_and_its_address_the_primary_verified_one() {
    let world = World::start(None).await;
    let emails = json!([
        {"email": "old@example.com", "primary": false, "verified": true},
        {"email": "Octo@example.com", "primary": true, "verified": true},
    ]);
    account(&world, "octo", emails);
    let mut browser = world.browser();
    let url = browser
        .press_through(&world.begin(&LoginRequest::to(HOME)), "hub")
        .await;
    assert!(url.starts_with(&format!("{}/login/oauth/authorize?", world.hub.issuer)));
    let asked = query(&url);
    assert_eq!(asked["scope"], "read:user user:email");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(!asked.contains_key("nonce"));
    browser.get(&world.hub.agree(&url)).await.expect(303);
    let session = world.session(&browser).await.unwrap();
    let user = world.user(session.user_id).await;
    assert_eq!(
        (user.email.as_str(), user.display_name.as_str()),
        ("octo@example.com", "octo")
    );
    assert_eq!(session.upstream_subject, "4711");
    // The name changes hands; the number does not.
    account(&world, "renamed", json!([]));
    let again = world.log_in(&mut world.browser(), "hub").await;
    assert_eq!(again.user_id, session.user_id);
    assert_eq!(world.user(session.user_id).await.email, "octo@example.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_not_verified_or_not_primary_is_none() {
    let world = World::start(None).await;
    account(
        &world,
        "octo",
        json!([
            {"email": "a@example.com", "primary": true, "verified": false},
            {"email": "b@example.com", "primary": false, "verified": true},
        ]),
    );
    let session = world.log_in(&mut world.browser(), "hub").await;
    assert!(
        world
            .user(session.user_id)
            .await
            .email
            .ends_with("@users.invalid")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_api_is_a_page() {
    let world = World::start(None).await;
    account(&world, "octo", json!([]));
    for (path, answer) in [
        ("/api/v3/user/emails", Instead::Status(404)),
        ("/api/v3/user", Instead::Json(200, json!({"login": "octo"}))),
        // An error with status 200, as GitHub does it.
        (
            "/login/oauth/access_token",
            Instead::Json(200, json!({"error": "bad_verification_code"})),
        ),
    ] {
        world.hub.with(|script| {
            script.instead.clear();
            script.instead.insert(path, answer);
        });
        let mut browser = world.browser();
        world.arrive(&mut browser, "hub").await.expect(502);
        assert!(browser.session().is_none());
    }
}
