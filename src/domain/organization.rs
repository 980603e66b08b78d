//! Organizations: tenants that group users.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::OrganizationId;
use super::text::{checked_text, misleads};
use super::time::Timestamp;

/// Why a text is not an organization's name or slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationError {
    /// The name is empty, or only white space.
    #[error("an organization's name cannot be empty")]
    EmptyName,
    /// The name is longer than 100 characters.
    #[error("an organization's name has at most 100 characters, this one has {0}")]
    LongName(usize),
    /// The name holds a control character.
    #[error("an organization's name cannot hold control characters")]
    ControlCharacter,
    /// The slug does not fit the alphabet or length.
    #[error(
        "`{0}` is not a slug: 2 to 63 lower-case letters, digits and single `-`, with a letter \
         first and a letter or digit last"
    )]
    Slug(String),
    /// The slug would be read as something else in a URL.
    #[error("the slug `{0}` is reserved")]
    ReservedSlug(String),
}

/// Words that routes, hosts and people would take for something else.
///
/// `system` is the organization of the operators; only `doorward-authority init` makes it.
const RESERVED_SLUGS: &[&str] = &[
    "account",
    "accounts",
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "authorize",
    "billing-admin",
    "callback",
    "console",
    "dashboard",
    "device",
    "docs",
    "doorward",
    "health",
    "healthz",
    "help",
    "internal",
    "invite",
    "invitations",
    "jwks",
    "localhost",
    "login",
    "logout",
    "mail",
    "me",
    "metrics",
    "new",
    "null",
    "oauth",
    "oauth2",
    "oidc",
    "organization",
    "organizations",
    "orgs",
    "public",
    "readyz",
    "register",
    "root",
    "security",
    "self",
    "session",
    "sessions",
    "settings",
    "sidecar",
    "signin",
    "signout",
    "signup",
    "sso",
    "static",
    "status",
    "support",
    "system",
    "token",
    "undefined",
    "user",
    "userinfo",
    "users",
    "v1",
    "v2",
    "well-known",
    "www",
];

/// The name an organization shows: 1 to 100 characters of any script, trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct OrganizationName(String);

impl OrganizationName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationName {
    type Err = OrganizationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let len = trimmed.chars().count();
        match len {
            0 => Err(OrganizationError::EmptyName),
            101.. => Err(OrganizationError::LongName(len)),
            _ if trimmed.chars().any(misleads) => Err(OrganizationError::ControlCharacter),
            _ => Ok(Self(trimmed.to_owned())),
        }
    }
}

/// The part of a URL that names an organization. Once taken it stays reserved for it for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct Slug(String);

impl Slug {
    /// The slug of the operators' own organization, which no request may take.
    pub const SYSTEM: &'static str = "system";

    /// The organization of the operators.
    pub fn system() -> Self {
        Self(Self::SYSTEM.to_owned())
    }

    /// The slug's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request may ask for this slug for a new or renamed organization.
    ///
    /// # Errors
    ///
    /// [`OrganizationError::ReservedSlug`].
    pub fn check_unreserved(&self) -> Result<(), OrganizationError> {
        // One that could be read as an id would name whichever organization has that id.
        if RESERVED_SLUGS.contains(&self.0.as_str()) || self.0.parse::<OrganizationId>().is_ok() {
            Err(OrganizationError::ReservedSlug(self.0.clone()))
        } else {
            Ok(())
        }
    }
}

impl FromStr for Slug {
    type Err = OrganizationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let fits = (2..=63).contains(&bytes.len())
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.last().is_some_and(|byte| *byte != b'-')
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
            && !text.contains("--");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(OrganizationError::Slug(text.chars().take(100).collect()))
        }
    }
}

checked_text!(OrganizationError: OrganizationName, Slug);

/// An organization as its row tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// The name people see.
    pub name: OrganizationName,
    /// Its place in URLs.
    pub slug: Slug,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_lower_case_words_joined_by_single_dashes() {
        for text in ["acme", "a1", "acme-corp-2"] {
            assert_eq!(text.parse::<Slug>().unwrap().as_str(), text);
        }
        for text in [
            "", "a", "Acme", "-acme", "acme-", "a--b", "1acme", "bücher", "a b",
        ] {
            assert!(text.parse::<Slug>().is_err(), "{text}");
        }
        assert!("x".repeat(64).parse::<Slug>().is_err());
    }

    #[test]
    fn a_slug_that_routes_need_cannot_be_taken() {
        let reserved: Slug = "login".parse().unwrap();
        assert_eq!(
            reserved.check_unreserved(),
            Err(OrganizationError::ReservedSlug("login".into()))
        );
        assert!(Slug::system().check_unreserved().is_err());
        let an_id: Slug = "abcdefab-abcd-7bcd-8bcd-abcdefabcdef".parse().unwrap();
        assert!(an_id.check_unreserved().is_err());
        assert!("acme".parse::<Slug>().unwrap().check_unreserved().is_ok());
    }

    #[test]
    fn an_organizations_name_is_any_script_trimmed_and_bounded() {
        assert_eq!(
            "  Bücher & Söhne 株式会社 "
                .parse::<OrganizationName>()
                .unwrap()
                .as_str(),
            "Bücher & Söhne 株式会社"
        );
        assert_eq!(
            " ".parse::<OrganizationName>(),
            Err(OrganizationError::EmptyName)
        );
        assert_eq!(
            "é".repeat(101).parse::<OrganizationName>(),
            Err(OrganizationError::LongName(101))
        );
        assert!("a\u{0}b".parse::<OrganizationName>().is_err());
    }
}
