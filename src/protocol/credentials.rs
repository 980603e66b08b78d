//! Wire form of clients and sidecars on the authority's API.
//!
//! Secrets stand in answers only, each once. Types that hold one are written and never printed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::app::ClientSource;
use crate::domain::{ClientIdentifier, PlainToken, ServiceName, SidecarId, Timestamp};

/// What join tokens begin with.
pub const JOIN_TOKEN_PREFIX: &str = "dwj_";

/// `POST /v1/clients`: a client of an operator, or of the service named.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateClient {
    /// Its public name.
    pub client_id: ClientIdentifier,
    /// A name for people; the public one if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    pub kind: CreateKind,
    /// The service whose manifest it syncs, for `kind` `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The most it may ask for, space-delimited; those of its kind if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The kinds that can be made over the API; sidecars enrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CreateKind {
    /// Runs the authority.
    Operator,
    /// A service.
    Service,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ClientView {
    /// Its public name.
    pub client_id: ClientIdentifier,
    /// A name for people.
    pub name: String,
    /// `operator`, `service`, `sidecar` or `app`.
    pub kind: String,
    /// The service whose manifest it syncs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The most it may ask for.
    pub scope: String,
    /// `active` or `retired`.
    pub state: String,
    /// Who may change an app; in lists only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ClientSource>,
    /// How an app differs from what its source says now; in lists only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A client with a secret that is shown this once.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ClientWithSecret {
    /// The client.
    #[serde(flatten)]
    pub client: ClientView,
    /// Its secret.
    pub client_secret: String,
    /// Until when the secret before it still works, after a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
}

/// `POST /v1/clients/{client_id}/secret`: rotates the secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateSecret {
    /// For how many seconds the secret before it still works; 0 ends it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u32>,
}

/// `POST /v1/sidecars/join-tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateJoinToken {
    /// What the sidecar is called unless it says otherwise.
    pub name: String,
}

/// A join token, shown this once.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct JoinTokenView {
    /// The whole text, feed key included: hand it to the sidecar.
    pub join_token: String,
    /// Where to enrol.
    pub authority: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// `POST /v1/sidecars/enroll`. The token is the credential: no bearer is needed.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Enroll {
    /// The secret part of the join token; the whole text is taken too.
    pub join_token: String,
    /// A name for people; the invitation's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a sidecar gets for its join token, shown this once.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Enrolled {
    /// The sidecar.
    pub sidecar_id: SidecarId,
    /// The client it authenticates as.
    pub client_id: ClientIdentifier,
    /// That client's secret.
    pub client_secret: String,
    /// The issuer of its tokens.
    pub issuer: String,
    /// The key that signs the feed: must be the one of the join token.
    pub feed_key: String,
}

/// A sidecar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SidecarView {
    /// Its id.
    pub id: SidecarId,
    /// The client it authenticates as.
    pub client_id: ClientIdentifier,
    /// A name for people.
    pub name: String,
    /// When it joined.
    pub created_at: Timestamp,
    /// Since when it is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
redacted!(ClientWithSecret, JoinTokenView, Enroll, Enrolled);

/// The text is no join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a join token: `dwj_….…` is wanted, as `sidecar join-token` printed it")]
pub struct NotAJoinToken;

/// A join token: a one-time secret and the public feed key, so that a sidecar knows from its first
/// contact on whose signatures to believe.
#[derive(Debug, Clone)]
pub struct JoinToken {
    /// The secret, which the authority knows by its hash.
    pub token: PlainToken,
    /// The key that signs the feed, base64url.
    pub feed_key: String,
}

/// Writes the secret out: to show it to its holder this once.
impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.token.expose(), self.feed_key)
    }
}

impl FromStr for JoinToken {
    type Err = NotAJoinToken;

    fn from_str(text: &str) -> Result<Self, NotAJoinToken> {
        let (token, key) = text.trim().split_once('.').ok_or(NotAJoinToken)?;
        let is_key = data_encoding::BASE64URL_NOPAD
            .decode(key.as_bytes())
            .is_ok_and(|bytes| bytes.len() == 32);
        if token.starts_with(JOIN_TOKEN_PREFIX) && is_key {
            Ok(Self {
                token: PlainToken::presented(token.to_owned()),
                feed_key: key.to_owned(),
            })
        } else {
            Err(NotAJoinToken)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_round_trips_and_other_texts_are_none() {
        let key = data_encoding::BASE64URL_NOPAD.encode(&[1; 32]);
        let text = format!("dwj_secret.{key}");
        let read: JoinToken = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        assert!(!format!("{read:?}").contains("dwj_secret"));
        for bad in [
            "",
            "dwj_a",
            "dwj_a.b",
            "dwj_a.AAAA",
            &format!("dwc_a.{key}"),
        ] {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_holds_a_secret_does_not_print_it() {
        let body = Enroll {
            join_token: "dwj_secret".to_owned(),
            name: None,
        };
        assert!(!format!("{body:?}").contains("secret"));
        assert!(serde_json::from_str::<Enroll>(r#"{"join_token":"a","x":1}"#).is_err());
    }
}
