//! The authority's document and its router.

use std::collections::BTreeSet;

use doorward::authority::http::Api;
use doorward::openapi;
use http::Method;

use super::document::operations;
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
