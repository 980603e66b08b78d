//! Metadata: what is advertised is there.

use http::Method;
use serde_json::{Value, json};

use super::world::World;

#[tokio::test]
async fn both_documents_are_one_and_may_be_read_by_any_origin() {
    let world = World::start().await;
    let openid = world
        .app
        .get("/.well-known/openid-configuration")
        .send()
        .await
        .expect(200);
    let oauth = world
        .app
        .get("/.well-known/oauth-authorization-server")
        .send()
        .await
        .expect(200);
    assert_eq!(openid.body, oauth.body);
    assert_eq!(openid.header("content-type"), "application/json");
    assert_eq!(openid.header("access-control-allow-origin"), "*");
    assert_eq!(openid.header("cache-control"), "public, max-age=300");
    assert_eq!(openid.body["issuer"], world.issuer());
    for (name, wanted) in [
        ("response_types_supported", json!(["code"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("subject_types_supported", json!(["public"])),
        (
            "id_token_signing_alg_values_supported",
            json!(["RS256", "ES256"]),
        ),
        ("request_parameter_supported", json!(false)),
        ("request_uri_parameter_supported", json!(false)),
        ("claims_parameter_supported", json!(false)),
        (
            "authorization_response_iss_parameter_supported",
            json!(true),
        ),
        ("backchannel_logout_supported", json!(true)),
        ("backchannel_logout_session_supported", json!(true)),
    ] {
        assert_eq!(openid.body[name], wanted, "{name}");
    }
}

#[tokio::test]
async fn every_endpoint_that_is_advertised_is_there() {
    let world = World::start().await;
    let document = world
        .app
        .get("/.well-known/openid-configuration")
        .send()
        .await
        .body;
    let mut endpoints = 0;
    for (name, value) in document.as_object().unwrap() {
        if !name.ends_with("_endpoint") && name != "jwks_uri" {
            continue;
        }
        let path = value
            .as_str()
            .unwrap()
            .strip_prefix(world.issuer())
            .unwrap();
        let kind = "application/x-www-form-urlencoded";
        let get = world.app.get(path).send().await.status.as_u16();
        let post = world
            .app
            .post(path)
            .bytes(kind, "a=b")
            .await
            .status
            .as_u16();
        for status in [get, post] {
            assert!(status != 404 && status < 500, "{name}: {get} {post}");
        }
        assert!(get != 405 || post != 405, "{name}");
        endpoints += 1;
    }
    assert!(endpoints >= 5, "{document:#}");
}

#[tokio::test]
async fn every_grant_type_and_scope_that_is_advertised_is_known() {
    let world = World::start().await;
    let document = world
        .app
        .get("/.well-known/openid-configuration")
        .send()
        .await
        .body;
    for grant in document["grant_types_supported"].as_array().unwrap() {
        let body = format!(
            "client_id=board&client_secret=x&grant_type={}",
            grant.as_str().unwrap()
        );
        let kind = "application/x-www-form-urlencoded";
        let reply = world.app.post("/oauth2/token").bytes(kind, body).await;
        assert_ne!(reply.body["error"], "unsupported_grant_type", "{grant}");
    }
    let keys = world
        .app
        .get("/.well-known/jwks.json")
        .send()
        .await
        .expect(200);
    assert_eq!(keys.header("access-control-allow-origin"), "*");
    let algorithms: Vec<&Value> = keys.body["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            assert!(
                key.get("d").is_none() && key.get("p").is_none(),
                "a private half"
            );
            &key["alg"]
        })
        .collect();
    for algorithm in document["id_token_signing_alg_values_supported"]
        .as_array()
        .unwrap()
    {
        assert!(algorithms.contains(&algorithm), "{algorithm} has no key");
    }
}

/// `GET` is answered before anything is routed, `HEAD` is routed.
#[tokio::test]
async fn what_is_published_is_answered_alike_however_it_is_asked_for() {
    let world = World::start().await;
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/jwks.json",
    ] {
        let ask = async |method: Method, query: &str| {
            let call = world.app.call(method, format!("{path}{query}"));
            let mut reply = call.header("x-request-id", "mine").send().await.expect(200);
            assert!(reply.headers.remove("date").is_some(), "{reply:?}");
            reply
        };
        let at_once = ask(Method::GET, "").await;
        assert_eq!(at_once.header("x-request-id"), "mine");
        assert_eq!(
            at_once.headers,
            ask(Method::HEAD, "").await.headers,
            "{path}"
        );
        assert_eq!(at_once.headers, ask(Method::GET, "?a=b").await.headers);
        let unnamed = world.app.get(path).send().await.expect(200);
        assert!(unnamed.header("x-request-id").len() >= 20, "{unnamed:?}");
        let wrong = world.app.post(path).send().await.expect(405);
        assert_eq!(wrong.header("allow"), "GET,HEAD");
    }
    let counted = world.app.get("/metrics").send().await.expect(200);
    let counted = counted.body.as_str().unwrap();
    assert!(
        counted.lines().any(|line| {
            line.starts_with("doorward_authority_requests_total{")
                && ["GET", "/.well-known/jwks.json", "200"]
                    .iter()
                    .all(|label| line.contains(&format!("\"{label}\"")))
        }),
        "{counted}"
    );
}
