//! Metadata: what is advertised is there.

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
