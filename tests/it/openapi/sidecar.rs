//! The sidecar's document and its endpoints.

use std::time::Duration;

use doorward::domain::Secret;
use doorward::openapi;
use doorward::protocol::forward_auth::Dialect;
use doorward::sidecar::http::Endpoint;

use super::document::operations;
use super::fuzzer::{Fuzzed, is_there};
use crate::sidecar::door_world::Doors;
use crate::sidecar::world::{organization, user};

const CREDENTIAL: &str = "the-operators-credential";

async fn doors() -> Doors {
    Doors::with(|config| {
        config.credential = Some(Secret::new(CREDENTIAL.to_owned()));
        // A fuzzer asks for many revisions that never come.
        config.at_least_wait = Duration::from_millis(1);
    })
    .await
}

#[test]
fn every_endpoint_is_found_by_its_path() {
    for endpoint in Endpoint::ALL {
        assert_eq!(Endpoint::find(endpoint.path()), Some(*endpoint));
    }
    assert_eq!(Endpoint::find("/v1/check/"), None);
}

#[tokio::test]
async fn every_endpoint_and_every_door_is_described_and_nothing_else_is() {
    let mut real: Vec<(String, String)> = Endpoint::ALL
        .iter()
        .map(|endpoint| (endpoint.path().to_owned(), endpoint.method().to_string()))
        .chain(Dialect::HTTP.into_iter().map(|dialect| {
            let rest = if dialect == Dialect::Envoy {
                "/{path}"
            } else {
                ""
            };
            (format!("/forward-auth/{dialect}{rest}"), "GET".to_owned())
        }))
        .collect();
    real.sort();
    let described: Vec<_> = operations(&openapi::sidecar()).into_iter().collect();
    assert_eq!(described, real);
    // And they are there: none is unknown, and none takes another method.
    let doors = doors().await;
    for (path, method) in described {
        let path = path.replace("{path}", "a");
        let ask = |method: &str| {
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        };
        let status = doors.running.raw(&ask(&method)).await.status;
        assert!(![404, 405].contains(&status), "{method} {path}: {status}");
        if !path.starts_with("/forward-auth/") {
            let other = doors.running.raw(&ask("PATCH")).await;
            assert_eq!(other.status, 405, "{path}");
            let allow = format!("allow: {}", method.to_ascii_lowercase());
            assert!(
                other.head.to_ascii_lowercase().contains(&allow),
                "{path}: {other:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuzzer_finds_no_error_and_no_undocumented_answer_of_the_sidecar() {
    if !is_there() {
        return;
    }
    let doors = doors().await;
    let token = doors.token(|_| {});
    let mut document = openapi::sidecar();
    let texts = |values: &[String]| {
        serde_json::json!({ "type": "string", "anyOf": [
        { "enum": values }, {},
    ] })
    };
    let users: Vec<String> = [1, 2, 3].map(|n| user(n).to_string()).into();
    let schemas = &mut document["components"]["schemas"];
    for schema in ["Entity", "OfType"] {
        let known = ["user", "docs:page"].map(str::to_owned);
        schemas[schema]["properties"]["type"] = texts(&known);
        let ids = [users.clone(), vec!["7".to_owned()]].concat();
        schemas[schema]["properties"]["id"] = texts(&ids);
    }
    schemas["Action"]["properties"]["name"] = texts(&["read", "write"].map(str::to_owned));
    let organizations = ["acme".to_owned(), organization(1).to_string()];
    schemas["Context"]["properties"]["organization"] = texts(&organizations);
    let told = [
        ("-method", texts(&["GET", "PUT"].map(str::to_owned))),
        ("-host", texts(&["app.test".to_owned()])),
        (
            "-uri",
            texts(&["/health", "/me", "/o/acme/pages/7"].map(str::to_owned)),
        ),
    ];
    for operations in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in operations.as_object_mut().unwrap().values_mut() {
            for parameter in operation["parameters"].as_array_mut().unwrap() {
                let name = parameter["name"].as_str().unwrap().to_owned();
                if let Some((_, schema)) = told.iter().find(|(end, _)| name.ends_with(end)) {
                    parameter["schema"] = schema.clone();
                }
                if name == "user" {
                    parameter["schema"] = texts(&users);
                }
            }
        }
    }
    let fuzzed = Fuzzed {
        document,
        credentials: vec![
            ("callerCredential", format!("bearer = \"{CREDENTIAL}\"")),
            ("userToken", format!("bearer = \"{token}\"")),
        ],
        endless: &["watch"],
        cases: 30,
    }
    .knowing("PermissionKey", &["docs:page:read", "docs:page:write"]);
    fuzzed.run(doors.running.sidecar.bound()[0].tcp().unwrap());
}
