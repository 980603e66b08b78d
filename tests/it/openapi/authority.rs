//! The authority's document and its router.

use std::collections::BTreeSet;

use doorward::authority::http::Api;
use doorward::openapi;
use http::Method;
use serde_json::json;

use super::document::operations;
use super::fuzzer::{Fuzzed, is_there};
use crate::support::app::TestApp;

/// The paths of the router, out of what it says of itself.
fn routes(api: &Api) -> BTreeSet<String> {
    let said = format!("{api:?}");
    let paths: BTreeSet<String> = said
        .split('"')
        .filter(|text| text.starts_with('/') && !text.contains(' '))
        // The two of the fallback.
        .filter(|text| *text != "/" && !text.contains("__private__"))
        .map(str::to_owned)
        .collect();
    // What this rests on: a router that says it in other words must not pass for one without routes.
    for known in ["/healthz", "/v1/clients/{client}", "/oauth2/authorize"] {
        assert!(
            paths.contains(known),
            "the router does not name its paths any more: {said}"
        );
    }
    paths
}

#[tokio::test]
async fn every_route_is_described_or_said_to_be_outside_and_nothing_else_is() {
    let app = TestApp::start().await;
    let routes = routes(&Api::new(app.authority.clone()));
    app.get("/").send().await.expect(404);
    let document = openapi::authority();
    let described: BTreeSet<String> = operations(&document)
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let outside: BTreeSet<String> = openapi::OUTSIDE_AUTHORITY
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_eq!(
        described.intersection(&outside).next(),
        None,
        "described and outside"
    );
    let told: BTreeSet<String> = described.union(&outside).cloned().collect();
    assert_eq!(
        routes.difference(&told).next(),
        None,
        "routed, and not told of"
    );
    assert_eq!(
        told.difference(&routes).next(),
        None,
        "told of, and not routed"
    );
}

#[tokio::test]
async fn every_described_path_has_just_the_methods_that_are_described() {
    let app = TestApp::start().await;
    let document = openapi::authority();
    let mut described = std::collections::BTreeMap::<String, BTreeSet<String>>::new();
    for (path, method) in operations(&document) {
        described.entry(path).or_default().insert(method);
    }
    for (path, methods) in described {
        let real: String = path
            .split('/')
            .map(|segment| {
                if segment.starts_with('{') {
                    "a"
                } else {
                    segment
                }
            })
            .collect::<Vec<_>>()
            .join("/");
        let method = Method::from_bytes(b"NONE").unwrap();
        let reply = app.call(method, real).send().await.expect(405);
        let allow = reply.headers["allow"].to_str().unwrap().to_owned();
        let mut allowed: BTreeSet<String> = allow
            .split(',')
            .map(|text| text.trim().to_owned())
            .collect();
        if allowed.contains("GET") {
            allowed.remove("HEAD");
        }
        assert_eq!(allowed, methods, "{path}");
    }
}

/// People, an organization and what belongs to it, so that most operations have something to do.
async fn seeded(app: &TestApp) -> Fuzzed {
    let by = app.operator();
    let (alice, bob) = (app.user("alice").await, app.user("bob").await);
    let found = json!({ "name": "Acme", "slug": "acme", "owner": alice });
    let acme = app
        .post("/v1/organizations")
        .by(by)
        .json(&found)
        .await
        .expect(201);
    app.join("acme", bob, "auth/member").await;
    let invited = app
        .post("/v1/organizations/acme/invitations")
        .by(by)
        .json(&json!({ "role": "auth/member" }))
        .await
        .expect(201);
    app.put("/v1/clients/board")
        .by(by)
        .json(&json!({ "redirect_uris": ["https://board.example/cb"] }))
        .await
        .expect(200);
    app.put("/v1/providers/corp")
        .by(by)
        .json(&json!({
            "kind": "oidc", "issuer": "https://idp.example", "client_id": "us", "client_secret": "hush",
        }))
        .await
        .expect(200);
    let service = json!({ "client_id": "billing", "kind": "service", "service": "billing" });
    let made = app
        .post("/v1/clients")
        .by(by)
        .json(&service)
        .await
        .expect(201);
    let token = json!({
        "name": "ours",
        "policy": { "grant_types": ["authorization_code"], "scope": "openid", "client_lifetime_seconds": 864_000 },
    });
    let token = app
        .post("/v1/registration-tokens")
        .by(by)
        .json(&token)
        .await
        .expect(201);
    let join = json!({ "name": "edge" });
    let join = app
        .post("/v1/sidecars/join-tokens")
        .by(by)
        .json(&join)
        .await
        .expect(201);
    let enroll = json!({ "join_token": join.body["join_token"] });
    let sidecar = app
        .post("/v1/sidecars/enroll")
        .json(&enroll)
        .await
        .expect(201);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let secret = text(&made.body["client_secret"]);
    Fuzzed {
        document: openapi::authority(),
        credentials: vec![
            ("accessToken", format!("bearer = \"{by}\"")),
            (
                "clientSecret",
                format!("username = \"billing\"\npassword = \"{secret}\""),
            ),
            (
                "registration",
                format!("bearer = \"{}\"", text(&token.body["token"])),
            ),
        ],
        endless: &["followFeed"],
        cases: 10,
    }
    .knowing("UserId", &[&alice.to_string(), &bob.to_string()])
    .knowing("OrganizationId", &[&text(&acme.body["id"])])
    .knowing("Slug", &["acme"])
    .knowing("InvitationId", &[&text(&invited.body["id"])])
    .knowing("RegistrationTokenId", &[&text(&token.body["id"])])
    .knowing("SidecarId", &[&text(&sidecar.body["sidecar_id"])])
    .knowing("ClientIdentifier", &["board", "billing"])
    .knowing("Provider", &["corp"])
    .knowing("ServiceName", &["billing", "auth"])
    .knowing("RoleName", &["viewer", "editor", "legacy"])
    .knowing("RoleKey", &["billing/viewer", "auth/member", "auth/admin"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuzzer_finds_no_error_and_no_undocumented_answer_of_the_authority() {
    if !is_there() {
        return;
    }
    let app = TestApp::start().await;
    // For snapshots.
    app.authority.feed.start().unwrap();
    seeded(&app).await.run(app.address);
}
