//! Forms that no page of ours sent change nothing.

use super::browser::{ORIGIN, post, sign_in, text};
use crate::support::app::TestApp;

/// Every form of the account page, and whether it names something.
const FORMS: [&str; 7] = [
    "/account/sign-out",
    "/account/sessions/end-others",
    "/account/sessions/end-all",
    "/account/sessions/00000000-0000-0000-0000-000000000001/end",
    "/account/apps/00000000-0000-0000-0000-000000000001/revoke",
    "/account/accounts/00000000-0000-0000-0000-000000000001/remove",
    "/account/providers/corp/add",
];

#[tokio::test]
async fn a_form_without_the_token_of_its_session_is_refused() {
    let app = TestApp::start().await;
    let ada = app.user("ada").await;
    let here = sign_in(&app, ada, "").await;
    let other = sign_in(&app, ada, "").await;
    let foreign = other.csrf().await;
    for path in FORMS {
        for token in ["", "x", foreign.as_str()] {
            let reply = here.send_with(path, &[("csrf", token)]).await.expect(403);
            let page = text(&reply);
            assert!(page.contains("Nothing was changed"), "{path}: {page}");
        }
        here.send_with(path, &[]).await.expect(403);
    }
    here.get("/account").send().await.expect(200);
    other.get("/account").send().await.expect(200);
}

#[tokio::test]
async fn a_form_from_another_site_is_refused_with_the_right_token_too() {
    let app = TestApp::start().await;
    let here = sign_in(&app, app.user("ada").await, "").await;
    let csrf = here.csrf().await;
    for (name, value) in [
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:7181"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let call = here.bare("/account/sign-out").header(name, value);
        let reply = post(call, &[("csrf", &csrf)]).await;
        reply.expect(403);
    }
    here.get("/account").send().await.expect(200);
}

#[tokio::test]
async fn a_browser_that_says_nothing_of_sites_is_believed_by_its_token() {
    let app = TestApp::start().await;
    let here = sign_in(&app, app.user("ada").await, "").await;
    let csrf = here.csrf().await;
    let call = here.bare("/account/sign-out");
    post(call, &[("csrf", &csrf)]).await.expect(303);
}

#[tokio::test]
async fn actions_are_not_taken_by_following_a_link() {
    let app = TestApp::start().await;
    let here = sign_in(&app, app.user("ada").await, "").await;
    let csrf = here.csrf().await;
    for path in FORMS {
        let path = format!("{path}?csrf={csrf}");
        here.get(&path).send().await.expect(405);
    }
    here.get("/account").send().await.expect(200);
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused_with_a_page() {
    let app = TestApp::start().await;
    let here = sign_in(&app, app.user("ada").await, "").await;
    let path = "/account/sign-out";
    let json = here.form(path).bytes("application/json", "{}").await;
    assert!(text(&json.expect(415)).contains("<!doctype html>"));
    let kind = "application/x-www-form-urlencoded";
    let twice = here.form(path).bytes(kind, "csrf=a&csrf=b").await;
    assert!(text(&twice.expect(400)).contains("<!doctype html>"));
    let long = here.form(path).bytes(kind, vec![b'a'; 64 * 1024]).await;
    assert!(text(&long.expect(413)).contains("<!doctype html>"));
    assert_eq!(ORIGIN, app.authority.config.issuer.as_str());
}
