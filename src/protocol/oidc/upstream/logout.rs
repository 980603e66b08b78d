//! Logout tokens of providers (OpenID Connect Back-Channel Logout 1.0 §2.6).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::Timestamp;
use crate::protocol::jose::Audience;

use super::claims::{SKEW, is_subject};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a logout token may be: it is delivered as soon as it is made.
const AGE_MAX: Duration = Duration::from_mins(5);

/// Claims of a logout token, after its signature was verified.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LogoutTokenClaims {
    iss: String,
    aud: Audience,
    iat: i64,
    #[serde(default)]
    exp: Option<i64>,
    /// Its own name, by which it counts once.
    pub jti: String,
    events: Map<String, Value>,
    #[serde(default)]
    nonce: Option<Value>,
    /// Who logged out.
    #[serde(default)]
    pub sub: Option<String>,
    /// Which of the provider's sessions ended.
    #[serde(default)]
    pub sid: Option<String>,
}

/// Why a logout token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// Another issuer.
    #[error("the token is another issuer's")]
    Issuer,
    /// Not for us.
    #[error("the token is meant for another client")]
    Audience,
    /// Over, or from the future.
    #[error("the token is not of this moment")]
    Time,
    /// It tells of something else, or is an ID token.
    #[error("the token does not tell of a logout")]
    Event,
    /// Neither `sub` nor `sid`.
    #[error("the token names neither a subject nor a session")]
    Nobody,
    /// No name of its own.
    #[error("the token has no usable `jti`")]
    Name,
}

impl LogoutTokenClaims {
    /// Checks everything but the signature and whether it was seen before.
    ///
    /// # Errors
    ///
    /// The first reason to refuse.
    pub fn check(
        &self,
        issuer: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<(), LogoutTokenError> {
        if self.iss != issuer {
            return Err(LogoutTokenError::Issuer);
        }
        if !self.aud.names(client_id) {
            return Err(LogoutTokenError::Audience);
        }
        let made_at = Timestamp::from_unix_seconds(self.iat);
        let over = self
            .exp
            .is_some_and(|exp| Timestamp::from_unix_seconds(exp) <= now.minus(SKEW));
        if over || made_at > now.plus(SKEW) || made_at.plus(AGE_MAX) <= now.minus(SKEW) {
            return Err(LogoutTokenError::Time);
        }
        if !self.events.get(EVENT).is_some_and(Value::is_object) || self.nonce.is_some() {
            return Err(LogoutTokenError::Event);
        }
        if self.sub.is_none() && self.sid.is_none() {
            return Err(LogoutTokenError::Nobody);
        }
        if is_subject(&self.jti) {
            Ok(())
        } else {
            Err(LogoutTokenError::Name)
        }
    }

    /// Until when a second one of the same name must be refused.
    pub fn remembered_until(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.iat)
            .plus(AGE_MAX)
            .plus(SKEW)
            .plus(SKEW)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn only_a_logout_of_this_moment_for_us_is_believed() {
        let whole = json!({
            "iss": "https://i", "aud": "us", "iat": NOW, "jti": "j", "sub": "u",
            "events": { EVENT: {} },
        });
        for (name, value, wanted) in [
            ("sid", json!("s"), Ok(())),
            ("exp", json!(NOW - 59), Ok(())),
            ("iss", json!("https://j"), Err(LogoutTokenError::Issuer)),
            ("aud", json!(["them"]), Err(LogoutTokenError::Audience)),
            ("iat", json!(NOW + 61), Err(LogoutTokenError::Time)),
            ("iat", json!(NOW - 361), Err(LogoutTokenError::Time)),
            ("exp", json!(NOW - 60), Err(LogoutTokenError::Time)),
            ("events", json!({"x": {}}), Err(LogoutTokenError::Event)),
            ("events", json!({ EVENT: 1 }), Err(LogoutTokenError::Event)),
            ("nonce", json!("n"), Err(LogoutTokenError::Event)),
            ("sub", json!(null), Err(LogoutTokenError::Nobody)),
            ("jti", json!(""), Err(LogoutTokenError::Name)),
        ] {
            let mut claims = whole.clone();
            claims[name] = value.clone();
            let claims: LogoutTokenClaims = serde_json::from_value(claims).unwrap();
            let now = Timestamp::from_unix_seconds(NOW);
            assert_eq!(
                claims.check("https://i", "us", now),
                wanted,
                "{name} {value}"
            );
            assert!(claims.remembered_until() > Timestamp::from_unix_seconds(NOW - 60));
        }
    }
}
