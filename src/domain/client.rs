//! Clients: programs that ask the authority for tokens with credentials of their own.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::names::ServiceName;
use super::text::checked_text;

/// The scope that names every permission: what a user may do, a token with it may do for them. Only
/// apps of the house may have it, and of a client's own token it means nothing.
pub const FULL_SCOPE: &str = "doorward:full";

/// Why a text is not a client identifier or a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not 1 to 100 characters of `A-Z a-z 0-9 - . _ ~`, and not a URL.
    #[error("`{0}` is not a client id: 1 to 100 letters, digits, `-`, `.`, `_` and `~`")]
    Identifier(String),
    /// Not an RFC 6749 scope token.
    #[error("`{0}` is not a scope: 1 to 100 printable characters without space, `\"` and `\\`")]
    Scope(String),
}

/// The public `client_id` (RFC 6749 §2.2), such as `billing-service`; or the URL of the document that
/// describes the client, such as `https://app.example/client.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct ClientIdentifier(String);

impl ClientIdentifier {
    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the URL of a document that describes the client.
    pub fn is_url(&self) -> bool {
        self.0.contains(':')
    }
}

/// Whether a text has the form of such a URL, in characters that need no escaping anywhere. Whether it
/// may be asked is for others to tell.
fn is_document_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        rest.find('/').is_some_and(|host| host > 0)
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:[]%!$()*+,;=@".contains(&byte))
    })
}

impl FromStr for ClientIdentifier {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=100).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        if fits || (text.len() <= 100 && is_document_url(text)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ClientError::Identifier(text.chars().take(100).collect()))
        }
    }
}

/// One scope (RFC 6749 §3.3): a name for a set of permissions that a token may use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct Scope(String);

impl Scope {
    /// The scope's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=100).contains(&text.len())
            && text
                .bytes()
                .all(|byte| (0x21..=0x7E).contains(&byte) && byte != b'"' && byte != b'\\');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ClientError::Scope(text.chars().take(100).collect()))
        }
    }
}

checked_text!(ClientError: ClientIdentifier, Scope);

/// A set of scopes. Text form: sorted, joined by single spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Reads a space-delimited list (RFC 6749 §3.3).
    ///
    /// # Errors
    ///
    /// [`ClientError::Scope`] names the first one that is none.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        text.split(' ')
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `scope` is among them.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|held| held.as_str() == scope)
    }

    /// Whether each of these is among `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// What a machine client is for. It bounds the scopes the client may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKind {
    /// Runs the authority: every administrative scope.
    Operator,
    /// A service: syncs the manifest of this one service and no other.
    Service(ServiceName),
    /// An enrolled sidecar: follows the feed.
    Sidecar,
    /// What people log in through. Its tokens are its users', never its own.
    App,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_set_with_one_text_form() {
        let scopes = Scopes::parse("b a  b").unwrap();
        assert_eq!(scopes.to_string(), "a b");
        assert!(scopes.contains("a") && !scopes.contains("c"));
        assert!(Scopes::parse("a \"b").is_err());
        assert!(Scopes::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_client_id_is_safe_in_urls_and_headers() {
        assert!("billing-service_1.x~".parse::<ClientIdentifier>().is_ok());
        for bad in ["", "a b", "a:b", "ä", &"x".repeat(101)] {
            assert!(bad.parse::<ClientIdentifier>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_client_id_may_be_the_url_of_a_document() {
        let url = "https://app.example/client.json";
        assert!(url.parse::<ClientIdentifier>().unwrap().is_url());
        assert!(!"app".parse::<ClientIdentifier>().unwrap().is_url());
        for bad in [
            "https:///client.json",
            "https://app.example",
            "ftp://app.example/",
            "https://app.example/?a",
            "https://app.example/#a",
            "https://app.example/a b",
            "https://app.example/<a>",
            &format!("https://app.example/{}", "x".repeat(90)),
        ] {
            assert!(bad.parse::<ClientIdentifier>().is_err(), "{bad}");
        }
    }
}
