//! `oidcc-config-certification-test-plan`.

use serde_json::json;

use crate::oauth::world::World;

#[tokio::test]
async fn oidcc_discovery_endpoint_verification() {
    let world = World::start().await;
    let reply = world
        .app
        .get("/.well-known/openid-configuration")
        .send()
        .await
        .expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let document = reply.body;
    assert_eq!(document["issuer"], world.issuer());
    for required in [
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "scopes_supported",
        "claims_supported",
    ] {
        assert!(!document[required].is_null(), "{required}");
    }
    let has = |name: &str, value: &str| document[name].as_array().unwrap().contains(&json!(value));
    assert!(has("id_token_signing_alg_values_supported", "RS256"));
    assert!(has("scopes_supported", "openid") && has("response_types_supported", "code"));
    let keys = world
        .app
        .get("/.well-known/jwks.json")
        .send()
        .await
        .expect(200)
        .body;
    let keys = keys["keys"].as_array().unwrap();
    assert!(
        keys.iter()
            .any(|key| key["kty"] == "RSA" && key["use"] == "sig")
    );
    let mut names: Vec<&str> = keys
        .iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), keys.len(), "each key has a name of its own");
}
