//! Signing keys: there from the first start on, made for installations of earlier versions.

use std::sync::Arc;

use doorward::authority::keys;
use doorward::crypto::sign::{JwtAlgorithm, JwtVerifier, TokenError};
use doorward::protocol::jose::JwkSet;
use doorward::runtime::Clock;
use doorward::store::StoreError;
use serde_json::{Value, json};

use crate::support::app::TestApp;

on_both_engines! {
    the_key_set_verifies_id_tokens_of_both_algorithms,
    an_id_token_comes_back_as_a_hint_however_old_and_an_access_token_never,
    an_installation_without_keys_of_id_tokens_gets_them_at_start,
}

const ISSUER: &str = "http://127.0.0.1:7180";

pub(super) async fn key_set(app: &TestApp) -> JwkSet {
    let reply = app.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    serde_json::from_value(reply.body).unwrap()
}

async fn the_key_set_verifies_id_tokens_of_both_algorithms(app: TestApp) {
    let set = key_set(&app).await;
    let named = |alg: &str| set.keys.iter().filter(|key| key.alg == alg).count();
    assert_eq!((named("RS256"), named("ES256"), set.keys.len()), (1, 2, 3));
    let verifier = JwtVerifier::new(&set).unwrap();
    let claims = json!({ "iss": ISSUER, "sub": "ada" });
    for algorithm in [JwtAlgorithm::Rs256, JwtAlgorithm::Es256] {
        let token = app
            .authority
            .keys
            .sign_jwt(algorithm, "JWT", &claims)
            .unwrap();
        assert_eq!(
            verifier.verify::<Value>(&token, "JWT"),
            Ok(claims.clone()),
            "{algorithm:?}"
        );
    }
}

async fn an_id_token_comes_back_as_a_hint_however_old_and_an_access_token_never(app: TestApp) {
    let keys = &app.authority.keys;
    let claims = json!({ "iss": ISSUER, "sub": "ada", "aud": "shop", "iat": 1, "exp": 2 });
    let token = keys.sign_jwt(JwtAlgorithm::Rs256, "JWT", &claims).unwrap();
    let hint = keys.verify_id_token_hint(&token, ISSUER).unwrap();
    assert_eq!((hint.sub.as_str(), hint.sid), ("ada", None));
    assert_eq!(
        keys.verify_id_token_hint(&token, "http://127.0.0.1:7181"),
        Err(TokenError::Issuer)
    );
    assert_eq!(
        keys.verify_id_token_hint(app.operator(), ISSUER),
        Err(TokenError::WrongType)
    );
    let logout = keys
        .sign_jwt(JwtAlgorithm::Rs256, "logout+jwt", &claims)
        .unwrap();
    assert_eq!(
        keys.verify_id_token_hint(&logout, ISSUER),
        Err(TokenError::WrongType)
    );
}

async fn an_installation_without_keys_of_id_tokens_gets_them_at_start(app: TestApp) {
    let before = key_set(&app).await;
    let ring = Arc::new(keys::read_ring(&app.authority.config.key_file).unwrap());
    let now = app.clock.now();
    let stored = app
        .authority
        .store
        .write::<_, StoreError>(|tx| {
            tx.exec("DELETE FROM signing_keys WHERE purpose = 'id_token'", &[])?;
            doorward::store::keys::list(tx)
        })
        .await
        .unwrap()
        .value;
    let made = keys::missing(&ring, &stored, now).unwrap();
    assert_eq!(made.len(), 2);
    // Two that start at once: the second finds the first one's keys.
    let late = keys::missing(&ring, &stored, now).unwrap();
    let authority = Arc::clone(&app.authority);
    app.authority
        .store
        .write::<_, keys::KeysError>(move |tx| {
            keys::insert_missing(tx, &made)?;
            keys::insert_missing(tx, &late)?;
            assert!(authority.keys.reload(tx)?);
            assert!(!authority.keys.reload(tx)?);
            Ok(())
        })
        .await
        .unwrap();
    let after = key_set(&app).await;
    assert_eq!(after.keys.len(), 3);
    assert!(after.keys.contains(&before.keys[0]));
    assert!(!after.keys.contains(&before.keys[2]));
}
