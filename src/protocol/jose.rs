//! Wire form of tokens and public keys: RFC 9068 access-token claims, RFC 7517 key sets.
//!
//! Types and their JSON only. Who signs and who checks is `crypto::sign`; a claim means nothing
//! until that has said yes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{
    ClientId, ClientIdentifier, GrantId, OrganizationId, Scopes, SessionId, Timestamp, UserId,
};

/// The `typ` header of an access token (RFC 9068 §2.1). An ID token has another, so one can never
/// stand in for the other.
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The `typ` header of an ID token (RFC 7519 §5.1).
pub const ID_TOKEN_TYPE: &str = "JWT";
/// The `typ` header of a logout token (OpenID Connect Back-Channel Logout §2.4).
pub const LOGOUT_TOKEN_TYPE: &str = "logout+jwt";

/// Who a token is for (`aud`): one text or a list of them (RFC 7519 §4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Audience {
    /// One audience, as Doorward writes it.
    One(String),
    /// Several, as others may.
    Many(Vec<String>),
}

impl Audience {
    /// The one, or the first of several.
    pub fn first(&self) -> Option<&str> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => many.first().map(String::as_str),
        }
    }

    /// Whether `audience` is meant, by exact comparison.
    pub fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }

    /// Everybody it is meant for.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

/// The claims of an access token (RFC 9068 §2.2). Ids only: roles are resolved where they are
/// needed, so tokens stay small and a revocation does not wait for one to expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// The authority's issuer URL.
    pub iss: String,
    /// A user's id; a client's `client_id` when the client speaks for itself.
    pub sub: String,
    /// Who may accept it.
    pub aud: Audience,
    /// Refused from this second on.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// Not yet valid before this second, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Its own id, for the log.
    pub jti: String,
    /// The client it was issued to.
    pub client_id: ClientIdentifier,
    /// What it may be used for, space-delimited.
    #[serde(default)]
    pub scope: String,
    /// The subject's token epoch when it was made: a higher one in the store revokes it.
    pub dw_epoch: i64,
    /// The client's token epoch, when the subject is a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dw_client_epoch: Option<i64>,
    /// The client's row: by it a sidecar, which knows no clients' names, finds whether it may act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dw_client: Option<ClientId>,
    /// The one organization it is bound to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dw_org: Option<OrganizationId>,
    /// The login session it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The grant it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<GrantId>,
    /// The key that whoever bears it must prove to have (RFC 9449 §6): with one, it is no bearer
    /// token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}

/// Which key a token is bound to (RFC 7800).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Confirmation {
    /// The key's RFC 7638 thumbprint, SHA-256 in base64url.
    pub jkt: String,
}

/// What is read of an ID token that comes back as a hint (OpenID Connect Core §3.1.2.1,
/// RP-Initiated Logout §2): it was ours, however long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTokenHint {
    /// The issuer it names.
    pub iss: String,
    /// The user's id.
    pub sub: String,
    /// The client it was issued to.
    pub aud: Audience,
    /// When it stopped counting.
    pub exp: i64,
    /// When it was made.
    pub iat: i64,
    /// The login session it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A person, through the client of `client_id`.
    User(UserId),
    /// The client itself.
    Client,
}

impl AccessTokenClaims {
    /// Whom the token speaks for; `None` when `sub` is neither the client nor a user id.
    ///
    /// A token whose `sub` is its `client_id` is always the client's own, so that a client which
    /// managed to be named like a user's id would still not be that user.
    pub fn subject(&self) -> Option<Subject> {
        if self.sub == self.client_id.as_str() {
            Some(Subject::Client)
        } else {
            self.sub.parse().ok().map(Subject::User)
        }
    }

    /// The scopes; `None` when the claim is no list of scopes.
    pub fn scopes(&self) -> Option<Scopes> {
        Scopes::parse(&self.scope).ok()
    }

    /// When it stops working.
    pub const fn expires_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.exp)
    }
}

/// A public key (RFC 7517), as far as Doorward makes and reads them: RSA, P-256 and Ed25519.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `RSA`, `EC` or `OKP`.
    pub kty: String,
    /// `P-256` or `Ed25519`; RSA has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The (first) coordinate of an `EC` or `OKP` key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The second coordinate of an `EC` key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus of an `RSA` key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent of an `RSA` key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// The key's name in token headers.
    pub kid: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// `RS256`, `ES256` or `EdDSA`.
    pub alg: String,
}

impl Jwk {
    /// A key that signs, without its numbers yet.
    pub fn signing(kty: &str, alg: &str, kid: String) -> Self {
        Self {
            kty: kty.to_owned(),
            kid,
            usage: "sig".to_owned(),
            alg: alg.to_owned(),
            ..Self::default()
        }
    }
}

/// A set of public keys: the body of `/.well-known/jwks.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl fmt::Display for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.crv.as_deref().unwrap_or(&self.alg);
        write!(f, "{} {kind} `{}`", self.kty, self.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(sub: &str) -> AccessTokenClaims {
        serde_json::from_value(serde_json::json!({
            "iss": "https://id.example", "sub": sub, "aud": "https://id.example", "exp": 20,
            "iat": 10, "jti": "a", "client_id": "billing", "scope": "b a", "dw_epoch": 3,
            "unknown": true,
        }))
        .unwrap()
    }

    #[test]
    fn the_subject_is_a_user_only_when_it_is_not_the_client() {
        let user = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(claims("billing").subject(), Some(Subject::Client));
        assert_eq!(
            claims(user).subject(),
            Some(Subject::User(user.parse().unwrap()))
        );
        assert_eq!(claims("somebody").subject(), None);
        let mut impostor = claims(user);
        impostor.client_id = user.parse().unwrap();
        assert_eq!(impostor.subject(), Some(Subject::Client));
    }

    #[test]
    fn claims_round_trip_and_say_nothing_they_do_not_hold() {
        let text = serde_json::to_string(&claims("billing")).unwrap();
        assert!(!text.contains("sid") && !text.contains("null"), "{text}");
        assert_eq!(
            serde_json::from_str::<AccessTokenClaims>(&text).unwrap(),
            claims("billing")
        );
        assert_eq!(claims("billing").scopes().unwrap().to_string(), "a b");
    }

    #[test]
    fn an_audience_is_compared_whole() {
        let many: Audience = serde_json::from_str(r#"["https://a", "https://b"]"#).unwrap();
        assert!(many.names("https://b") && !many.names("https://"));
        assert!(!Audience::One("https://a".into()).names("https://a/"));
    }

    #[test]
    fn claims_that_lack_a_required_one_are_refused() {
        let whole = serde_json::to_value(claims("billing")).unwrap();
        for name in [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "jti",
            "client_id",
            "dw_epoch",
        ] {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(name);
            assert!(
                serde_json::from_value::<AccessTokenClaims>(part).is_err(),
                "{name}"
            );
        }
    }
}
