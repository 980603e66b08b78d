//! What a login makes of what a provider says of somebody.

use std::time::Duration;

use doorward::authority::login::{LoginPurpose, LoginRequest};
use doorward::domain::provider::{ProviderKind, ProviderSettings};
use doorward::store::StoreError;
use doorward::store::providers::{self, StoredProvider};
use serde_json::json;

use super::upstream::Upstream;
use super::world::{HOME, NOW, World};

on_both_engines! {
    a_profile_is_refreshed_at_each_login_and_its_time_moves_only_with_it,
    an_address_that_is_not_verified_never_becomes_the_users,
    an_address_of_another_user_stays_theirs_and_is_audited,
    another_account_is_linked_only_from_the_session_that_asked,
}

async fn a_profile_is_refreshed_at_each_login_and_its_time_moves_only_with_it(world: World) {
    let session = world.log_in(&mut world.browser(), "corp").await;
    let before = world.user(session.user_id).await;
    world.advance(Duration::from_mins(1));
    world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.user(session.user_id).await, before);
    world.corp.person(
        json!({"name": "Ada\u{202E} Berg", "email": "ADA@Berg.Example",
        "picture": "javascript:alert(1)"}),
    );
    world.log_in(&mut world.browser(), "corp").await;
    let after = world.user(session.user_id).await;
    assert_eq!(after.display_name, "Ada Berg");
    assert_eq!(after.email, "ada@berg.example");
    assert_eq!(after.avatar_url, None);
    assert!(after.updated_at > before.updated_at);
    // Without a name the old one stays; a name can come from the address for somebody new.
    world.corp.with(|script| {
        script.userinfo = Some(json!({"sub": "u2"}));
    });
    world
        .corp
        .person(json!({"sub": "u2", "name": null, "email": "new.one@example.com"}));
    let new = world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.user(new.user_id).await.display_name, "new.one");
}

async fn an_address_that_is_not_verified_never_becomes_the_users(world: World) {
    world.corp.person(json!({"email_verified": false}));
    let session = world.log_in(&mut world.browser(), "corp").await;
    let user = world.user(session.user_id).await;
    assert_eq!(user.email, format!("{}@users.invalid", user.id));
    let account = &world.accounts(user.id).await[0];
    assert_eq!(account.email.as_deref(), Some("ada@example.com"));
    assert!(!account.email_verified);
    world.corp.person(json!({}));
    world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.user(user.id).await.email, "ada@example.com");
    // And one that was verified once is not replaced by one that is not.
    world
        .corp
        .person(json!({"email": "else@example.com", "email_verified": null}));
    world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.user(user.id).await.email, "ada@example.com");
}

async fn an_address_of_another_user_stays_theirs_and_is_audited(world: World) {
    let first = world.log_in(&mut world.browser(), "corp").await;
    let second = world.log_in(&mut world.browser(), "other").await;
    assert_ne!(first.user_id, second.user_id);
    assert_eq!(world.user(first.user_id).await.email, "ada@example.com");
    assert!(
        world
            .user(second.user_id)
            .await
            .email
            .ends_with("@users.invalid")
    );
    assert_eq!(world.app.audited("user.email_collision").await, 1);
}

async fn another_account_is_linked_only_from_the_session_that_asked(world: World) {
    let mut browser = world.browser();
    world.corp.person(json!({"auth_time": NOW}));
    let session = world.log_in(&mut browser, "corp").await;
    let link = LoginRequest {
        purpose: LoginPurpose::Link {
            user: session.user_id,
            session: session.id,
        },
        ..LoginRequest::to("/account?linked")
    };
    // Somebody else, or nobody, who got hold of the link.
    world.browser().get(&world.begin(&link)).await.expect(400);
    let mut stranger = world.browser();
    world
        .other
        .person(json!({"sub": "x", "email": "x@example.com"}));
    world.log_in(&mut stranger, "other").await;
    stranger.get(&world.begin(&link)).await.expect(400);
    // The one who asked.
    world
        .other
        .person(json!({"sub": "u9", "email": "ada@other.example"}));
    let reply = world
        .arrive_by(&mut browser, "other", &link)
        .await
        .expect(303);
    assert_eq!(reply.header("location"), "/account?linked");
    assert_eq!(world.accounts(session.user_id).await.len(), 2);
    assert_eq!(world.user(session.user_id).await.email, "ada@example.com");
    assert_eq!(world.session(&browser).await.unwrap().id, session.id);
    assert_eq!(world.app.audited("account.linked").await, 1);
    // Both lead to the same user from now on.
    let later = world.log_in(&mut world.browser(), "other").await;
    assert_eq!(later.user_id, session.user_id);
    // What is another user's cannot be taken.
    world
        .other
        .person(json!({"sub": "x", "email": "x@example.com"}));
    world
        .arrive_by(&mut browser, "other", &link)
        .await
        .expect(409);
    assert_eq!(world.accounts(session.user_id).await.len(), 2);
    // A proof that is too old is asked for again first.
    world.advance(Duration::from_mins(11));
    let proof = browser.get(&world.begin(&link)).await.expect(303);
    let url = browser
        .press_through(proof.header("location"), "corp")
        .await;
    assert!(url.contains("prompt=login"));
    world.corp.person(json!({"auth_time": NOW + 660}));
    let back = browser.get(&world.corp.agree(&url)).await.expect(303);
    let page = back.header("location").to_owned();
    world
        .other
        .person(json!({"sub": "u10", "email": "b@other.example"}));
    let url = browser.press_through(&page, "other").await;
    browser.get(&world.other.agree(&url)).await.expect(303);
    assert_eq!(world.accounts(session.user_id).await.len(), 3);
}

fn only(domain: &str) -> impl FnOnce(&mut ProviderSettings) + '_ {
    move |settings| settings.domains = vec![domain.to_owned()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_verified_addresses_of_configured_domains_may_log_in() {
    let world = World::start_with(None, only("example.com")).await;
    for claims in [
        json!({"email": "a@evil.example"}),
        json!({"email": "a@sub.example.com"}),
        json!({"email_verified": false}),
    ] {
        world.corp.person(claims.clone());
        let mut browser = world.browser();
        world.arrive(&mut browser, "corp").await.expect(403);
        assert!(browser.session().is_none(), "{claims}");
    }
    assert_eq!(world.count("users").await, 0);
    assert_eq!(world.app.audited("login.refused").await, 3);
    world.corp.person(json!({"email": "a@EXAMPLE.com"}));
    world.log_in(&mut world.browser(), "corp").await;
}

fn trusting(domain: &str) -> impl FnOnce(&mut ProviderSettings) + '_ {
    move |settings| settings.trusted_domains = vec![domain.to_owned()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_domain_links_to_who_has_the_address_unless_somebody_took_it_first() {
    let world = World::start_with(None, trusting("corp.example")).await;
    // An operator made the user: the address is vouched for.
    let made = world
        .app
        .post("/v1/users")
        .by(world.app.operator())
        .json(&json!({"display_name": "Cy", "email": "cy@corp.example"}))
        .await
        .expect(201);
    world
        .corp
        .person(json!({"sub": "c", "email": "Cy@corp.example", "email_verified": false}));
    let unverified = world.log_in(&mut world.browser(), "corp").await;
    assert_ne!(
        unverified.user_id.to_string(),
        made.body["id"].as_str().unwrap()
    );
    world
        .corp
        .person(json!({"sub": "c2", "email": "Cy@corp.example"}));
    let linked = world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(
        linked.user_id.to_string(),
        made.body["id"].as_str().unwrap()
    );
    // Somebody took the address at a provider that nobody trusts with it, and waits.
    world
        .other
        .person(json!({"sub": "thief", "email": "boss@corp.example"}));
    let thief = world.log_in(&mut world.browser(), "other").await;
    assert_eq!(world.user(thief.user_id).await.email, "boss@corp.example");
    world
        .corp
        .person(json!({"sub": "boss", "email": "boss@corp.example"}));
    let boss = world.log_in(&mut world.browser(), "corp").await;
    assert_ne!(boss.user_id, thief.user_id);
    let reply = world
        .arrive_by(&mut world.browser(), "corp", &LoginRequest::to(HOME))
        .await;
    reply.expect(303);
}

impl World {
    /// A user whom an operator made.
    async fn made(&self, email: &str) -> String {
        let made = self
            .app
            .post("/v1/users")
            .by(self.app.operator())
            .json(&json!({"display_name": "Cy", "email": email}))
            .await
            .expect(201);
        made.body["id"].as_str().unwrap().to_owned()
    }

    async fn change(&self, name: &'static str, change: impl Fn(&mut StoredProvider)) {
        let row = self
            .app
            .authority
            .store
            .read::<_, StoreError>(move |tx| providers::find(tx, name))
            .await
            .unwrap();
        let mut row = row.unwrap();
        change(&mut row);
        self.app
            .authority
            .store
            .write::<_, StoreError>(move |tx| providers::update(tx, &row))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_its_provider_gave_to_another_person_does_not_lead_to_who_had_it() {
    let world = World::start_with(None, trusting("corp.example")).await;
    let made = world.made("Cy@Corp.Example").await;
    world
        .corp
        .person(json!({"sub": "first", "email": "cy@corp.example"}));
    let first = world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(first.user_id.to_string(), made);
    world
        .corp
        .person(json!({"sub": "second", "email": "cy@corp.example"}));
    let second = world.log_in(&mut world.browser(), "corp").await;
    assert_ne!(second.user_id, first.user_id);
    assert_eq!(world.accounts(first.user_id).await.len(), 1);
    assert_eq!(world.user(first.user_id).await.email, "cy@corp.example");
    assert_eq!(world.app.audited("account.linked").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_disabled_vouches_for_no_address() {
    let world = World::start_with(None, trusting("corp.example")).await;
    world
        .change("other", |row| {
            row.settings.trusted_domains = vec!["corp.example".to_owned()];
        })
        .await;
    for (name, enabled) in [("ann", true), ("bob", false)] {
        let person = json!({"sub": name, "email": format!("{name}@corp.example")});
        world.change("other", |row| row.enabled = true).await;
        world.other.person(person.clone());
        let before = world.log_in(&mut world.browser(), "other").await;
        world.change("other", |row| row.enabled = enabled).await;
        world.corp.person(person);
        let after = world.log_in(&mut world.browser(), "corp").await;
        assert_eq!(before.user_id == after.user_id, enabled, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_speaks_for_an_address_only_if_the_account_is_of_its_domains_organization() {
    let world = World::start_with(None, trusting("corp.example")).await;
    world
        .change("corp", |row| row.kind = ProviderKind::Google)
        .await;
    let made = world.made("cy@corp.example").await;
    for (sub, hosted, linked) in [
        ("private", json!(null), false),
        ("elsewhere", json!("evil.example"), false),
        ("own", json!("Corp.Example"), true),
    ] {
        world
            .corp
            .person(json!({"sub": sub, "email": "cy@corp.example", "hd": hosted}));
        let session = world.log_in(&mut world.browser(), "corp").await;
        assert_eq!(session.user_id.to_string() == made, linked, "{sub}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_without_its_time_links_nothing_unless_its_provider_cannot_tell_it() {
    let world = World::start(None).await;
    world.hub.with(|script| {
        script.github = (json!({"id": 7, "login": "octo", "name": "Octo"}), json!([]));
    });
    world
        .other
        .person(json!({"sub": "u9", "email": "ada@other.example"}));
    for (provider, asked_again) in [("corp", true), ("hub", false)] {
        let mut browser = world.browser();
        let session = world.log_in(&mut browser, provider).await;
        let link = world.begin(&LoginRequest {
            purpose: LoginPurpose::Link {
                user: session.user_id,
                session: session.id,
            },
            ..LoginRequest::to("/account?linked")
        });
        let reply = browser.get(&link).await;
        if !asked_again {
            reply.expect(200);
            continue;
        }
        let proof = reply.expect(303);
        let url = browser
            .press_through(proof.header("location"), provider)
            .await;
        assert!(url.contains("prompt=login"));
        // It still does not say.
        let back = browser.get(&world.corp.agree(&url)).await.expect(303);
        let told = browser.get(back.header("location")).await.expect(403);
        let told = told.body.as_str().unwrap();
        assert!(
            told.contains("sign in with another account that opens this one"),
            "{told}"
        );
        assert_eq!(world.accounts(session.user_id).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_or_will_not_prove_again_who_they_are_is_told_what_to_do() {
    let world = World::start(None).await;
    world.hub.with(|script| {
        script.github = (json!({"id": 7, "login": "octo", "name": "Octo"}), json!([]));
    });
    for provider in ["hub", "corp"] {
        let mut browser = world.browser();
        let session = world.log_in(&mut browser, provider).await;
        world.advance(Duration::from_mins(11));
        let link = world.begin(&LoginRequest {
            purpose: LoginPurpose::Link {
                user: session.user_id,
                session: session.id,
            },
            ..LoginRequest::to("/account?linked=other")
        });
        let proof = browser.get(&link).await.expect(303);
        let page = browser.sign_in_page(proof.header("location")).await;
        let chosen = browser.choose(&page, provider).await.expect(303);
        let away = chosen.header("location").to_owned();
        if provider == "hub" {
            let told = browser.get(&away).await.expect(403);
            let told = told.body.as_str().unwrap();
            assert!(told.contains("Sign out and in again"), "{told}");
            continue;
        }
        // Whoever stops on the way is asked again, and may.
        let back = browser.get(&Upstream::refuse(&away, "access_denied")).await;
        let page = browser.get(back.expect(303).header("location")).await;
        let page = page.expect(200);
        assert!(page.body.as_str().unwrap().contains("prove once more"));
    }
}
