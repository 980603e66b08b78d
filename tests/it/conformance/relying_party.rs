//! A client that does what the suite's client does, and checks what it checks.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::oauth::world::{Answered, Browser, CALLBACK, SECRET, VERIFIER, World, encode};
use crate::support::app::Reply;

pub const FORM: &str = "application/x-www-form-urlencoded";

/// What the token endpoint gave.
pub struct Tokens {
    pub access_token: String,
    pub id_token: String,
    pub refresh_token: Option<String>,
    /// The ID token's claims, its signature checked with the published keys.
    pub claims: Value,
}

/// How the client proves who it is.
#[derive(Clone, Copy)]
pub enum Auth {
    Basic,
    Post,
}

impl World {
    /// A token request of `board`.
    pub async fn token_request(&self, auth: Auth, form: &[(&str, &str)]) -> Reply {
        let mut form = form.to_vec();
        let call = self.app.post("/oauth2/token");
        let call = match auth {
            Auth::Basic => {
                let pair = BASE64.encode(format!("board:{SECRET}").as_bytes());
                call.header("authorization", &format!("Basic {pair}"))
            }
            Auth::Post => {
                form.extend([("client_id", "board"), ("client_secret", SECRET)]);
                call
            }
        };
        call.bytes(FORM, encode(&form)).await
    }

    /// Redeems a code.
    pub async fn redeem(&self, code: &str) -> Reply {
        self.redeem_by(Auth::Basic, code).await
    }

    pub async fn redeem_by(&self, auth: Auth, code: &str) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token_request(auth, &form).await
    }

    /// A whole flow, with what the suite checks in each: parameters of the answer, headers of the
    /// token response, the ID token's claims.
    pub async fn flow(&self, browser: &Browser, other: &[(&str, &str)]) -> Tokens {
        let answer = self.authorize(Some(browser), other).await.answer();
        self.tokens(&answer, other).await
    }

    pub async fn tokens(
        &self,
        answer: &BTreeMap<String, String>,
        other: &[(&str, &str)],
    ) -> Tokens {
        assert_eq!(
            answer.get("state").map(String::as_str),
            Some("af0ifjsldkj"),
            "{answer:?}"
        );
        let reply = self.redeem(&answer["code"]).await.expect(200);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
        assert_eq!(reply.body["token_type"], "Bearer");
        assert!(reply.body["expires_in"].as_u64().unwrap() > 0);
        let text = |name: &str| reply.body[name].as_str().map(str::to_owned);
        let id_token = text("id_token").unwrap();
        let claims = self.verified(&id_token).await;
        let asked = |name: &str, default: &'static str| {
            let found = other.iter().find(|(known, _)| *known == name);
            found.map_or(default.to_owned(), |(_, value)| (*value).to_owned())
        };
        let nonce = asked("nonce", "n-0S6_WzA2Mj");
        assert_eq!(claims["nonce"].as_str().unwrap_or_default(), nonce);
        Tokens {
            access_token: text("access_token").unwrap(),
            refresh_token: text("refresh_token"),
            id_token,
            claims,
        }
    }

    /// The claims of an ID token that the published keys verify.
    pub async fn verified(&self, id_token: &str) -> Value {
        let header = decode_header(id_token).unwrap();
        assert_eq!(header.alg, Algorithm::RS256);
        let jwks = self.app.get("/.well-known/jwks.json").send().await.body;
        let jwks: JwkSet = serde_json::from_value(jwks).unwrap();
        let key: &Jwk = jwks.find(header.kid.as_deref().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.set_audience(&["board"]);
        validation.set_issuer(&[self.issuer()]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp", "iat"]);
        let key = DecodingKey::from_jwk(key).unwrap();
        let claims = decode::<Value>(id_token, &key, &validation).unwrap().claims;
        let sub = claims["sub"].as_str().unwrap();
        assert!(!sub.is_empty() && sub.len() <= 255 && sub.is_ascii());
        assert!(claims["exp"].as_i64().unwrap() > claims["iat"].as_i64().unwrap());
        claims
    }

    /// What the userinfo endpoint says.
    pub async fn userinfo(&self, access_token: &str) -> Reply {
        self.app
            .get("/oauth2/userinfo")
            .by(access_token)
            .send()
            .await
    }
}
