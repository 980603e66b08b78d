//! How clients prove themselves: each by its own method and by no other.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use doorward::domain::app::{AuthMethod, GrantType};
use doorward::domain::{PlainToken, Timestamp};
use doorward::protocol::oauth::{FORM, JWT_BEARER};
use doorward::store::apps::{self, App};
use doorward::store::clients::{self, Rotation};
use serde_json::{Value, json};

use super::tokens::{
    SECRET, agree, an_app, code_form, count, expect_error, now, public, redeem, refresh, register,
    text, write,
};
use crate::support::app::{Reply, TestApp};

on_both_engines! {
    each_method_works_for_its_clients_and_no_other,
    an_assertion_counts_once_and_for_this_issuer_alone,
    two_secrets_live_while_one_follows_the_other,
    a_client_that_was_let_in_before_is_refused_as_soon_as_it_may_not_act,
    an_app_has_tokens_of_its_own_only_when_registered_for_them,
    browsers_of_any_origin_may_redeem_and_no_cookie_counts,
}

/// A P-256 key of a client's or of a proof's.
pub struct Key {
    pair: EcdsaKeyPair,
    pub jwk: Value,
}

impl Key {
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let jwk = json!({
            "kty": "EC", "crv": "P-256",
            "x": BASE64URL_NOPAD.encode(&point[1..33]),
            "y": BASE64URL_NOPAD.encode(&point[33..]),
        });
        Self { pair, jwk }
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message.as_bytes())
            .unwrap();
        format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

async fn each_method_works_for_its_clients_and_no_other(app: TestApp) {
    let basic = an_app(&app, "basic");
    let mut post = an_app(&app, "post");
    post.spec.auth_method = AuthMethod::ClientSecretPost;
    let spa = public(&app, "spa").await;
    register(&app, &basic).await;
    register(&app, &post).await;
    for client in [&basic, &post, &spa] {
        let code = agree(&app, client, "openid").await.code;
        for other in [
            AuthMethod::None,
            AuthMethod::ClientSecretBasic,
            AuthMethod::ClientSecretPost,
        ] {
            if other != client.spec.auth_method {
                let mut disguised = client.clone();
                disguised.spec.auth_method = other;
                let reply = redeem(&app, &disguised, &code).await;
                let reply = expect_error(reply, 401, "invalid_client");
                assert!(reply.header("www-authenticate").starts_with("Basic"));
            }
        }
        let first = redeem(&app, client, &code).await.expect(200);
        refresh(&app, client, text(&first, "refresh_token"))
            .await
            .expect(200);
    }
    let both = format!(
        "{}&client_id=basic&client_secret={SECRET}",
        code_form("dwa_x")
    );
    let header = format!(
        "Basic {}",
        BASE64.encode(format!("basic:{SECRET}").as_bytes())
    );
    let reply = app
        .post("/oauth2/token")
        .header("authorization", &header)
        .bytes(FORM, both)
        .await;
    expect_error(reply, 400, "invalid_request");
    let json = app
        .post("/oauth2/token")
        .bytes("application/json", "{}")
        .await;
    expect_error(json, 400, "invalid_request");
}

/// An app with a key, and what it says of itself.
async fn keyed(app: &TestApp) -> (App, Key) {
    let key = Key::new();
    let mut made = an_app(app, "keyed");
    made.spec.auth_method = AuthMethod::PrivateKeyJwt;
    let mut jwk = key.jwk.clone();
    jwk["kid"] = json!("k1");
    made.spec.jwks = Some(json!({ "keys": [jwk] }).to_string());
    register(app, &made).await;
    (made, key)
}

fn assertion_claims(app: &TestApp, jti: &str) -> Value {
    let now = now(app).unix_seconds();
    json!({
        "iss": "keyed", "sub": "keyed", "aud": app.authority.config.issuer.as_str(),
        "exp": now + 60, "iat": now, "jti": jti,
    })
}

/// What `keyed` signs with its key `k1`.
pub fn assertion(app: &TestApp, key: &Key, jti: &str) -> String {
    let header = json!({ "alg": "ES256", "kid": "k1" });
    key.sign(&header, &assertion_claims(app, jti))
}

pub async fn with_assertion(app: &TestApp, assertion: &str, form: &str) -> Reply {
    let form = format!("{form}&client_assertion_type={JWT_BEARER}&client_assertion={assertion}");
    app.post("/oauth2/token").bytes(FORM, form).await
}

async fn an_assertion_counts_once_and_for_this_issuer_alone(app: TestApp) {
    let (client, key) = keyed(&app).await;
    let header = json!({ "alg": "ES256", "kid": "k1" });
    let code = agree(&app, &client, "openid").await.code;
    let form = code_form(&code);
    let issuer = app.authority.config.issuer.to_string();
    let past = now(&app).unix_seconds() - 60;
    for (index, (name, value)) in [
        ("aud", json!(format!("{issuer}/oauth2/token"))),
        ("aud", json!([issuer])),
        ("iss", json!("other")),
        ("sub", json!("other")),
        ("exp", json!(past)),
        ("exp", json!(past + 24 * 3600)),
        ("jti", json!("")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = assertion_claims(&app, &format!("bad-{index}"));
        claims[name] = value.clone();
        let reply = with_assertion(&app, &key.sign(&header, &claims), &form).await;
        expect_error(reply, 401, "invalid_client");
    }
    let claims = assertion_claims(&app, "1");
    for forged in [
        Key::new().sign(&header, &claims),
        key.sign(&json!({ "alg": "none" }), &claims),
        key.sign(&json!({ "alg": "ES256", "kid": "k2" }), &claims),
    ] {
        let reply = with_assertion(&app, &forged, &form).await;
        // The name has failed often by now: it may be told to slow down.
        assert!(matches!(reply.status.as_u16(), 401 | 429), "{reply:#?}");
    }
    app.clock.advance(Duration::from_secs(20));
    let assertion = key.sign(&header, &claims);
    with_assertion(&app, &assertion, &form).await.expect(200);
    let again = with_assertion(&app, &assertion, &form).await;
    assert!(matches!(again.status.as_u16(), 401 | 429), "{again:#?}");
    assert_eq!(count(&app, "used_jtis").await, 1);
    assert_eq!(app.audited("code.replayed").await, 0, "it was nobody");
}

async fn two_secrets_live_while_one_follows_the_other(app: TestApp) {
    let board = super::tokens::confidential(&app, "board").await;
    let until: Timestamp = now(&app).plus(Duration::from_mins(5));
    let rotation = Rotation {
        id: uuid::Uuid::from_u128(7),
        secret: doorward::crypto::digest::token_digest(&PlainToken::presented("new".to_owned())),
        previous_until: Some(until),
        now: now(&app),
    };
    let id = board.id;
    write(&app, move |tx| clients::rotate_secret(tx, id, &rotation)).await;
    let asked = async |secret: &str| {
        let header = format!(
            "Basic {}",
            BASE64.encode(format!("board:{secret}").as_bytes())
        );
        app.post("/oauth2/introspect")
            .header("authorization", &header)
            .bytes(FORM, "token=x")
            .await
            .status
            .as_u16()
    };
    assert_eq!((asked(SECRET).await, asked("new").await), (200, 200));
    app.clock.advance(Duration::from_mins(5));
    assert_eq!((asked(SECRET).await, asked("new").await), (401, 200));
}

async fn a_client_that_was_let_in_before_is_refused_as_soon_as_it_may_not_act(app: TestApp) {
    let board = super::tokens::confidential(&app, "board").await;
    let other = super::tokens::confidential(&app, "other").await;
    let ask = async |by| {
        let reply = super::tokens::ask(&app, "/oauth2/introspect", by, "token=x").await;
        reply.status.as_u16()
    };
    assert_eq!((ask(&board).await, ask(&board).await), (200, 200));
    assert_eq!(ask(&other).await, 200);
    let mut posting = board.clone();
    posting.spec.auth_method = AuthMethod::ClientSecretPost;
    let (changed, at) = (posting.clone(), now(&app));
    write(&app, move |tx| apps::update(tx, &changed, at)).await;
    assert_eq!((ask(&board).await, ask(&posting).await), (401, 200));
    let id = board.id;
    write(&app, move |tx| clients::clear_secrets(tx, id, at)).await;
    assert_eq!(ask(&posting).await, 401);
    let retired = other.client();
    write(&app, move |tx| clients::retire(tx, &retired, at)).await;
    assert_eq!(ask(&other).await, 401);
}

async fn an_app_has_tokens_of_its_own_only_when_registered_for_them(app: TestApp) {
    let board = super::tokens::confidential(&app, "board").await;
    let mut robot = an_app(&app, "robot");
    robot.spec.grant_types = [GrantType::ClientCredentials].into_iter().collect();
    register(&app, &robot).await;
    let mut open = an_app(&app, "open");
    open.spec.grant_types = [GrantType::ClientCredentials].into_iter().collect();
    open.spec.auth_method = AuthMethod::None;
    register(&app, &open).await;
    let form = "grant_type=client_credentials";
    let own = async |by| super::tokens::ask(&app, "/oauth2/token", by, form).await;
    expect_error(own(&board).await, 400, "unauthorized_client");
    expect_error(own(&open).await, 400, "unauthorized_client");
    let reply = own(&robot).await.expect(200);
    assert_eq!(
        reply.body["scope"], "board:read",
        "nothing that is about a user"
    );
    let opens = app
        .get("/v1/organizations")
        .by(text(&reply, "access_token"))
        .send()
        .await;
    assert_eq!(opens.status, 401);
}

async fn browsers_of_any_origin_may_redeem_and_no_cookie_counts(app: TestApp) {
    let spa = public(&app, "spa").await;
    let preflight = app
        .call(http::Method::OPTIONS, "/oauth2/token")
        .header("origin", "https://spa.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "dpop")
        .send()
        .await
        .expect(204);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert!(
        preflight
            .header("access-control-allow-headers")
            .contains("dpop")
    );
    let code = agree(&app, &spa, "openid").await.code;
    let reply = redeem(&app, &spa, &code).await.expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert!(
        reply
            .headers
            .get("access-control-allow-credentials")
            .is_none()
    );
    let introspect = app
        .call(http::Method::OPTIONS, "/oauth2/introspect")
        .send()
        .await;
    assert!(
        introspect
            .headers
            .get("access-control-allow-origin")
            .is_none()
    );
}
