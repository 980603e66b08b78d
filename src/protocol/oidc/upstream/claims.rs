//! ID tokens (OpenID Connect Core §3.1.3.7) and what they and userinfo say of people.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::domain::Timestamp;
use crate::protocol::jose::Audience;

/// How far a provider's clock may be from ours.
pub const SKEW: Duration = Duration::from_mins(1);
/// The longest subject: `oauth_accounts.provider_account_id`.
const SUBJECT_MAX: usize = 255;

/// Claims of an ID token, after its signature was verified.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct IdTokenClaims {
    /// Who says it.
    pub iss: String,
    /// Of whom.
    pub sub: String,
    /// To whom.
    pub aud: Audience,
    /// To whom, when several are meant.
    #[serde(default)]
    pub azp: Option<String>,
    /// Until when.
    #[serde(deserialize_with = "seconds")]
    pub exp: i64,
    /// When.
    #[serde(deserialize_with = "seconds")]
    pub iat: i64,
    /// Not before.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub nbf: Option<i64>,
    /// Of which attempt.
    #[serde(default)]
    pub nonce: Option<String>,
    /// When the user proved who they are.
    #[serde(default, deserialize_with = "optional_seconds")]
    pub auth_time: Option<i64>,
    /// How strongly.
    #[serde(default)]
    pub acr: Option<String>,
    /// How.
    #[serde(default)]
    pub amr: Vec<String>,
    /// The provider's session.
    #[serde(default)]
    pub sid: Option<String>,
    /// Binds the access token.
    #[serde(default)]
    pub at_hash: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub profile: Profile,
}

/// What is said of a person, in an ID token or by userinfo.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Profile {
    /// An address.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether the provider has seen mail arrive there. Some write it as text.
    #[serde(default, deserialize_with = "flag")]
    pub email_verified: bool,
    /// The name.
    #[serde(default)]
    pub name: Option<String>,
    /// A short name.
    #[serde(default)]
    pub preferred_username: Option<String>,
    /// A picture.
    #[serde(default)]
    pub picture: Option<String>,
    /// The language.
    #[serde(default)]
    pub locale: Option<String>,
    /// Google's hosted domain.
    #[serde(default)]
    pub hd: Option<String>,
    /// Everything else, groups among it.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Profile {
    /// The texts that a claim lists; `None` when it is not there. A lone text is a list of one.
    pub fn list(&self, claim: &str) -> Option<Vec<String>> {
        match self.other.get(claim)? {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(values) => Some(
                values
                    .iter()
                    .filter_map(|value| value.as_str().map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        }
    }

    /// Takes from `other` what is not known yet. An address comes with its own verification.
    pub fn fill(&mut self, other: Self) {
        if self.email.is_none() {
            self.email = other.email;
            self.email_verified = other.email_verified;
        }
        let take = |mine: &mut Option<String>, theirs: Option<String>| {
            if mine.is_none() {
                *mine = theirs;
            }
        };
        take(&mut self.name, other.name);
        take(&mut self.preferred_username, other.preferred_username);
        take(&mut self.picture, other.picture);
        take(&mut self.locale, other.locale);
        take(&mut self.hd, other.hd);
        for (name, value) in other.other {
            self.other.entry(name).or_insert(value);
        }
    }
}

/// What an ID token must say.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedIdToken<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Our name there.
    pub client_id: &'a str,
    /// Of this attempt.
    pub nonce: &'a str,
    /// The present.
    pub now: Timestamp,
    /// How old the proof may be, if that was asked for.
    pub max_age: Option<Duration>,
    /// When the attempt began, if the user had to prove who they are again.
    pub proved_after: Option<Timestamp>,
}

/// Why an ID token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Another issuer.
    #[error("the ID token is another issuer's")]
    Issuer,
    /// Not for us.
    #[error("the ID token is meant for another client")]
    Audience,
    /// Over.
    #[error("the ID token has expired")]
    Expired,
    /// From the future, or from long ago.
    #[error("the ID token is not of this moment")]
    Time,
    /// Of another attempt.
    #[error("the ID token belongs to another attempt")]
    Nonce,
    /// No usable subject.
    #[error("the ID token has no usable subject")]
    Subject,
    /// It came with another access token.
    #[error("the ID token was issued with another access token")]
    AccessToken,
    /// The proof is older than was asked for, or nothing is said of its time.
    #[error("the provider did not ask the user to prove who they are")]
    NotFresh,
}

impl IdTokenClaims {
    /// Checks everything but the signature and `at_hash`.
    ///
    /// # Errors
    ///
    /// The first reason to refuse.
    pub fn check(&self, expected: ExpectedIdToken<'_>) -> Result<(), IdTokenError> {
        if self.iss != expected.issuer {
            return Err(IdTokenError::Issuer);
        }
        let several = matches!(&self.aud, Audience::Many(many) if many.len() > 1);
        let authorized = match &self.azp {
            Some(azp) => azp == expected.client_id,
            None => !several,
        };
        if !self.aud.names(expected.client_id) || !authorized {
            return Err(IdTokenError::Audience);
        }
        let (earliest, latest) = (expected.now.minus(SKEW), expected.now.plus(SKEW));
        let at = Timestamp::from_unix_seconds;
        if at(self.exp) <= earliest {
            return Err(IdTokenError::Expired);
        }
        if at(self.iat) > latest || self.nbf.is_some_and(|nbf| at(nbf) > latest) {
            return Err(IdTokenError::Time);
        }
        if self.nonce.as_deref() != Some(expected.nonce) {
            return Err(IdTokenError::Nonce);
        }
        if !is_subject(&self.sub) {
            return Err(IdTokenError::Subject);
        }
        self.check_freshness(expected)
    }

    fn check_freshness(&self, expected: ExpectedIdToken<'_>) -> Result<(), IdTokenError> {
        let proved = self.auth_time.map(Timestamp::from_unix_seconds);
        if proved.is_some_and(|proved| proved > expected.now.plus(SKEW)) {
            return Err(IdTokenError::Time);
        }
        let oldest = expected
            .max_age
            .map(|age| expected.now.minus(age))
            .max(expected.proved_after);
        match (oldest, proved) {
            (None, _) => Ok(()),
            (Some(oldest), Some(proved)) if proved >= oldest.minus(SKEW) => Ok(()),
            _ => Err(IdTokenError::NotFresh),
        }
    }
}

/// Whether a subject can be kept: 1 to 255 printable characters.
pub(super) fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= SUBJECT_MAX && !text.chars().any(char::is_control)
}

/// A `NumericDate`, which may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    optional_seconds(deserializer)?.ok_or_else(|| serde::de::Error::custom("a time is wanted"))
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if let Some(whole) = number.as_i64() {
        return Ok(Some(whole));
    }
    number
        .as_f64()
        .filter(|seconds| seconds.abs() < 1e12)
        .map(|seconds| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the fraction is meant to go, and the bound fits"
            )]
            let whole = seconds.floor() as i64;
            Some(whole)
        })
        .ok_or_else(|| serde::de::Error::custom("a time is wanted"))
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    // Anything but a clear yes is a no.
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(flag) => flag,
        Value::String(text) => text == "true",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn claims(changes: &Value) -> IdTokenClaims {
        let mut claims = json!({
            "iss": "https://idp.example", "sub": "u1", "aud": "us", "exp": NOW + 300, "iat": NOW,
            "nonce": "n", "email": "a@example.com", "email_verified": "true", "groups": ["x", 3],
        });
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        serde_json::from_value(claims).unwrap()
    }

    fn expected() -> ExpectedIdToken<'static> {
        ExpectedIdToken {
            issuer: "https://idp.example",
            client_id: "us",
            nonce: "n",
            now: Timestamp::from_unix_seconds(NOW),
            max_age: None,
            proved_after: None,
        }
    }

    #[test]
    fn every_claim_that_does_not_fit_is_told_apart() {
        for (changes, wanted) in [
            (json!({}), Ok(())),
            (json!({"aud": ["us"]}), Ok(())),
            (json!({"aud": ["us", "them"], "azp": "us"}), Ok(())),
            (json!({"exp": 1_800_000_000.5}), Ok(())),
            (json!({"exp": NOW - 59}), Ok(())),
            (json!({"iat": NOW + 59}), Ok(())),
            (
                json!({"iss": "https://idp.example/"}),
                Err(IdTokenError::Issuer),
            ),
            (json!({"aud": "them"}), Err(IdTokenError::Audience)),
            (json!({"aud": ["us", "them"]}), Err(IdTokenError::Audience)),
            (
                json!({"aud": ["us", "them"], "azp": "them"}),
                Err(IdTokenError::Audience),
            ),
            (json!({"azp": "them"}), Err(IdTokenError::Audience)),
            (json!({"exp": NOW - 60}), Err(IdTokenError::Expired)),
            (json!({"iat": NOW + 61}), Err(IdTokenError::Time)),
            (json!({"nbf": NOW + 61}), Err(IdTokenError::Time)),
            (json!({"auth_time": NOW + 61}), Err(IdTokenError::Time)),
            (json!({"nonce": "m"}), Err(IdTokenError::Nonce)),
            (json!({"nonce": null}), Err(IdTokenError::Nonce)),
            (json!({"sub": ""}), Err(IdTokenError::Subject)),
            (json!({"sub": "a\nb"}), Err(IdTokenError::Subject)),
            (json!({"sub": "x".repeat(256)}), Err(IdTokenError::Subject)),
        ] {
            assert_eq!(claims(&changes).check(expected()), wanted, "{changes}");
        }
    }

    #[test]
    fn a_proof_that_was_asked_for_must_have_a_time_and_be_new_enough() {
        let mut aged = expected();
        aged.max_age = Some(Duration::from_secs(100));
        let mut forced = expected();
        forced.proved_after = Some(Timestamp::from_unix_seconds(NOW - 20));
        for (expected, auth_time, wanted) in [
            (aged, json!(NOW - 100), Ok(())),
            (aged, json!(NOW - 161), Err(IdTokenError::NotFresh)),
            (aged, json!(null), Err(IdTokenError::NotFresh)),
            (forced, json!(NOW - 10), Ok(())),
            (forced, json!(NOW - 81), Err(IdTokenError::NotFresh)),
            (forced, json!(null), Err(IdTokenError::NotFresh)),
        ] {
            let claims = claims(&json!({ "auth_time": auth_time }));
            assert_eq!(claims.check(expected), wanted, "{auth_time}");
        }
    }

    #[test]
    fn an_address_is_verified_only_where_its_own_source_says_so() {
        let profile = claims(&json!({})).profile;
        assert!(profile.email_verified);
        assert_eq!(profile.list("groups").unwrap(), ["x"]);
        assert_eq!(profile.list("roles"), None);
        let mut known = claims(&json!({"email_verified": "yes"})).profile;
        assert!(!known.email_verified);
        known.fill(profile);
        assert!(!known.email_verified);
        let mut empty = Profile::default();
        empty.fill(claims(&json!({})).profile);
        assert!(empty.email_verified && empty.list("groups").is_some());
    }
}
