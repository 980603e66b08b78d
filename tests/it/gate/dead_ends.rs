//! What goes wrong on the way: each ends on a page that leads on.

use std::time::Duration;

use doorward::protocol::forward_auth::Dialect;

use super::world::{Answer, Gated, ORIGIN, Person};

const PAGE: &str = "GET app.test/me?x=1";

/// To the authority and back, with the address that the authority gave.
async fn on_the_way(gated: &Gated, person: &mut Person) -> String {
    let asked = gated.navigate(Dialect::Plain, PAGE, person).await;
    let begun = gated.visit(person, asked.location()).await.expect(303);
    gated.authorize(person, begun.location()).await
}

/// A page with no script and a strict policy, whose link begins a sign-in that leads to `target`.
#[track_caller]
fn leads_on(answer: &Answer, status: u16, target: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:#?}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!answer.body.contains("<script"), "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let link = answer.link();
    let login = format!("{ORIGIN}/.doorward/login?return_to=");
    let wanted: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    assert_eq!(link, format!("{login}{wanted}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_belongs_to_no_attempt_of_the_browser_signs_nobody_in() {
    let gated = Gated::start().await;
    let mut ada = gated.person("ada").await;
    let back = on_the_way(&gated, &mut ada).await;
    // Another browser is sent there: somebody wants it to be signed in as ada.
    let mut eve = gated.person("eve").await;
    leads_on(&gated.visit(&mut eve, &back).await, 400, "/");
    let mut state = back.clone();
    let at = state.find("state=").unwrap() + 40;
    let other = if state.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    state.replace_range(at..=at, other);
    leads_on(&gated.visit(&mut ada, &state).await, 400, "/");
    for url in [
        format!("{ORIGIN}/.doorward/callback"),
        format!("{back}&code=another"),
        format!("{ORIGIN}/.doorward/callback?code=1&state=x.y"),
    ] {
        leads_on(&gated.visit(&mut ada, &url).await, 400, "/");
    }
    assert_eq!(eve.session(), None);
    assert_eq!(ada.session(), None);
    // None of it ended the attempt.
    gated.visit(&mut ada, &back).await.expect(303);
    // It counts once: the page is loaded again.
    leads_on(&gated.visit(&mut ada, &back).await, 400, "/");
    assert_eq!(gated.me(&ada).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_another_issuer_is_shown_to_no_token_endpoint() {
    let gated = Gated::start().await;
    let mut ada = gated.person("ada").await;
    let back = on_the_way(&gated, &mut ada).await;
    let (rest, _) = back.split_once("&iss=").unwrap();
    for url in [
        rest.to_owned(),
        format!("{rest}&iss=https%3A%2F%2Fevil.example"),
    ] {
        let mut copy = ada.clone();
        leads_on(&gated.visit(&mut copy, &url).await, 400, "/me?x=1");
        assert_eq!(copy.session(), None);
        assert!(copy.attempts().is_empty(), "the attempt is over");
    }
    // The code was not redeemed.
    gated.visit(&mut ada, &back).await.expect(303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_too_long_tries_again_and_ends_where_they_were_going() {
    let gated = Gated::start().await;
    let mut ada = gated.person("ada").await;
    let back = on_the_way(&gated, &mut ada).await;
    gated.world.app.clock.advance(Duration::from_mins(31));
    gated.hear().await;
    let late = gated.visit(&mut ada, &back).await;
    leads_on(&late, 400, "/me?x=1");
    assert!(late.body.contains("Please sign in again"));
    let begun = gated.visit(&mut ada, &late.link()).await.expect(303);
    let back = gated.authorize(&ada, begun.location()).await;
    let done = gated.visit(&mut ada, &back).await.expect(303);
    assert_eq!(done.location(), format!("{ORIGIN}/me?x=1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_of_the_authority_is_told_and_leads_to_another_attempt() {
    let gated = Gated::start().await;
    for (error, told) in [
        ("access_denied", "You are not signed in"),
        ("login_required", "Please sign in again"),
        ("temporarily_unavailable", "does not work just now"),
        ("invalid_scope", "Signing in failed"),
        ("%3Cscript%3E", "Signing in failed"),
    ] {
        let mut ada = gated.person("ada").await;
        let back = on_the_way(&gated, &mut ada).await;
        let (start, rest) = back.split_once("code=").unwrap();
        let (_, rest) = rest.split_once('&').unwrap();
        let url = format!("{start}error={error}&{rest}");
        let answer = gated.visit(&mut ada, &url).await;
        leads_on(&answer, 403, "/me?x=1");
        assert!(answer.body.contains(told), "{}", answer.body);
        assert!(ada.attempts().is_empty());
        gated.visit(&mut ada, &answer.link()).await.expect(303);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_cannot_be_reached_or_refuses_the_code_is_no_dead_end() {
    let gated = Gated::start().await;
    let mut ada = gated.person("ada").await;
    let back = on_the_way(&gated, &mut ada).await;
    let (start, rest) = back.split_once("code=").unwrap();
    let (_, rest) = rest.split_once('&').unwrap();
    let wrong = format!("{start}code=another&{rest}");
    leads_on(&gated.visit(&mut ada.clone(), &wrong).await, 502, "/me?x=1");
    gated
        .world
        .app
        .authority
        .tasks
        .shutdown(Duration::from_mins(1))
        .await
        .unwrap();
    let answer = gated.visit(&mut ada, &back).await;
    leads_on(&answer, 503, "/me?x=1");
    assert_eq!(ada.session(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_leads_to_paths_of_the_app_and_nowhere_else() {
    let gated = Gated::start().await;
    let login = format!("{ORIGIN}/.doorward/login?return_to=");
    for target in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/%09/evil.example&return_to=/",
        "/a&return_to=/b",
        "me",
        "/a%0d%0ax: y",
        "/a%23b",
    ] {
        let target = if target.contains('%') || target.contains('&') {
            target.to_owned()
        } else {
            form_urlencoded::byte_serialize(target.as_bytes()).collect()
        };
        let mut ada = gated.person("ada").await;
        let answer = gated.visit(&mut ada, &format!("{login}{target}")).await;
        leads_on(&answer, 400, "/");
        assert!(ada.attempts().is_empty(), "{target}");
    }
    // Into the gate would be in circles.
    for target in ["/.doorward/login", "/.doorward/sign-out?x", "/"] {
        let mut ada = gated.person("ada").await;
        let begun = gated
            .visit(&mut ada, &format!("{login}{target}"))
            .await
            .expect(303);
        let back = gated.authorize(&ada, begun.location()).await;
        let done = gated.visit(&mut ada, &back).await.expect(303);
        assert_eq!(done.location(), format!("{ORIGIN}/"), "{target}");
    }
}
