//! ID tokens that must not be believed, keys that change, and answers of the wrong issuer.

use std::time::Duration;

use doorward::authority::login::LoginRequest;
use serde_json::{Value, json};

use super::browser::Browser;
use super::upstream::Instead;
use super::world::{HOME, NOW, World};

async fn refused(world: &World, what: &Value) {
    let mut browser = world.browser();
    let page = world.arrive(&mut browser, "corp").await;
    assert_eq!(page.status.as_u16(), 502, "{what}: {page:#?}");
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(browser.session().is_none() && browser.cookies.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_a_wrong_claim_logs_nobody_in() {
    let world = World::start(None).await;
    for claims in [
        json!({"iss": "https://evil.example"}),
        json!({"aud": "somebody-else"}),
        json!({"aud": ["doorward-test", "somebody-else"]}),
        json!({"azp": "somebody-else"}),
        json!({"exp": NOW - 61}),
        json!({"iat": NOW + 3600}),
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"sub": ""}),
        json!({"sub": null}),
        json!({"sub": "x".repeat(300)}),
        json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    ] {
        world.corp.person(claims.clone());
        refused(&world, &claims).await;
    }
    assert_eq!(world.count("users").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_endpoint_that_errs_logs_nobody_in() {
    let world = World::start(None).await;
    for token in [
        json!({"id_token": null}),
        json!({"id_token": "a.b.c"}),
        json!({"access_token": null}),
        json!({"token_type": "mac"}),
        json!({"error": "invalid_grant"}),
    ] {
        world.corp.with(|script| script.token = token.clone());
        refused(&world, &token).await;
    }
    world.corp.with(|script| script.token = json!({}));
    for answer in [
        Instead::Status(500),
        Instead::Json(400, json!({"error": "invalid_client"})),
        Instead::Json(200, json!([])),
        Instead::Huge,
        Instead::Silence,
        Instead::Redirect(format!("{}/token", world.other.issuer)),
    ] {
        world
            .corp
            .with(|script| script.instead.insert("/token", answer));
        refused(&world, &json!("endpoint")).await;
    }
    assert_eq!(world.other.asked("/token"), 0, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn userinfo_fills_what_the_token_leaves_out_and_must_be_about_the_same_person() {
    let world = World::start(None).await;
    world
        .corp
        .person(json!({"email": null, "email_verified": null}));
    world.corp.with(|script| {
        script.userinfo = Some(json!({"sub": "u2", "email": "ada@example.com"}));
    });
    refused(&world, &json!("another subject")).await;
    world.corp.with(|script| script.userinfo = None);
    refused(&world, &json!("no userinfo")).await;
    let info = json!({"sub": "u1", "email": "ada@example.com", "email_verified": true});
    world.corp.with(|script| script.userinfo = Some(info));
    let session = world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.user(session.user_id).await.email, "ada@example.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_may_rotate_and_made_up_ones_do_not_hammer_the_provider() {
    let world = World::start(None).await;
    world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.corp.asked("/jwks"), 1);
    world.advance(Duration::from_secs(31));
    world.corp.rotate(true);
    world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.corp.asked("/jwks"), 2);
    // A key that the provider does not publish: asked for again once, and then not for a while.
    world.advance(Duration::from_secs(31));
    world.corp.rotate(false);
    for _ in 0..3 {
        refused(&world, &json!("unpublished")).await;
    }
    assert_eq!(world.corp.asked("/jwks"), 3);
    // What was published comes back after an hour even without such a token.
    world.advance(Duration::from_hours(1));
    world.corp.rotate(true);
    world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.corp.asked("/.well-known/openid-configuration"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_be_reached_for_a_while_is_still_known() {
    let world = World::start(None).await;
    world.log_in(&mut world.browser(), "corp").await;
    world.advance(Duration::from_hours(2));
    world.corp.with(|script| {
        script
            .instead
            .insert("/.well-known/openid-configuration", Instead::Status(503));
    });
    world.log_in(&mut world.browser(), "corp").await;
    world.advance(Duration::from_hours(24));
    let mut browser = world.browser();
    let page = browser
        .sign_in_page(&world.begin(&LoginRequest::to(HOME)))
        .await;
    browser.choose(&page, "corp").await.expect(502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discovery_document_that_does_not_fit_is_not_used() {
    for metadata in [
        json!({"issuer": "https://evil.example"}),
        json!({"jwks_uri": "http://10.0.0.1/jwks"}),
        json!({"token_endpoint": "https://127.0.0.1:1/token"}),
        json!({"token_endpoint": "file:///etc/passwd"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"userinfo_endpoint": "https://[::1]/userinfo"}),
        json!({"code_challenge_methods_supported": ["plain"]}),
        json!({"jwks_uri": null}),
    ] {
        let world = World::start(None).await;
        world.corp.with(|script| script.metadata = metadata.clone());
        let mut browser = world.browser();
        let page = browser
            .sign_in_page(&world.begin(&LoginRequest::to(HOME)))
            .await;
        let reply = browser.choose(&page, "corp").await;
        assert_eq!(reply.status.as_u16(), 502, "{metadata}");
    }
}

/// RFC 9207: an answer that another provider made must not reach this one's token endpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_names_its_issuer_or_is_refused_where_that_was_announced() {
    let world = World::start(None).await;
    world.corp.with(|script| {
        script.metadata = json!({"authorization_response_iss_parameter_supported": true});
    });
    let back = async |browser: &mut Browser<'_>, iss: Option<&str>| {
        let url = browser
            .press_through(&world.begin(&LoginRequest::to(HOME)), "corp")
            .await;
        let mut back = world.corp.agree(&url);
        if let Some(iss) = iss {
            back.push_str("&iss=");
            back.push_str(iss);
        }
        browser.get(&back).await
    };
    let mut browser = world.browser();
    back(&mut browser, None).await.expect(400);
    back(&mut browser, Some("https://evil.example"))
        .await
        .expect(400);
    assert_eq!(world.corp.asked("/token"), 0);
    let own = world.corp.issuer.clone();
    back(&mut browser, Some(&own)).await.expect(303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_slow_huge_or_points_elsewhere_is_bounded() {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    for answer in [
        Instead::Silence,
        Instead::Huge,
        Instead::Redirect("http://169.254.169.254/latest/meta-data".to_owned()),
        Instead::Json(200, json!("text")),
    ] {
        let world = World::start(None).await;
        world
            .corp
            .with(|script| script.instead.insert(DISCOVERY, answer));
        let mut browser = world.browser();
        let page = browser
            .sign_in_page(&world.begin(&LoginRequest::to(HOME)))
            .await;
        // Somebody waits; others find out from the same answer and do not ask again.
        let (mut one, mut two) = (browser.clone(), browser.clone());
        let (one, two) = tokio::join!(one.choose(&page, "corp"), two.choose(&page, "corp"));
        one.expect(502);
        two.expect(502);
        assert_eq!(world.corp.asked(DISCOVERY), 1);
        // Another provider is not held up.
        world.log_in(&mut browser, "other").await;
    }
}
