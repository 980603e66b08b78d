//! A device's code, typed by a person.

use doorward::domain::app::{
    AppSpec, ApplicationType, AuthMethod, ClientSource, IdTokenAlg, RefreshBinding,
};
use doorward::runtime::Clock;
use serde_json::Value;

use super::browser::{Browser, hidden, post, sign_in, text};
use crate::support::app::{Reply, TestApp};

/// A public app that devices run, and a device's wait.
async fn start(app: &TestApp) -> (String, String) {
    use doorward::domain::{ClientId, Scopes};
    use doorward::store::StoreError;
    use doorward::store::apps::{self, App};
    let now = app.clock.now();
    let spec = AppSpec {
        identifier: "tv".parse().unwrap(),
        name: "Living room <TV>".to_owned(),
        scopes: Scopes::parse("openid profile offline_access").unwrap(),
        redirect_uris: Vec::new(),
        application_type: ApplicationType::Native,
        auth_method: AuthMethod::None,
        grant_types: "urn:ietf:params:oauth:grant-type:device_code refresh_token"
            .parse()
            .unwrap(),
        resources: Vec::new(),
        post_logout_redirect_uris: Vec::new(),
        backchannel_logout_uri: None,
        jwks: None,
        first_party: false,
        require_par: false,
        dpop_bound: false,
        refresh_binding: RefreshBinding::Standalone,
        id_token_alg: IdTokenAlg::RS256,
        logo_uri: None,
        client_uri: None,
        policy_uri: None,
        tos_uri: None,
    };
    let id = ClientId::mint(now, app.entropy.id_bits());
    let row = App::new(id, spec, ClientSource::Api, now);
    app.authority
        .store
        .write::<_, StoreError>(move |tx| {
            if apps::find_by_identifier(tx, &row.spec.identifier)?.is_none() {
                apps::insert(tx, &row, None, now)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let fields = [("client_id", "tv"), ("scope", "openid profile")];
    let reply = post(app.post("/oauth2/device_authorization"), &fields).await;
    let body = reply.expect(200).body;
    let of = |key: &str| body[key].as_str().unwrap().to_owned();
    (of("device_code"), of("user_code"))
}

async fn poll(app: &TestApp, device_code: &str) -> Reply {
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", "tv"),
        ("device_code", device_code),
    ];
    post(app.post("/oauth2/token"), &fields).await
}

async fn send(here: &Browser<'_>, fields: &[(&str, &str)]) -> Reply {
    let csrf = hidden(&here.page("/device").await, "csrf");
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend(fields);
    here.send_with("/device", &all).await
}

#[tokio::test]
async fn a_device_is_shown_and_then_let_in() {
    let app = TestApp::start().await;
    let here = sign_in(&app, app.user("ada").await, "").await;
    let (device_code, user_code) = start(&app).await;
    // As people type it.
    let typed = user_code.to_lowercase().replace('-', " ");
    let page = text(&send(&here, &[("user_code", &typed)]).await.expect(200));
    assert!(
        page.contains("Connect <bdi>Living room &#60;TV&#62;</bdi>?"),
        "{page}"
    );
    assert!(page.contains(&format!("<code>{user_code}</code>")));
    assert!(page.contains("See your name and your picture"));
    let request = hidden(&page, "request");

    let other = sign_in(&app, app.user("eve").await, "").await;
    let stolen = [("request", request.as_str()), ("decision", "allow")];
    send(&other, &stolen).await.expect(400);

    let page = text(&send(&here, &stolen).await.expect(200));
    assert!(page.contains("Your device is connected"));
    let tokens: Value = poll(&app, &device_code).await.expect(200).body;
    assert!(tokens["access_token"].is_string());
    assert_eq!(app.audited("device.approved").await, 1);
    // Decided once.
    send(&here, &stolen).await.expect(400);
    assert!(
        here.page("/account")
            .await
            .contains("Living room &#60;TV&#62;")
    );
}

#[tokio::test]
async fn a_device_is_turned_away() {
    let app = TestApp::start().await;
    let here = sign_in(&app, app.user("ada").await, "").await;
    let (device_code, user_code) = start(&app).await;
    let page = text(&send(&here, &[("user_code", &user_code)]).await.expect(200));
    let request = hidden(&page, "request");
    let deny = [("request", request.as_str()), ("decision", "deny")];
    let page = text(&send(&here, &deny).await.expect(200));
    assert!(page.contains("The device was turned away"));
    assert_eq!(
        poll(&app, &device_code).await.expect(400).body["error"],
        "access_denied"
    );
}

#[tokio::test]
async fn the_code_of_a_link_is_put_into_the_field_and_looked_up_by_nobody() {
    let app = TestApp::start().await;
    let (_, user_code) = start(&app).await;
    let path = format!("/device?user_code={user_code}");
    let reply = app.get(&path).send().await.expect(303);
    assert!(reply.header("location").starts_with("/login?request="));
    let here = sign_in(&app, app.user("ada").await, "").await;
    let page = here.page(&path).await;
    assert!(page.contains(&format!("value=\"{user_code}\"")));
    assert!(!page.contains("Living room"));
    let page = here.page("/device?user_code=%22%3E%3Cscript%3E").await;
    assert!(page.contains("name=\"user_code\" value=\"\""));
}

#[tokio::test]
async fn who_guesses_codes_has_to_wait_and_nobody_else_has() {
    let app = TestApp::start().await;
    let (_, user_code) = start(&app).await;
    let eve = app.user("eve").await;
    let here = sign_in(&app, eve, "").await;
    let mut guesses = 0;
    loop {
        let reply = send(&here, &[("user_code", "BBBB-BBBB")]).await;
        guesses += 1;
        assert!(guesses < 20);
        if reply.status == 429 {
            break;
        }
        assert!(text(&reply.expect(400)).contains("No device waits with this code"));
    }
    // The right code does not help, nor does another session of the same user.
    send(&here, &[("user_code", &user_code)]).await.expect(429);
    let again = sign_in(&app, eve, "").await;
    send(&again, &[("user_code", &user_code)]).await.expect(429);
    let ada = sign_in(&app, app.user("ada").await, "").await;
    send(&ada, &[("user_code", &user_code)]).await.expect(200);
}
