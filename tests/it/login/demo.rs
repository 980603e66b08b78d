//! The demo provider, over real HTTP to itself.

use doorward::authority::config::Config;
use doorward::runtime::config::Environment;
use serde_json::json;

use super::browser::{Browser, field};
use crate::support::app::TestApp;

async fn demo() -> TestApp {
    TestApp::start_with(None, |config, address| {
        config.issuer = format!("http://{address}").parse().unwrap();
        config.demo_provider = true;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_of_the_demo_is_chosen_and_logged_in_as_the_user_who_is_linked() {
    let app = demo().await;
    let made = app
        .post("/v1/users")
        .by(app.operator())
        .json(
            &json!({"display_name": "Bob Berg", "email": "bob@example.com",
            "account": {"provider": "demo", "provider_account_id": "bob"}}),
        )
        .await
        .expect(201);
    let mut browser = Browser::new(&app);
    let begun = browser.get("/login").await.expect(303);
    let url = browser
        .press_through(begun.header("location"), "demo")
        .await;
    let page = browser.get(&url).await.expect(200);
    let html = page.body.as_str().unwrap().to_owned();
    assert!(html.contains("never runs in a real installation"), "{html}");
    let (request, csrf) = (field(&html, "request"), field(&html, "csrf"));
    let form = |subject: &'static str| {
        [
            ("request", request.clone()),
            ("csrf", csrf.clone()),
            ("subject", subject.to_owned()),
        ]
    };
    let nobody = form("mallory");
    let nobody: Vec<_> = nobody
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    browser
        .post("/demo-provider/choose", &nobody)
        .await
        .expect(400);
    let bob = form("bob");
    let bob: Vec<_> = bob
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let chosen = browser
        .post("/demo-provider/choose", &bob)
        .await
        .expect(303);
    let back = browser.get(chosen.header("location")).await.expect(303);
    assert_eq!(back.header("location"), "/account");
    assert!(browser.session().is_some());
    let users = app
        .get("/v1/users")
        .by(app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(users.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(users.body["items"][0]["id"], made.body["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_is_not_there_unless_the_program_itself_switches_it_on() {
    let app = TestApp::start().await;
    for path in ["/demo-provider/authorize", "/demo-provider/jwks"] {
        app.get(path).send().await.expect(404);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authority.toml");
    let text = "data = '/d'\n[providers.demo]\nkind = 'demo'\nissuer = 'https://x'\n\
                client_id = 'doorward'";
    std::fs::write(&file, text).unwrap();
    let error = Config::load(Some(&file), None, &Environment::default()).unwrap_err();
    assert!(error.to_string().contains("`doorward dev` only"), "{error}");
    std::fs::write(&file, "data = '/d'\ndemo_provider = true").unwrap();
    assert!(Config::load(Some(&file), None, &Environment::default()).is_err());
}
