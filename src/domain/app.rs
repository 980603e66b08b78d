//! Apps: clients that people log in through, and what each is allowed and expected to do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::client::{ClientIdentifier, Scopes};

/// A word that no enum of this module knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {wanted}")]
pub struct UnknownWord {
    /// What would have been one, in words.
    pub wanted: &'static str,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident, $wanted:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in rows, documents and metadata.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The inverse of [`Self::as_str`].
            pub fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { wanted: $wanted }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

words! {
    /// Where an app runs (`application_type` of OpenID Connect Registration): it decides which
    /// redirect URIs it may have.
    ApplicationType, "an application type: `web` or `native`" {
        /// On a server or in a browser: redirects over https.
        Web = "web",
        /// On a person's own device: loopback and private-use schemes too (RFC 8252).
        Native = "native",
    }

    /// How an app proves itself at the token endpoint (`token_endpoint_auth_method`).
    AuthMethod, "an authentication method: `none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`" {
        /// It cannot: a public client, bound by PKCE alone.
        None = "none",
        /// A secret in the `Authorization` header.
        ClientSecretBasic = "client_secret_basic",
        /// A secret in the form.
        ClientSecretPost = "client_secret_post",
        /// A signed assertion (RFC 7523).
        PrivateKeyJwt = "private_key_jwt",
    }

    /// A way to get tokens.
    GrantType, "a grant type: `authorization_code`, `refresh_token`, `client_credentials` or `urn:ietf:params:oauth:grant-type:device_code`" {
        /// A person in a browser.
        AuthorizationCode = "authorization_code",
        /// The same grant again.
        RefreshToken = "refresh_token",
        /// The app for itself.
        ClientCredentials = "client_credentials",
        /// A person in a browser elsewhere (RFC 8628).
        DeviceCode = "urn:ietf:params:oauth:grant-type:device_code",
    }

    /// How long an app's refresh tokens live.
    RefreshBinding, "a refresh binding: `session` or `standalone`" {
        /// They end with the login they came from.
        Session = "session",
        /// They outlive it, as `offline_access` means it.
        Standalone = "standalone",
    }

    /// What signs an app's ID tokens.
    IdTokenAlg, "an ID token algorithm: `RS256` or `ES256`" {
        /// RSA: what every OpenID Connect library can verify.
        RS256 = "RS256",
        /// P-256: shorter and faster.
        ES256 = "ES256",
    }

    /// Where an app's row came from: only the same source may change it.
    ClientSource, "a source: `config`, `api`, `registration` or `metadata`" {
        /// The authority's configuration file.
        Config = "config",
        /// `/v1/clients`.
        Api = "api",
        /// Dynamic registration (RFC 7591).
        Registration = "registration",
        /// The document at its `client_id`.
        Metadata = "metadata",
    }
}

impl AuthMethod {
    /// Whether an app of this method has a secret.
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// What an app is registered as: everything but its row, its secrets and its state. Whoever makes one
/// has checked it (`protocol::clients`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSpec {
    /// Its public name.
    pub identifier: ClientIdentifier,
    /// A name for people.
    pub name: String,
    /// Where it runs.
    pub application_type: ApplicationType,
    /// How it proves itself.
    pub auth_method: AuthMethod,
    /// The ways in which it may get tokens.
    pub grant_types: GrantTypes,
    /// The most it may ask for.
    pub scopes: Scopes,
    /// Where codes may be sent: compared as texts, but for the port of a loopback address.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after they logged out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it hears of a session's end.
    pub backchannel_logout_uri: Option<String>,
    /// The audiences it may ask for (RFC 8707).
    pub resources: Vec<String>,
    /// Its public keys, a JSON Web Key Set, for `private_key_jwt`.
    pub jwks: Option<String>,
    /// Of the house: people are not asked for consent.
    pub first_party: bool,
    /// Only pushed authorization requests count (RFC 9126).
    pub require_par: bool,
    /// Only DPoP-bound tokens are given (RFC 9449).
    pub dpop_bound: bool,
    /// How long its refresh tokens live.
    pub refresh_binding: RefreshBinding,
    /// What signs its ID tokens.
    pub id_token_alg: IdTokenAlg,
    /// A picture, for the consent page.
    pub logo_uri: Option<String>,
    /// Its home page.
    pub client_uri: Option<String>,
    /// Its privacy policy.
    pub policy_uri: Option<String>,
    /// Its terms of service.
    pub tos_uri: Option<String>,
}

/// The ways in which an app may get tokens. Text form: in order, joined by single spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct GrantTypes(BTreeSet<GrantType>);

impl GrantTypes {
    /// Whether `grant` is among them.
    pub fn contains(&self, grant: GrantType) -> bool {
        self.0.contains(&grant)
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = GrantType> {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of these is among `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl FromIterator<GrantType> for GrantTypes {
    fn from_iter<I: IntoIterator<Item = GrantType>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

impl FromStr for GrantTypes {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for GrantTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, grant) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(grant.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_unknown_ones_are_refused_by_what_was_wanted() {
        for method in AuthMethod::ALL {
            assert_eq!(method.as_str().parse::<AuthMethod>().unwrap(), *method);
        }
        let error = "Web".parse::<ApplicationType>().unwrap_err().to_string();
        assert!(error.contains("`web` or `native`"), "{error}");
    }

    #[test]
    fn grant_types_are_a_set_with_one_text_form() {
        let text = "refresh_token authorization_code  refresh_token";
        let grants: GrantTypes = text.parse().unwrap();
        assert_eq!(grants.to_string(), "authorization_code refresh_token");
        assert!(grants.contains(GrantType::RefreshToken));
        assert!(!grants.contains(GrantType::DeviceCode));
        assert!("implicit".parse::<GrantTypes>().is_err());
    }
}
