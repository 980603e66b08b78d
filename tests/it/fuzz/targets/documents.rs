//! JSON that others wrote: key sets, discovery documents, claims, registrations.

use doorward::crypto::sign::{AccessTokenVerifier, ForeignKeys, Jws, JwtVerifier, PublicKey};
use doorward::domain::Timestamp;
use doorward::domain::app::{AuthMethod, GrantType};
use doorward::protocol::clients::{AppDocument, uri};
use doorward::protocol::jose::JwkSet;
use doorward::protocol::oidc::upstream::{
    ExpectedIdToken, IdTokenClaims, LogoutTokenClaims, ProviderMetadata,
};
use serde_json::Value;

use super::{Verdict, verdict};

const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "us";
const NONCE: &str = "n-0S6_WzA2Mj";
const NOW: i64 = 1_800_000_000;

/// A token that none of the keys here signed: the example of RFC 7515, appendix A.3.
const STRANGERS: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA\
6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKT\
UJqPP3-Kg6NU1Q";
/// Whoever has this key did sign it.
const STRANGERS_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";

/// A JSON Web Key Set.
pub fn key_sets(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return 0;
    };
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let listed = value["keys"].as_array().map_or(0, Vec::len);
    let public = PublicKey::from_set(text);
    if let Ok(keys) = &public {
        let private = |key: &&Value| key.get("d").is_some() || key.get("k").is_some();
        let secret = value["keys"].as_array().into_iter().flatten();
        assert!(
            keys.len() + secret.filter(private).count() <= listed,
            "{text}"
        );
        assert!(keys.iter().all(|key| key.thumbprint().len() == 43));
    }
    let theirs = text.contains(STRANGERS_X);
    let read = public
        .as_ref()
        .ok()
        .map(|keys| Jws::parse(STRANGERS).unwrap().verify_with::<Value>(keys));
    let foreign = ForeignKeys::parse(data).map(|keys| keys.verify::<Value>(STRANGERS, &["JWT"]));
    let own = serde_json::from_str::<JwkSet>(text).ok().map(|set| {
        let own = JwtVerifier::new(&set).map(|keys| keys.verify::<Value>(STRANGERS, "JWT").is_ok());
        let access = AccessTokenVerifier::new(&set).map(|keys| keys.signed(STRANGERS).is_ok());
        assert_ne!(own, Ok(true), "it has no `kid` and no `typ`");
        assert_ne!(access, Ok(true), "it has no `kid` and no `typ`");
        (own.is_ok(), access.is_ok())
    });
    if !theirs {
        assert!(!matches!(read, Some(Ok(_))), "{text}");
        assert!(!matches!(foreign, Ok(Ok(_))), "{text}");
    }
    let count = public.as_ref().map_or(0, Vec::len).min(3);
    verdict((
        public.is_ok(),
        count,
        read.map(|read| read.map(|_| ())),
        foreign.map(|read| read.map(|_| ())),
        own,
    ))
}

/// A discovery document.
pub fn provider_metadata(data: &[u8]) -> Verdict {
    let Ok(metadata) = serde_json::from_slice::<ProviderMetadata>(data) else {
        return 1;
    };
    // What is ignored need not even be text.
    let value: Value = serde_json::from_str(&String::from_utf8_lossy(data)).unwrap_or_default();
    let outcome = metadata.check(ISSUER);
    if outcome.is_ok() {
        assert_eq!(value["issuer"], ISSUER);
        if let Some(methods) = value["code_challenge_methods_supported"].as_array() {
            assert!(methods.contains(&"S256".into()), "{value}");
        }
    }
    let url = ProviderMetadata::url(&metadata.issuer);
    assert!(url.ends_with("/.well-known/openid-configuration"));
    assert!(
        !url.ends_with("//.well-known/openid-configuration") || metadata.issuer.ends_with("//")
    );
    verdict((
        outcome,
        metadata.userinfo_endpoint.is_some(),
        metadata.authorization_response_iss_parameter_supported,
    ))
}

/// Claims of an ID token or a logout token, whose signature was verified.
pub fn upstream_tokens(data: &[u8]) -> Verdict {
    let value: Value = serde_json::from_str(&String::from_utf8_lossy(data)).unwrap_or_default();
    let now = Timestamp::from_unix_seconds(NOW);
    let id_token = serde_json::from_slice::<IdTokenClaims>(data)
        .ok()
        .map(|claims| {
            let outcome = claims.check(ExpectedIdToken {
                issuer: ISSUER,
                client_id: CLIENT,
                nonce: NONCE,
                now,
                max_age: None,
                proved_after: Some(now),
            });
            if outcome.is_ok() {
                assert_of_us(&value);
                assert_eq!(value["nonce"], NONCE);
                assert!(value["sub"].as_str().is_some_and(|sub| !sub.is_empty()));
                let at = |name: &str| value[name].as_f64().unwrap();
                let skew = 60.0;
                let now = 1_800_000_000.0;
                assert!(
                    at("exp") > now - skew && at("iat") < now + skew + 1.0,
                    "{value}"
                );
                assert!(at("auth_time") >= now - skew && at("auth_time") < now + skew + 1.0);
            }
            let verified = claims.profile.email_verified;
            let said = &value["email_verified"];
            assert_eq!(verified, *said == true || *said == "true", "{value}");
            (outcome, verified)
        });
    let logout = serde_json::from_slice::<LogoutTokenClaims>(data)
        .ok()
        .map(|claims| {
            let outcome = claims.check(ISSUER, CLIENT, now);
            if outcome.is_ok() {
                assert_of_us(&value);
                assert!(
                    value.get("nonce").is_none_or(Value::is_null),
                    "an ID token: {value}"
                );
                let event = "http://schemas.openid.net/event/backchannel-logout";
                assert!(value["events"][event].is_object(), "{value}");
                assert!(value["sub"].is_string() || value["sid"].is_string());
                // It is remembered for as long as it would be taken.
                let until = claims.remembered_until();
                assert!(claims.check(ISSUER, CLIENT, until).is_err(), "{value}");
            }
            outcome
        });
    verdict((id_token, logout))
}

fn assert_of_us(value: &Value) {
    assert_eq!(value["iss"], ISSUER);
    let named = match &value["aud"] {
        Value::Array(many) => many.contains(&CLIENT.into()),
        one => one == CLIENT,
    };
    assert!(named, "{value}");
}

/// A registration of an app, as files and `[clients.…]` have it.
pub fn app_documents(data: &[u8]) -> Verdict {
    let Ok(document) = serde_json::from_slice::<AppDocument>(data) else {
        return 1;
    };
    let identifier = "board".parse().unwrap();
    match document.check(&identifier) {
        Ok(spec) => {
            let again = AppDocument::from(&spec).check(&identifier);
            assert_eq!(again.as_ref(), Ok(&spec), "the same means the same");
            for one in spec
                .redirect_uris
                .iter()
                .chain(&spec.post_logout_redirect_uris)
            {
                assert_eq!(uri::redirect(one, spec.application_type), Ok(()));
            }
            let links = [
                &spec.logo_uri,
                &spec.client_uri,
                &spec.policy_uri,
                &spec.tos_uri,
            ];
            for link in links.into_iter().flatten() {
                assert_eq!(uri::https(link, false), Ok(()));
            }
            if spec.grant_types.contains(GrantType::AuthorizationCode) {
                assert!(!spec.redirect_uris.is_empty());
            }
            if spec.auth_method == AuthMethod::None {
                assert!(!spec.grant_types.contains(GrantType::ClientCredentials));
            }
            assert!(spec.first_party || !spec.scopes.contains("doorward:full"));
            assert!(!spec.scopes.contains("doorward:admin"));
            assert_eq!(
                spec.jwks.is_some(),
                spec.auth_method == AuthMethod::PrivateKeyJwt
            );
            let set: Value = spec
                .jwks
                .map_or(Value::Null, |set| serde_json::from_str(&set).unwrap());
            for key in set["keys"].as_array().into_iter().flatten() {
                for member in ["d", "p", "q", "k"] {
                    assert!(key.get(member).is_none(), "{member}");
                }
            }
            verdict((
                spec.auth_method,
                spec.application_type,
                spec.grant_types.to_string(),
            ))
        }
        Err(mistakes) => {
            let pointers: Vec<String> = mistakes
                .iter()
                .map(|mistake| {
                    mistake
                        .pointer
                        .trim_end_matches(|c: char| c.is_ascii_digit())
                        .to_owned()
                })
                .collect();
            assert!(!pointers.is_empty());
            verdict(pointers)
        }
    }
}
