//! What clients that register themselves may be.

use serde::{Deserialize, Serialize};

use super::app::{GrantType, GrantTypes};
use super::client::Scopes;

/// A host that redirects may lead to: `app.example`, every host below a domain as `*.app.example`, or
/// any at all as `*`. In lower case; no port: whoever has the host has its ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

/// The text is no [`HostPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a host is wanted: `app.example`, `*.app.example` or `*`")]
pub struct InvalidHost;

impl HostPattern {
    /// Whether the host is one of these.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some("") => true,
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == self.0,
        }
    }

    /// Whether this is the host itself, letter by letter, and no pattern that it falls under.
    pub fn is(&self, host: &str) -> bool {
        self.0.eq_ignore_ascii_case(host)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix("*.").unwrap_or(&text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let fits = text == "*" || (name.len() <= 253 && name.split('.').all(label));
        if fits {
            Ok(Self(text))
        } else {
            Err(InvalidHost)
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(host: HostPattern) -> Self {
        host.0
    }
}

/// What a client that registers with one token may be. What is not named here it may not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegistrationPolicy {
    /// The hosts that it may be sent back to over https.
    #[serde(default)]
    pub redirect_hosts: Vec<HostPattern>,
    /// Whether it may be sent back to the person's own machine over http.
    #[serde(default)]
    pub loopback: bool,
    /// The schemes of their own that native apps may have: `com.example.app`.
    #[serde(default)]
    pub redirect_schemes: Vec<String>,
    /// The ways in which it may get tokens.
    pub grant_types: GrantTypes,
    /// The most it may ask its users for, space-delimited.
    #[serde(with = "scope_text")]
    #[cfg_attr(feature = "openapi", schemars(with = "String"))]
    pub scope: Scopes,
    /// The audiences it may ask for (RFC 8707).
    #[serde(default)]
    pub resources: Vec<String>,
    /// For how many seconds it stays when nobody logs in through it and it does not change.
    pub client_lifetime_seconds: u32,
}

/// A client's lifetime unless somebody says otherwise: 90 days.
pub const DEFAULT_CLIENT_LIFETIME_SECONDS: u32 = 90 * 24 * 60 * 60;

impl Default for RegistrationPolicy {
    /// People may log in by code, and be known by name and address. Nobody is sent anywhere yet.
    fn default() -> Self {
        Self {
            redirect_hosts: Vec::new(),
            loopback: false,
            redirect_schemes: Vec::new(),
            grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken]
                .into_iter()
                .collect(),
            scope: ["openid", "profile", "email"]
                .iter()
                .filter_map(|scope| scope.parse().ok())
                .collect(),
            resources: Vec::new(),
            client_lifetime_seconds: DEFAULT_CLIENT_LIFETIME_SECONDS,
        }
    }
}

impl RegistrationPolicy {
    /// Whether people may be sent back there. The URI has the form of one that apps may register.
    pub fn allows_redirect(&self, uri: &str) -> bool {
        let Some((scheme, rest)) = uri.split_once(':') else {
            return false;
        };
        match (scheme.to_ascii_lowercase().as_str(), host_of(rest)) {
            ("https", Some(host)) => self.redirect_hosts.iter().any(|one| one.matches(host)),
            ("http", Some(_)) => self.loopback,
            (scheme, _) => self
                .redirect_schemes
                .iter()
                .any(|one| one.eq_ignore_ascii_case(scheme)),
        }
    }

    /// Whether the URI's host is named by itself, and not by a pattern or by `loopback`.
    pub fn names_host(&self, uri: &str) -> bool {
        uri.split_once(':')
            .and_then(|(_, rest)| host_of(rest))
            .is_some_and(|host| self.redirect_hosts.iter().any(|one| one.is(host)))
    }
}

/// The host of what follows the scheme of a URI.
fn host_of(rest: &str) -> Option<&str> {
    let authority = rest.strip_prefix("//")?.split(['/', '?']).next()?;
    Some(match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    })
}

mod scope_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Scopes;

    pub(super) fn serialize<S: Serializer>(scopes: &Scopes, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(scopes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Scopes, D::Error> {
        Scopes::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_all_of_a_domain_or_any() {
        let matches =
            |pattern: &str, host: &str| pattern.parse::<HostPattern>().unwrap().matches(host);
        assert!(matches("App.example", "app.EXAMPLE"));
        assert!(!matches("app.example", "evil-app.example"));
        assert!(!matches("app.example", "x.app.example"));
        assert!(matches("*.app.example", "x.app.example"));
        assert!(!matches("*.app.example", "app.example"));
        assert!(!matches("*.app.example", "evilapp.example"));
        assert!(matches("*", "anything"));
        for bad in ["", "*x.example", "a..b", "a/b", "a:1", "x.*.example", "*."] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_is_named_by_itself_only() {
        let policy = RegistrationPolicy {
            redirect_hosts: vec!["*".parse().unwrap(), "10.0.0.1".parse().unwrap()],
            loopback: true,
            ..RegistrationPolicy::default()
        };
        assert!(policy.names_host("https://10.0.0.1:8443/logout"));
        for other in [
            "https://10.0.0.2/",
            "http://127.0.0.1/",
            "app:/",
            "https://10.0.0.1.x/",
        ] {
            assert!(!policy.names_host(other), "{other}");
        }
    }

    #[test]
    fn people_are_sent_back_only_where_the_policy_says() {
        let policy = RegistrationPolicy {
            redirect_hosts: vec!["app.example".parse().unwrap()],
            redirect_schemes: vec!["com.example.app".to_owned()],
            ..RegistrationPolicy::default()
        };
        for good in [
            "https://app.example/cb",
            "HTTPS://APP.example:8443/cb?x=1",
            "com.example.app:/cb",
        ] {
            assert!(policy.allows_redirect(good), "{good}");
        }
        for bad in [
            "https://evil.example/cb",
            "https://app.example.evil.test/cb",
            "https://evil.test/?app.example",
            "http://127.0.0.1/cb",
            "com.example.other:/cb",
            "app.example",
        ] {
            assert!(!policy.allows_redirect(bad), "{bad}");
        }
        let loopback = RegistrationPolicy {
            loopback: true,
            ..RegistrationPolicy::default()
        };
        assert!(loopback.allows_redirect("http://[::1]:8000/cb"));
        assert!(!loopback.allows_redirect("https://127.0.0.1/cb"));
    }

    #[test]
    fn a_policy_is_one_text() {
        let text = serde_json::to_string(&RegistrationPolicy::default()).unwrap();
        assert!(text.contains(r#""scope":"email openid profile""#), "{text}");
        let read: RegistrationPolicy = serde_json::from_str(&text).unwrap();
        assert_eq!(read, RegistrationPolicy::default());
    }
}
