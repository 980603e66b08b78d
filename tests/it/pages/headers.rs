//! What stands around every page.

use http::StatusCode;

use super::browser::{sign_in, text};
use crate::support::app::{Reply, TestApp};

fn assert_closed(reply: &Reply) {
    let policy = reply.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src") && !policy.contains('*'));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert!(reply.header("permissions-policy").contains("camera=()"));
    let page = text(reply);
    for wrong in ["<script", " style=", " onclick=", "javascript:"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
}

#[tokio::test]
async fn every_page_is_closed_against_scripts_frames_and_caches() {
    let app = TestApp::start().await;
    let here = sign_in(&app, app.user("ada").await, "").await;
    for path in ["/account", "/signed-out"] {
        assert_closed(&here.get(path).send().await.expect(200));
    }
    let missing = here.get("/nowhere").send().await.expect(404);
    assert_closed(&missing);
    assert!(text(&missing).contains("There is nothing here"));
    let refused = here.send_with("/account/sign-out", &[]).await.expect(403);
    assert_closed(&refused);
    let account = here.get("/account").send().await;
    assert_eq!(account.header("cross-origin-opener-policy"), "same-origin");
}

#[tokio::test]
async fn a_program_that_asks_for_nothing_gets_a_problem() {
    let app = TestApp::start().await;
    app.get("/nowhere")
        .send()
        .await
        .expect_problem(404, "not-found");
    for path in ["/v1/nowhere", "/.well-known/nowhere"] {
        let call = app.get(path).header("accept", "text/html");
        call.send().await.expect_problem(404, "not-found");
    }
    let call = app.post("/nowhere").header("accept", "text/html");
    call.send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn the_stylesheet_may_be_kept_for_ever_under_the_name_of_its_content() {
    let app = TestApp::start().await;
    let page = text(&app.get("/signed-out").send().await.expect(200));
    let (_, rest) = page.split_once("<link rel=\"stylesheet\" href=\"").unwrap();
    let path = rest.split('"').next().unwrap();
    let reply = app.get(path).send().await.expect(200);
    assert_eq!(reply.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(
        reply.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert!(text(&reply).contains("prefers-color-scheme: dark"));
    for wrong in ["/assets/0.css", "/assets/", "/assets/..%2fx"] {
        let reply = app.get(wrong).send().await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{wrong}");
    }
}

#[tokio::test]
async fn a_page_speaks_the_language_that_the_browser_asks_for() {
    let app = TestApp::start().await;
    for (accept, lang, title) in [
        ("de-CH, en;q=0.5", "de", "Sie sind abgemeldet"),
        ("fr, en;q=0.5", "en", "You are signed out"),
        ("", "en", "You are signed out"),
    ] {
        let call = app.get("/signed-out").header("accept-language", accept);
        let reply = call.send().await.expect(200);
        assert_eq!(reply.header("content-language"), lang);
        let page = text(&reply);
        assert!(page.contains(&format!("<html lang=\"{lang}\"")));
        assert!(page.contains(title));
    }
}
