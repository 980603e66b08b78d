//! From the page to the session.

use std::time::Duration;

use doorward::authority::login::LoginRequest;
use serde_json::json;

use super::browser::query;
use super::upstream::{CLIENT_ID, Instead, Upstream};
use super::world::{HOME, NOW, World};

on_both_engines! {
    a_first_login_makes_the_user_and_a_session_behind_a_cookie,
    a_second_login_finds_the_user_again,
    several_tabs_finish_in_any_order,
    who_logs_in_again_goes_on_in_the_same_session_under_a_new_cookie,
    another_person_in_the_same_browser_ends_the_session_before,
    two_tabs_with_one_new_account_make_one_user,
    a_session_ends_by_age_by_idleness_and_with_its_user,
}

async fn a_first_login_makes_the_user_and_a_session_behind_a_cookie(world: World) {
    let mut browser = world.browser();
    let path = world.begin(&LoginRequest {
        login_hint: Some("ada".to_owned()),
        acr_values: vec!["a".to_owned(), "b".to_owned()],
        client_name: Some("Books & <i>Co</i>".to_owned()),
        ..LoginRequest::to("/oauth2/authorize/resume?request=x")
    });
    let page = browser.sign_in_page(&path).await;
    assert!(
        page.html.contains("Books &#38; &#60;i&#62;Co"),
        "{}",
        page.html
    );
    let url = browser.choose(&page, "corp").await.expect(303);
    let url = url.header("location").to_owned();
    let asked = query(&url);
    assert!(url.starts_with(&format!("{}/authorize?", world.corp.issuer)));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
        ("login_hint", "ada"),
        ("acr_values", "a b"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    assert!(!asked.contains_key("prompt") && !asked.contains_key("max_age"));
    assert_eq!(world.count("users").await, 0);

    world
        .corp
        .person(json!({"sid": "up1", "amr": ["pwd", "otp"], "acr": "high",
        "picture": "https://idp.example/ada.png", "locale": "de-CH", "auth_time": NOW - 5}));
    let back = browser.get(&world.corp.agree(&url)).await.expect(303);
    assert_eq!(
        back.header("location"),
        "/oauth2/authorize/resume?request=x"
    );
    assert_eq!(browser.cookies.len(), 1, "{:?}", browser.cookies);
    let session = world.session(&browser).await.unwrap();
    assert_eq!(session.amr, ["pwd", "otp"]);
    assert_eq!(session.acr.as_deref(), Some("high"));
    assert_eq!(session.upstream_sid.as_deref(), Some("up1"));
    assert_eq!(session.authenticated_at.unix_seconds(), NOW - 5);
    assert_eq!(session.user_agent.as_deref(), Some("Test/1"));
    let user = world.user(session.user_id).await;
    assert_eq!(
        (user.email.as_str(), user.display_name.as_str()),
        ("ada@example.com", "Ada Abara")
    );
    assert_eq!(
        user.avatar_url.as_deref(),
        Some("https://idp.example/ada.png")
    );
    let accounts = world.accounts(user.id).await;
    assert_eq!(
        (accounts[0].provider.as_str(), accounts[0].subject.as_str()),
        ("corp", "u1")
    );
    for event in ["user.created", "session.created"] {
        assert_eq!(world.app.audited(event).await, 1, "{event}");
    }
    // Credentials go as RFC 6749 §2.3.1 says.
    let (form, authorization) = world.corp.with(|script| script.forms[0].clone());
    let basic = data_encoding::BASE64.encode(b"doorward-test:s3cr%26t+%2B%2F");
    assert_eq!(authorization.unwrap(), format!("Basic {basic}"));
    assert!(!form.contains_key("client_secret"));
}

async fn a_second_login_finds_the_user_again(world: World) {
    let first = world.log_in(&mut world.browser(), "corp").await;
    let second = world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(first.user_id, second.user_id);
    assert_ne!(first.id, second.id);
    assert_eq!(world.count("users").await, 1);
    assert_eq!(world.sessions(first.user_id).await.len(), 2);
    // Another provider's account of the same subject is somebody else.
    world.other.person(json!({"email": "other@example.com"}));
    let other = world.log_in(&mut world.browser(), "other").await;
    assert_ne!(other.user_id, first.user_id);
}

async fn several_tabs_finish_in_any_order(world: World) {
    let mut browser = world.browser();
    let (one, two) = (
        world.begin(&LoginRequest::to("/one")),
        world.begin(&LoginRequest::to("/two")),
    );
    let first = browser.press_through(&one, "corp").await;
    let second = browser.press_through(&two, "other").await;
    world.other.person(json!({"email": "other@example.com"}));
    let back = browser.get(&world.other.agree(&second)).await.expect(303);
    assert_eq!(back.header("location"), "/two");
    let back = browser.get(&world.corp.agree(&first)).await.expect(303);
    assert_eq!(back.header("location"), "/one");
    // And a tab that waited on the page goes on without another login.
    let waited = browser.get(&world.begin(&LoginRequest::to("/three"))).await;
    assert_eq!(waited.expect(303).header("location"), "/three");
}

async fn who_logs_in_again_goes_on_in_the_same_session_under_a_new_cookie(world: World) {
    let mut browser = world.browser();
    let first = world.log_in(&mut browser, "corp").await;
    let old = browser.clone();
    world.advance(Duration::from_secs(100));
    world.corp.person(json!({"auth_time": NOW + 100}));
    let again = LoginRequest {
        force: true,
        ..LoginRequest::to(HOME)
    };
    world
        .arrive_by(&mut browser, "corp", &again)
        .await
        .expect(303);
    let second = world.session(&browser).await.unwrap();
    assert_eq!(first.id, second.id);
    assert_ne!(old.session(), browser.session());
    assert!(
        world.session(&old).await.is_none(),
        "the old cookie still works"
    );
    assert_eq!(second.authenticated_at.unix_seconds(), NOW + 100);
    // Whoever sent them there for a new login has to see that there was one.
    assert!(second.created_at > first.created_at);
    assert_eq!(world.app.audited("session.renewed").await, 1);
}

async fn another_person_in_the_same_browser_ends_the_session_before(world: World) {
    let mut browser = world.browser();
    let first = world.log_in(&mut browser, "corp").await;
    let old = browser.clone();
    world
        .corp
        .person(json!({"sub": "u2", "email": "bo@example.com", "auth_time": NOW}));
    let again = LoginRequest {
        force: true,
        ..LoginRequest::to(HOME)
    };
    world
        .arrive_by(&mut browser, "corp", &again)
        .await
        .expect(303);
    let second = world.session(&browser).await.unwrap();
    assert_ne!((first.id, first.user_id), (second.id, second.user_id));
    assert!(world.session(&old).await.is_none());
    assert!(world.sessions(first.user_id).await.is_empty());
    assert_eq!(world.app.audited("session.ended").await, 1);
}

async fn two_tabs_with_one_new_account_make_one_user(world: World) {
    let (mut one, mut two) = (world.browser(), world.browser());
    let begin = || world.begin(&LoginRequest::to(HOME));
    let first = world.corp.agree(&one.press_through(&begin(), "corp").await);
    let second = world.corp.agree(&two.press_through(&begin(), "corp").await);
    let (first, second) = tokio::join!(one.get(&first), two.get(&second));
    first.expect(303);
    second.expect(303);
    assert_eq!(world.count("users").await, 1);
    assert_eq!(world.count("sessions").await, 2);
}

async fn a_session_ends_by_age_by_idleness_and_with_its_user(world: World) {
    let mut browser = world.browser();
    let hour = Duration::from_hours(1);
    world.log_in(&mut browser, "corp").await;
    world.advance(hour * 23);
    assert!(world.session(&browser).await.is_some());
    world.advance(hour * 23);
    assert!(world.session(&browser).await.is_some(), "its use counts");
    world.advance(hour * 24);
    assert!(world.session(&browser).await.is_none(), "idle");

    world.log_in(&mut browser, "corp").await;
    for _ in 0..8 {
        world.session(&browser).await;
        world.advance(hour * 20);
    }
    assert!(world.session(&browser).await.is_some());
    world.advance(hour * 8);
    assert!(world.session(&browser).await.is_none(), "old");

    let session = world.log_in(&mut browser, "corp").await;
    world.app.suspend(session.user_id).await;
    assert!(world.session(&browser).await.is_none(), "suspended");
    world.arrive(&mut browser, "corp").await.expect(403);
    assert_eq!(world.app.audited("login.refused").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_counts_once_and_only_in_the_browser_that_began_it() {
    let world = World::start(None).await;
    let mut browser = world.browser();
    let url = browser
        .press_through(&world.begin(&LoginRequest::to(HOME)), "corp")
        .await;
    let back = world.corp.agree(&url);
    // Somebody else's browser, with and without an attempt of its own.
    let mut thief = world.browser();
    thief.get(&back).await.expect(400);
    thief
        .press_through(&world.begin(&LoginRequest::to(HOME)), "corp")
        .await;
    thief.get(&back).await.expect(400);
    // The right browser with a changed state, and at another provider's callback.
    let state = &query(&back)["state"];
    let changed = back.replace(state.as_str(), &format!("{}x", &state[..state.len() - 1]));
    browser.get(&changed).await.expect(400);
    browser
        .get(&back.replace("/callback/corp", "/callback/other"))
        .await
        .expect(400);
    assert_eq!(world.corp.asked("/token"), 0);
    browser.get(&back).await.expect(303);
    browser.get(&back).await.expect(400);
    assert_eq!(world.corp.asked("/token"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_took_too_long_begins_again() {
    let world = World::start(None).await;
    let mut browser = world.browser();
    let url = browser
        .press_through(&world.begin(&LoginRequest::to("/there")), "corp")
        .await;
    world.advance(Duration::from_mins(15));
    let back = browser.get(&world.corp.agree(&url)).await.expect(303);
    let page = back.header("location").to_owned();
    assert!(
        page.starts_with("/login?request=") && page.ends_with("&notice=expired"),
        "{page}"
    );
    let url = browser.press_through(&page, "corp").await;
    let back = browser.get(&world.corp.agree(&url)).await.expect(303);
    assert_eq!(back.header("location"), "/there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_open_tabs_never_fill_the_request() {
    let world = World::start(None).await;
    let mut browser = world.browser();
    let long = LoginRequest::to(format!("/there?x={}", "y".repeat(1200)));
    for _ in 0..12 {
        browser.press_through(&world.begin(&long), "corp").await;
        let carried: usize = browser.cookies.values().map(String::len).sum();
        assert!(carried < 8 * 1024, "{carried}");
    }
    assert!(browser.cookies.len() >= 2);
    // More than a cookie can hold is refused with a page, not lost.
    let longer = LoginRequest::to(format!("/there?x={}", "y".repeat(3000)));
    let page = browser.sign_in_page(&world.begin(&longer)).await;
    browser.choose(&page, "corp").await.expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_site_or_another_page_begins_nothing() {
    let world = World::start(None).await;
    let mut browser = world.browser();
    let path = world.begin(&LoginRequest::to(HOME));
    let page = browser.sign_in_page(&path).await;
    let other = browser
        .sign_in_page(&world.begin(&LoginRequest::to("/b")))
        .await;
    let form = [
        ("request", page.request.as_str()),
        ("csrf", other.csrf.as_str()),
    ];
    browser.post("/login/corp", &form).await.expect(403);
    let cross = world
        .app
        .post("/login/corp")
        .header("origin", "https://evil.example")
        .bytes(
            "application/x-www-form-urlencoded",
            format!("request={}&csrf={}", page.request, page.csrf),
        )
        .await;
    cross.expect(403);
    assert!(browser.cookies.is_empty());
    browser.get("/login?request=made-up").await.expect(400);
    browser
        .get("/login/callback/nobody?code=a&state=b")
        .await
        .expect(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_asked_for_upstream_and_believed_only_from_there() {
    let world = World::start(None).await;
    let force = LoginRequest {
        force: true,
        ..LoginRequest::to("/resume?r=1")
    };
    let aged = LoginRequest {
        max_age: Some(Duration::from_secs(100)),
        ..LoginRequest::to("/resume")
    };
    let mut browser = world.browser();
    let asked = query(&browser.press_through(&world.begin(&force), "corp").await);
    assert_eq!(asked["prompt"], "login");
    let asked = query(&browser.press_through(&world.begin(&aged), "corp").await);
    assert_eq!(asked["max_age"], "100");
    for (request, auth_time, wanted) in [
        (
            &force,
            json!(null),
            "/resume?r=1&login_error=login_required",
        ),
        (
            &force,
            json!(NOW - 1000),
            "/resume?r=1&login_error=login_required",
        ),
        (&aged, json!(null), "/resume?login_error=login_required"),
        (
            &aged,
            json!(NOW - 200),
            "/resume?login_error=login_required",
        ),
        (&aged, json!(NOW - 90), "/resume"),
        (&force, json!(NOW), "/resume?r=1"),
    ] {
        world.corp.person(json!({ "auth_time": auth_time }));
        let mut browser = world.browser();
        let reply = world
            .arrive_by(&mut browser, "corp", request)
            .await
            .expect(303);
        assert_eq!(reply.header("location"), wanted, "{auth_time}");
        assert_eq!(browser.session().is_some(), !wanted.contains("error"));
    }
    // GitHub cannot: who asked is told before anybody goes there.
    let page = browser.sign_in_page(&world.begin(&force)).await;
    let told = browser.choose(&page, "hub").await.expect(303);
    assert_eq!(
        told.header("location"),
        "/resume?r=1&login_error=login_required"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_at_the_provider_is_back_at_the_page() {
    let world = World::start(None).await;
    let mut browser = world.browser();
    let path = world.begin(&LoginRequest::to("/there"));
    let url = browser.press_through(&path, "corp").await;
    let back = browser
        .get(&Upstream::refuse(&url, "access_denied"))
        .await
        .expect(303);
    let page = back.header("location").to_owned();
    assert!(page.ends_with("&notice=cancelled"), "{page}");
    browser.sign_in_page(&page).await;
    let url = browser.press_through(&path, "corp").await;
    let back = browser
        .get(&Upstream::refuse(&url, "login_required"))
        .await
        .expect(303);
    assert_eq!(back.header("location"), "/there?login_error=login_required");
    let url = browser.press_through(&path, "corp").await;
    let said = Upstream::refuse(&url, "%3Cscript%3E");
    let page = browser.get(&said).await.expect(502);
    assert!(!page.body.as_str().unwrap().contains("<script"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_provider_is_a_readable_page_and_a_later_login_works() {
    let world = World::start(None).await;
    world.corp.with(|script| {
        script
            .instead
            .insert("/.well-known/openid-configuration", Instead::Status(500));
    });
    let mut browser = world.browser();
    let path = world.begin(&LoginRequest::to(HOME));
    let page = browser.sign_in_page(&path).await;
    let failed = browser.choose(&page, "corp").await.expect(502);
    assert!(failed.header("content-type").starts_with("text/html"));
    assert!(browser.cookies.is_empty());
    // It is left alone for a moment, not hammered.
    browser.choose(&page, "corp").await.expect(502);
    assert_eq!(world.corp.asked("/.well-known/openid-configuration"), 1);
    world.corp.with(|script| script.instead.clear());
    world.advance(Duration::from_secs(6));
    world.log_in(&mut browser, "corp").await;
}
