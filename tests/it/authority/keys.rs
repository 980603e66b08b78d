//! Signing keys: there from the first start on, made for installations of earlier versions.

use std::sync::Arc;
use std::time::Duration;

use doorward::authority::control::{Command, Given, carry_out};
use doorward::authority::keys::rotation::{self, PUBLISH_AHEAD, Rotation};
use doorward::authority::keys::{self, Keys, KeysError};
use doorward::crypto::sign::{
    AccessTokenVerifier, Expected, JwtAlgorithm, JwtVerifier, TokenError,
};
use doorward::domain::Timestamp;
use doorward::protocol::jose::JwkSet;
use doorward::runtime::Clock;
use doorward::store::StoreError;
use doorward::store::keys::{KeyPurpose, KeyState};
use serde_json::{Value, json};

use crate::support::app::TestApp;

on_both_engines! {
    the_key_set_verifies_id_tokens_of_both_algorithms,
    an_id_token_comes_back_as_a_hint_however_old_and_an_access_token_never,
    an_installation_without_keys_of_id_tokens_gets_them_at_start,
    no_token_fails_to_verify_while_keys_are_rotated,
    keys_rotate_by_schedule_on_one_instance_and_the_other_follows,
    a_leaked_key_and_all_that_it_signed_are_refused_at_once,
    everything_sealed_moves_to_a_new_sealing_key_while_it_runs,
    the_feeds_key_is_not_rotated,
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
        .write::<_, KeysError>(move |tx| {
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

const MINUTE: Duration = Duration::from_mins(1);

/// Whoever keeps the key set for as long as it may be kept.
struct Cache {
    fetched_at: Timestamp,
    set: JwkSet,
}

impl Cache {
    async fn refresh(&mut self, app: &TestApp) {
        if app.clock.now().since(self.fetched_at) >= Duration::from_mins(5) {
            self.set = key_set(app).await;
            self.fetched_at = app.clock.now();
        }
    }

    fn verifies(&self, access: &str, id_token: &str, now: Timestamp) {
        let expected = Expected {
            issuer: ISSUER,
            audience: ISSUER,
            now,
        };
        AccessTokenVerifier::new(&self.set)
            .unwrap()
            .verify(access, expected)
            .unwrap();
        JwtVerifier::new(&self.set)
            .unwrap()
            .verify::<Value>(id_token, "JWT")
            .unwrap();
    }
}

async fn second_instance(app: &TestApp) -> Arc<Keys> {
    let ring = app.authority.keys.sealer().shared_ring();
    app.authority
        .store
        .read::<_, KeysError>(move |tx| Keys::load(tx, &ring))
        .await
        .map(Arc::new)
        .unwrap()
}

async fn reload(app: &TestApp, keys: &Arc<Keys>) {
    let keys = Arc::clone(keys);
    app.authority
        .store
        .read(move |tx| keys.reload(tx))
        .await
        .unwrap();
}

async fn states(app: &TestApp, purpose: KeyPurpose) -> Vec<KeyState> {
    let rows = app
        .authority
        .store
        .read::<_, StoreError>(doorward::store::keys::list)
        .await
        .unwrap();
    rows.iter()
        .filter(|key| key.purpose == purpose)
        .map(|key| key.state)
        .collect()
}

async fn no_token_fails_to_verify_while_keys_are_rotated(app: TestApp) {
    let user = app.user("ada").await;
    let second = second_instance(&app).await;
    let mut caches = Vec::new();
    for minutes in 0..5 {
        let fetched_at = app.clock.now().minus(MINUTE * minutes);
        let set = key_set(&app).await;
        caches.push(Cache { fetched_at, set });
    }
    let before = key_set(&app).await;
    let rotation = Rotation {
        purpose: None,
        at_once: false,
    };
    let staged = rotation::rotate(&app.authority, "local:0".to_owned(), rotation)
        .await
        .unwrap();
    assert_eq!(staged.len(), 3);
    let mut alive = Vec::new();
    let mut signed_by = std::collections::BTreeSet::new();
    for minute in 0..30 {
        // The second instance hears of everything a minute late.
        reload(&app, &second).await;
        rotation::look(&app.authority, "first").await.unwrap();
        let now = app.clock.now();
        let claims = json!({ "iss": ISSUER, "sub": user, "minute": minute });
        for keys in [&app.authority.keys, &second] {
            let access = app.token(user).await;
            let read = keys.verify(
                &access,
                Expected {
                    issuer: ISSUER,
                    audience: ISSUER,
                    now,
                },
            );
            let access = keys.sign(&read.unwrap()).unwrap();
            let id_token = keys.sign_jwt(JwtAlgorithm::Rs256, "JWT", &claims).unwrap();
            signed_by.insert(jsonwebtoken_kid(&id_token));
            alive.push((now, access, id_token));
        }
        alive.retain(|(at, ..)| now.since(*at) < Duration::from_mins(10));
        for cache in &mut caches {
            cache.refresh(&app).await;
            for (_, access, id_token) in &alive {
                cache.verifies(access, id_token, now);
            }
        }
        app.clock.advance(MINUTE);
    }
    assert_eq!(signed_by.len(), 2, "the rotation took place");
    // Long after, the former keys are gone for good, and nobody misses them.
    app.clock.advance(Duration::from_hours(24 * 8));
    rotation::look(&app.authority, "first").await.unwrap();
    let after = key_set(&app).await;
    assert_eq!(after.keys.len(), 3);
    assert!(before.keys.iter().all(|key| !after.keys.contains(key)));
    for (event, rows) in [
        ("key.staged", 3),
        ("key.activated", 3),
        ("key.retired", 3),
        ("key.removed", 3),
    ] {
        assert_eq!(app.audited(event).await, rows, "{event}");
    }
}

fn jsonwebtoken_kid(token: &str) -> String {
    let header = token.split('.').next().unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(header.as_bytes())
        .unwrap();
    let header: Value = serde_json::from_slice(&bytes).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

async fn keys_rotate_by_schedule_on_one_instance_and_the_other_follows(app: TestApp) {
    let (authority, id_token) = (&app.authority, KeyPurpose::IdToken);
    let every = authority.config.rotate_keys_every;
    app.clock
        .advance(every.checked_sub(PUBLISH_AHEAD + MINUTE).unwrap());
    assert!(!rotation::look(authority, "a").await.unwrap());
    app.clock.advance(MINUTE);
    let both = tokio::join!(
        rotation::look(authority, "a"),
        rotation::look(authority, "b")
    );
    assert!(both.0.is_ok() && both.1.is_ok());
    let count = |states: &[KeyState], state| states.iter().filter(|found| **found == state).count();
    let found = states(&app, id_token).await;
    assert_eq!(count(&found, KeyState::Staged), 2);
    assert_eq!(count(&found, KeyState::Active), 2);
    app.clock
        .advance(PUBLISH_AHEAD.checked_sub(Duration::from_secs(1)).unwrap());
    rotation::look(authority, "b").await.unwrap();
    assert_eq!(states(&app, id_token).await, found);
    app.clock.advance(Duration::from_secs(1));
    rotation::look(authority, "b").await.unwrap();
    let found = states(&app, id_token).await;
    assert_eq!(count(&found, KeyState::Staged), 0);
    assert_eq!(count(&found, KeyState::Active), 2);
    assert_eq!(count(&found, KeyState::Retired), 2);
    assert_eq!(states(&app, KeyPurpose::Feed).await, [KeyState::Active]);
}

async fn a_leaked_key_and_all_that_it_signed_are_refused_at_once(app: TestApp) {
    let before = app.operator().to_owned();
    let command = Command::RotateKeys {
        purpose: Some("access_token".to_owned()),
        at_once: true,
    };
    let given = carry_out(&app.authority, command, "1000").await.unwrap();
    let Given::Keys { keys } = given else {
        panic!("{given:?}");
    };
    assert_eq!(keys.len(), 1);
    assert_eq!(
        states(&app, KeyPurpose::AccessToken).await,
        [KeyState::Active]
    );
    assert_eq!(app.audited("key.removed").await, 1);
    let user = app.user("ada").await;
    assert_ne!(
        jsonwebtoken_kid(&app.token(user).await),
        jsonwebtoken_kid(&before)
    );
    let reply = app.get("/v1/users").by(&before).send().await;
    reply.expect(401);
    assert_eq!(states(&app, KeyPurpose::IdToken).await.len(), 2);
}

async fn everything_sealed_moves_to_a_new_sealing_key_while_it_runs(app: TestApp) {
    let file = app.authority.config.key_file.clone();
    let second = second_instance(&app).await;
    let until = app.clock.now().plus(MINUTE);
    let travelling = app
        .authority
        .keys
        .sealer()
        .seal("login", &"state", until)
        .unwrap();
    let command = Command::ResealKeys { new_key: true };
    let given = carry_out(&app.authority, command, "1000").await.unwrap();
    let Given::Resealed { changed, newest } = given else {
        panic!("{given:?}");
    };
    assert_eq!(changed, 6);
    assert_eq!(keys::read_ring(&file).unwrap().newest_id(), newest);
    // The other instance takes the file over, what travels still opens, new keys are made.
    second.take_over(&file);
    let now = app.clock.now();
    let opened = second.sealer().open::<String>("login", &travelling, now);
    assert_eq!(opened.as_deref(), Ok("state"));
    let rotation = Rotation {
        purpose: None,
        at_once: true,
    };
    rotation::rotate(&app.authority, "local:0".to_owned(), rotation)
        .await
        .unwrap();
    reload(&app, &second).await;
    let again = Command::ResealKeys { new_key: false };
    let given = carry_out(&app.authority, again, "1000").await.unwrap();
    assert!(matches!(given, Given::Resealed { changed: 0, .. }));
    assert_eq!(app.audited("key.resealed").await, 2);
}

async fn the_feeds_key_is_not_rotated(app: TestApp) {
    let command = Command::RotateKeys {
        purpose: Some("feed".to_owned()),
        at_once: false,
    };
    let error = carry_out(&app.authority, command, "1000")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("pinned"), "{error}");
    let listed = carry_out(&app.authority, Command::ListKeys, "1000").await;
    let text = listed.unwrap().to_string();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.contains("feed") && text.contains("signs since"),
        "{text}"
    );
}
