//! Consent: asked of people for apps of third parties, remembered by scope.

use doorward::runtime::Clock;
use doorward::store::apps::App;
use doorward::store::{StoreError, consents, grants};

use super::world::{Answered, Browser, CALLBACK, World, app, field};
use crate::support::app::Reply;

const CLIENT: (&str, &str) = ("client_id", "foreign");

fn foreign() -> App {
    let mut app = app("foreign");
    app.spec.first_party = false;
    app.spec.redirect_uris = vec![CALLBACK.to_owned()];
    app
}

async fn start() -> (World, Browser) {
    let world = World::start().await;
    world.register(foreign()).await;
    let ada = world.log_in("ada").await;
    (world, ada)
}

/// The consent page that a request leads to.
async fn asked(world: &World, browser: &Browser, other: &[(&str, &str)]) -> String {
    let mut all = vec![CLIENT];
    all.extend(other);
    let reply = world.authorize(Some(browser), &all).await;
    let path = reply.location().to_owned();
    assert!(path.starts_with("/consent?request="), "{path}");
    world.visit(Some(browser), &path).await.page(200).to_owned()
}

async fn decide(world: &World, browser: &Browser, page: &str, decision: &str) -> Reply {
    let (request, csrf) = (field(page, "request"), field(page, "csrf"));
    let form = [
        ("request", request.as_str()),
        ("csrf", csrf.as_str()),
        ("decision", decision),
    ];
    world.submit(Some(browser), "/consent", &form, true).await
}

#[tokio::test]
async fn a_third_partys_app_is_asked_about_once_for_each_scope() {
    let (world, ada) = start().await;
    let page = asked(&world, &ada, &[]).await;
    assert!(
        page.contains("The foreign") && page.contains("board.example"),
        "{page}"
    );
    assert_eq!(world.count("grants").await, 0);
    let answer = decide(&world, &ada, &page, "allow").await.answer();
    assert!(answer["code"].starts_with("dwa_") && answer["state"] == "af0ifjsldkj");

    // Remembered: also in another session, also for fewer scopes.
    let later = world.log_in_as(ada.user).await;
    world.code(&later, &[CLIENT]).await;
    world
        .code(&later, &[CLIENT, ("scope", "openid"), ("prompt", "none")])
        .await;
    // One more scope is one more question.
    let more = ("scope", "openid profile email");
    let none = [CLIENT, more, ("prompt", "none")];
    world
        .authorize(Some(&later), &none)
        .await
        .refused("consent_required");
    let page = asked(&world, &later, &[more]).await;
    decide(&world, &later, &page, "allow").await.answer();
    world.code(&later, &[CLIENT, more]).await;
    // And another user is asked for themselves.
    let bob = world.log_in("bob").await;
    asked(&world, &bob, &[]).await;
}

#[tokio::test]
async fn prompt_consent_asks_again_but_never_about_a_first_party() {
    let (world, ada) = start().await;
    let page = asked(&world, &ada, &[]).await;
    decide(&world, &ada, &page, "allow").await.answer();
    let again = ("prompt", "consent");
    let page = asked(&world, &ada, &[again]).await;
    assert!(
        decide(&world, &ada, &page, "allow")
            .await
            .answer()
            .contains_key("code")
    );
    world.code(&ada, &[("client_id", "board"), again]).await;
}

#[tokio::test]
async fn a_no_is_told_and_nothing_is_written() {
    let (world, ada) = start().await;
    let page = asked(&world, &ada, &[]).await;
    decide(&world, &ada, &page, "deny")
        .await
        .refused("access_denied");
    let (user, now) = (ada.user, world.app.clock.now());
    let (granted, consented) = world
        .app
        .authority
        .store
        .read::<_, StoreError>(move |tx| {
            Ok((
                grants::of_user(tx, user, now)?,
                consents::of_user(tx, user)?,
            ))
        })
        .await
        .unwrap();
    assert!(granted.is_empty() && consented.is_empty());
    asked(&world, &ada, &[]).await;
}

#[tokio::test]
async fn only_a_page_of_ours_in_the_same_session_can_agree() {
    let (world, ada) = start().await;
    let page = asked(&world, &ada, &[]).await;
    let (request, csrf) = (field(&page, "request"), field(&page, "csrf"));
    let allow = ("decision", "allow");
    let form = [
        ("request", request.as_str()),
        ("csrf", csrf.as_str()),
        allow,
    ];
    // Another site, no token, another session's token.
    world
        .submit(Some(&ada), "/consent", &form, false)
        .await
        .page(403);
    let bare = [("request", request.as_str()), allow];
    world
        .submit(Some(&ada), "/consent", &bare, true)
        .await
        .page(403);
    let bob = world.log_in("bob").await;
    world
        .submit(Some(&bob), "/consent", &form, true)
        .await
        .page(403);
    // No session any more: to the login page, and the question comes again.
    let reply = world.submit(None, "/consent", &form, true).await;
    assert!(reply.location().starts_with("/login?request="));
    // No decision.
    decide(&world, &ada, &page, "perhaps").await.page(400);
    assert_eq!(world.count("consents").await, 0);
    assert_eq!(world.count("grants").await, 0);
}

#[tokio::test]
async fn an_app_that_was_retired_while_the_page_was_open_gets_nothing() {
    let (world, ada) = start().await;
    let page = asked(&world, &ada, &[]).await;
    let now = world.app.clock.now();
    world
        .app
        .authority
        .store
        .write::<_, StoreError>(move |tx| {
            doorward::store::clients::retire(tx, &foreign().client(), now)
        })
        .await
        .unwrap();
    decide(&world, &ada, &page, "allow").await.page(400);
    assert_eq!(world.count("grants").await, 0);
}

#[tokio::test]
async fn agreeing_in_two_tabs_gives_two_codes_and_one_consent() {
    let (world, ada) = start().await;
    let one = asked(&world, &ada, &[("state", "one")]).await;
    let two = asked(&world, &ada, &[("state", "two")]).await;
    assert_eq!(
        decide(&world, &ada, &two, "allow").await.answer()["state"],
        "two"
    );
    assert_eq!(
        decide(&world, &ada, &one, "allow").await.answer()["state"],
        "one"
    );
    assert_eq!(world.count("consents").await, 2, "one row a scope");
    assert_eq!(world.count("authorization_codes").await, 2);
}

#[tokio::test]
async fn a_consent_page_that_was_open_too_long_asks_again() {
    let (world, ada) = start().await;
    let page = asked(&world, &ada, &[]).await;
    world.advance(3_601);
    let answer = decide(&world, &ada, &page, "allow").await.answer();
    assert!(
        answer.contains_key("code"),
        "the person saw what they agreed to"
    );
}

#[tokio::test]
async fn a_yes_for_one_organization_covers_no_other_and_no_unbound_token() {
    let (world, ada) = start().await;
    for slug in ["acme", "globex"] {
        world.app.owner_of(slug).await;
        world.app.join(slug, ada.user, "billing/viewer").await;
    }
    let acme = ("organization", "acme");
    let page = asked(&world, &ada, &[acme]).await;
    decide(&world, &ada, &page, "allow").await.answer();
    assert_eq!(world.count("grants").await, 1);
    assert_eq!(world.count("consents").await, 0);
    asked(&world, &ada, &[("organization", "globex")]).await;
    asked(&world, &ada, &[]).await;
}

/// A service whose scopes say something, and something of many words.
const LEDGER: &str = r#"{
  "service": "ledger",
  "permissions": {
    "entry": { "read": "See every entry", "write": { "description": "Write entries" } },
    "a": { "a": "A", "b": "B", "c": "C", "d": "D", "e": "E", "f": "F", "g": "G", "h": "H", "i": "I" }
  },
  "roles": {},
  "scopes": { "ledger:use": ["entry:*"], "ledger:all": ["a:*", "entry:*"] }
}"#;

#[tokio::test]
async fn people_read_what_a_services_scope_allows_in_the_services_words() {
    let (world, ada) = start().await;
    world.app.sync(LEDGER).await;
    let mut reader = app("reader");
    reader.spec.first_party = false;
    reader.spec.redirect_uris = vec![CALLBACK.to_owned()];
    reader.spec.scopes = "openid ledger:use ledger:all unknown:scope"
        .split(' ')
        .map(|scope| scope.parse().unwrap())
        .collect();
    world.register(reader).await;
    let client = ("client_id", "reader");
    let asked = async |scope: &str, locales: &str| {
        let other = [client, ("scope", scope), ("ui_locales", locales)];
        let path = world.authorize(Some(&ada), &other).await;
        let path = path.location().to_owned();
        world.visit(Some(&ada), &path).await.page(200).to_owned()
    };
    let page = asked("openid ledger:use", "en").await;
    assert!(page.contains("Know that it is you"), "{page}");
    assert!(page.contains("See every entry · Write entries"), "{page}");
    // What is not told is counted, and what nobody declares is told by its name.
    let page = asked("openid ledger:all unknown:scope", "de").await;
    assert!(
        page.contains("A · B · C · D · E · F · G · H · und 3 weitere"),
        "{page}"
    );
    assert!(page.contains("<li>unknown:scope</li>"), "{page}");
}
