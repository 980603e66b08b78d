//! Upstream identity providers: who may vouch for users, and what their word is good for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::names::RoleKey;
use super::organization::Slug;
use super::user::Provider;

/// How to speak with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenID Connect with discovery.
    Oidc,
    /// Google: OpenID Connect with a rule on hosted domains.
    Google,
    /// GitHub: OAuth, no ID token, no way to authenticate again.
    Github,
    /// The built-in one of `doorward dev`, and of nothing else.
    Demo,
}

/// No kind of provider has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a provider's kind is `oidc`, `google` or `github`")]
pub struct UnknownKind;

impl ProviderKind {
    /// The text in rows and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Google => "google",
            Self::Github => "github",
            Self::Demo => "demo",
        }
    }

    /// The issuer, when the kind alone tells it.
    pub const fn default_issuer(self) -> Option<&'static str> {
        match self {
            Self::Google => Some("https://accounts.google.com"),
            Self::Github => Some("https://github.com"),
            Self::Oidc | Self::Demo => None,
        }
    }

    /// Whether it lets nobody in without our secret.
    pub const fn wants_secret(self) -> bool {
        matches!(self, Self::Github | Self::Google)
    }

    /// Whether accounts of the two kinds are known by the same subjects.
    pub const fn shares_subjects_with(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Github, Self::Github)
                | (Self::Demo, Self::Demo)
                | (Self::Oidc | Self::Google, Self::Oidc | Self::Google)
        )
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = UnknownKind;

    /// Every kind, the demo one included: that it is refused is for configuration to say.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text {
            "oidc" => Ok(Self::Oidc),
            "google" => Ok(Self::Google),
            "github" => Ok(Self::Github),
            "demo" => Ok(Self::Demo),
            _ => Err(UnknownKind),
        }
    }
}

/// How we prove to a provider who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UpstreamAuth {
    /// In the `Authorization` header.
    #[default]
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
}

impl FromStr for UpstreamAuth {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "client_secret_basic" => Ok(Self::ClientSecretBasic),
            "client_secret_post" => Ok(Self::ClientSecretPost),
            _ => Err("`client_secret_basic` or `client_secret_post` is wanted"),
        }
    }
}

/// A group of the provider's that gives a role in an organization, for as long as the user is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// The group, as the claim spells it.
    pub group: String,
    /// Where.
    pub organization: Slug,
    /// What.
    pub role: RoleKey,
}

/// What is configured of a provider beside its address and our name there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// What to ask for instead of the kind's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// When not empty: only users with a verified address of one of these domains may log in. At
    /// Google: only users of one of these hosted domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Domains whose verified addresses this provider may speak for: a new account with such an
    /// address is linked to the user who has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_domains: Vec<String>,
    /// The claim that lists groups; `groups` when not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// Which groups give which roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupRole>,
    /// Keep the provider's tokens, sealed, for clients that call its API.
    pub keep_tokens: bool,
    /// How we authenticate at its token endpoint.
    pub auth: UpstreamAuth,
    /// Ask its userinfo endpoint even when the ID token has an address.
    pub userinfo: bool,
}

/// A provider as its source declares it, checked; our secret there is kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSpec {
    /// Its name in paths and rows: it stands for one issuer for ever.
    pub provider: Provider,
    /// How to speak with it.
    pub kind: ProviderKind,
    /// Who it says it is.
    pub issuer: String,
    /// Its name for people.
    pub name: String,
    /// Our name there.
    pub client_id: String,
    /// The rest.
    pub settings: ProviderSettings,
}

/// Who declared a provider, and so who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProviderSource {
    /// The authority's configuration file.
    Config,
    /// The API.
    Api,
}

impl ProviderSource {
    /// The text in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for ProviderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ProviderSettings {
    /// The claim that lists groups.
    pub fn groups_claim(&self) -> &str {
        self.groups_claim.as_deref().unwrap_or("groups")
    }
}

/// Whether an address is of one of the domains; exactly, a subdomain is another domain.
pub fn is_of_domain(email: &str, domains: &[String]) -> bool {
    email.rsplit_once('@').is_some_and(|(_, host)| {
        domains
            .iter()
            .any(|domain| domain.eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_neither_its_subdomain_nor_a_longer_name() {
        let domains = ["example.com".to_owned()];
        assert!(is_of_domain("a@Example.com", &domains));
        for bad in [
            "a@b.example.com",
            "a@badexample.com",
            "example.com",
            "a@example.com.evil",
        ] {
            assert!(!is_of_domain(bad, &domains), "{bad}");
        }
    }

    #[test]
    fn settings_refuse_what_they_do_not_know() {
        assert!(serde_json::from_str::<ProviderSettings>(r#"{"keep_token": true}"#).is_err());
        let settings: ProviderSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, ProviderSettings::default());
    }
}
