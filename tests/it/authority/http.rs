//! What surrounds every route: nobody, the wrong person and the wrong tenant are turned away, and
//! what cannot be read is refused in words.

use http::Method;
use serde_json::{Value, json};

use crate::support::app::TestApp;

/// A route with what the three who may not are answered: a member without the right, and a
/// stranger to the organization. Nobody is always answered 401.
struct Route {
    method: Method,
    path: &'static str,
    body: Option<Value>,
    wrong_person: u16,
    wrong_tenant: u16,
}

/// Every route that acts on an organization or on the installation. `{user}` is an owner of `acme`.
fn routes() -> Vec<Route> {
    let route = |method, path, body, wrong_person, wrong_tenant| Route {
        method,
        path,
        body,
        wrong_person,
        wrong_tenant,
    };
    let role = || Some(json!({ "role": "billing/viewer" }));
    let role_path = "/v1/organizations/acme/members/{user}/roles/billing/viewer";
    vec![
        route(
            Method::POST,
            "/v1/organizations",
            Some(json!({ "name": "X", "slug": "xx", "owner": "{user}" })),
            403,
            403,
        ),
        route(Method::GET, "/v1/organizations", None, 200, 200),
        route(Method::GET, "/v1/organizations/acme", None, 200, 404),
        route(
            Method::PATCH,
            "/v1/organizations/acme",
            Some(json!({ "name": "X" })),
            403,
            404,
        ),
        route(Method::DELETE, "/v1/organizations/acme", None, 403, 404),
        route(
            Method::GET,
            "/v1/organizations/acme/members",
            None,
            403,
            404,
        ),
        route(
            Method::POST,
            "/v1/organizations/acme/members",
            Some(json!({ "user": "{user}", "role": "billing/viewer" })),
            403,
            404,
        ),
        route(
            Method::GET,
            "/v1/organizations/acme/members/{user}",
            None,
            403,
            404,
        ),
        route(
            Method::PUT,
            "/v1/organizations/acme/members/{user}",
            role(),
            403,
            404,
        ),
        route(
            Method::DELETE,
            "/v1/organizations/acme/members/{user}",
            None,
            403,
            404,
        ),
        route(Method::PUT, role_path, None, 403, 404),
        route(Method::DELETE, role_path, None, 403, 404),
        route(Method::GET, "/v1/users", None, 403, 403),
        route(
            Method::POST,
            "/v1/users",
            Some(json!({ "display_name": "X" })),
            403,
            403,
        ),
        route(Method::GET, "/v1/users/{user}", None, 404, 404),
    ]
}

on_both_engines! {
    nobody_the_wrong_person_and_the_wrong_tenant_are_turned_away_everywhere,
    a_body_that_cannot_be_read_is_refused_in_words,
    ids_that_are_none_are_refused,
    every_answer_carries_a_request_id_and_headers_that_browsers_heed,
    a_known_path_with_another_method_is_405_with_what_is_allowed,
    the_process_tells_whether_it_lives_is_ready_and_how_it_does,
    a_token_says_no_more_than_its_scopes,
    several_credentials_at_once_are_refused,
}

async fn nobody_the_wrong_person_and_the_wrong_tenant_are_turned_away_everywhere(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let wrong_person = app.member_of("acme", "billing/viewer").await;
    let wrong_tenant = app.owner_of("other").await;
    let revision = app.revision();

    for route in routes() {
        let path = route.path.replace("{user}", &ada.id.to_string());
        let body = route.body.as_ref().map(|body| {
            let text = body.to_string().replace("{user}", &ada.id.to_string());
            serde_json::from_str::<Value>(&text).unwrap()
        });
        for (token, expected) in [
            (None, 401),
            (Some("not-a-token"), 401),
            (Some(wrong_person.token.as_str()), route.wrong_person),
            (Some(wrong_tenant.token.as_str()), route.wrong_tenant),
        ] {
            let mut call = app.call(route.method.clone(), &path);
            if let Some(token) = token {
                call = call.by(token);
            }
            let reply = match &body {
                Some(body) => call.json(body).await,
                None => call.send().await,
            };
            let reply = reply.expect(expected);
            if expected == 401 {
                assert!(reply.header("www-authenticate").starts_with("Bearer"));
            }
        }
    }
    assert_eq!(
        app.revision(),
        revision,
        "a refused request changed something"
    );
}

async fn a_body_that_cannot_be_read_is_refused_in_words(app: TestApp) {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let huge = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("application/json", b"{".to_vec(), 400, "malformed-request"),
        ("application/json", Vec::new(), 400, "malformed-request"),
        (
            "application/json",
            b"{\"name\": \"\xff\"}".to_vec(),
            400,
            "malformed-request",
        ),
        (
            "application/json",
            deep.into_bytes(),
            400,
            "malformed-request",
        ),
        ("application/json", huge.into_bytes(), 413, "too-large"),
        ("text/plain", b"{}".to_vec(), 415, "unsupported-media-type"),
        ("application/json", b"[]".to_vec(), 422, "invalid-request"),
        (
            "application/json",
            b"{\"name\": 5}".to_vec(),
            422,
            "invalid-request",
        ),
        (
            "application/json; charset=utf-8",
            b"{\"name\": \"A\", \"slug\": \"ab\", \"colour\": 1}".to_vec(),
            422,
            "invalid-request",
        ),
    ];
    for (media_type, body, status, code) in cases {
        let reply = app
            .post("/v1/organizations")
            .by(app.operator())
            .bytes(media_type, body)
            .await
            .expect_problem(status, code);
        assert!(reply.body["detail"].is_string(), "{reply:#?}");
    }
}

async fn ids_that_are_none_are_refused(app: TestApp) {
    let ada = app.owner_of("acme").await;
    for (path, status) in [
        ("/v1/users/ada", 400),
        ("/v1/users/%FF", 400),
        ("/v1/organizations/acme/members/ada", 400),
        ("/v1/organizations/A%20b", 404),
        (
            "/v1/organizations/00000000-0000-0000-0000-000000000000",
            404,
        ),
        ("/v1/organizations/%FF", 400),
    ] {
        app.get(path).by(&ada.token).send().await.expect(status);
    }
}

async fn every_answer_carries_a_request_id_and_headers_that_browsers_heed(app: TestApp) {
    let echoed = app
        .get("/healthz")
        .header("x-request-id", "abc-123")
        .send()
        .await
        .expect(200);
    assert_eq!(echoed.header("x-request-id"), "abc-123");
    assert_eq!(echoed.header("x-content-type-options"), "nosniff");
    assert_eq!(echoed.header("cache-control"), "no-store");

    let mint = async || {
        app.get("/nowhere")
            .header("x-request-id", "not fit to print")
            .send()
            .await
            .expect_problem(404, "not-found")
    };
    let (minted, other) = (mint().await, mint().await);
    let id = minted.header("x-request-id");
    assert!((20..=40).contains(&id.len()) && id.is_ascii(), "{id}");
    assert_ne!(id, other.header("x-request-id"));
    assert_eq!(
        minted.body["instance"],
        format!("urn:doorward:request:{id}")
    );
}

async fn a_known_path_with_another_method_is_405_with_what_is_allowed(app: TestApp) {
    let reply = app
        .delete("/v1/users")
        .by(app.operator())
        .send()
        .await
        .expect_problem(405, "method-not-allowed");
    assert!(reply.header("allow").contains("POST"));
}

async fn the_process_tells_whether_it_lives_is_ready_and_how_it_does(app: TestApp) {
    app.get("/healthz").send().await.expect(200);
    let ready = app.get("/readyz").send().await.expect(200);
    assert_eq!(ready.body["revision"], app.revision());
    let metrics = app.get("/metrics").send().await.expect(200);
    let text = metrics.body.as_str().unwrap();
    assert!(text.contains("doorward_authority_requests_total"), "{text}");
}

async fn a_token_says_no_more_than_its_scopes(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let narrow = app.token_with(ada.id, "doorward:feed").await;
    let reply = app
        .get("/v1/organizations/acme")
        .by(&narrow)
        .send()
        .await
        .expect_problem(403, "insufficient-scope");
    assert!(
        reply
            .header("www-authenticate")
            .contains("insufficient_scope")
    );
}

async fn several_credentials_at_once_are_refused(app: TestApp) {
    app.get("/v1/organizations")
        .by(app.operator())
        .by(app.operator())
        .send()
        .await
        .expect_problem(400, "malformed-request");
    app.get("/v1/organizations")
        .header("authorization", "Basic YTpi")
        .send()
        .await
        .expect_problem(401, "unauthenticated");
}
