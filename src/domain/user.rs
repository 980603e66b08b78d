//! Users: people, known by (provider, account at the provider), never by e-mail.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::UserId;
use super::text::{checked_text, misleads};
use super::time::Timestamp;

/// Why a text is not part of a user's profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The name is empty, longer than 100 characters or holds a control character.
    #[error("a display name has 1 to 100 characters and no control characters")]
    DisplayName,
    /// Not an address as this product keeps them.
    #[error("an e-mail address has one `@`, no spaces and at most 255 characters")]
    EmailAddress,
    /// Not the name of an identity provider.
    #[error("a provider's name has 1 to 30 lower-case letters, digits and `-`")]
    Provider,
    /// Not an account at a provider.
    #[error("an account at a provider has 1 to 255 characters and no control characters")]
    ProviderAccount,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $fits:expr, $kept:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Cow<'_, str>", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = UserError;

            fn from_str(text: &str) -> Result<Self, UserError> {
                let fits: fn(&str) -> bool = $fits;
                let kept: fn(&str) -> String = $kept;
                if fits(text) {
                    Ok(Self(kept(text)))
                } else {
                    Err(UserError::$name)
                }
            }
        }

        checked_text!(UserError: $name);
    )*};
}

texts! {
    /// The name a user shows.
    DisplayName, |text| {
        (1..=100).contains(&text.chars().count())
            && !text.trim().is_empty()
            && !text.chars().any(misleads)
    }, str::to_owned;
    /// An address, in lower case: domains have no case, and two people whose addresses differ in
    /// nothing else exist nowhere. Only its form is checked: that mail arrives is for its provider
    /// to say.
    EmailAddress, |text| {
        text.len() <= 255
            && !text.chars().any(|c| c.is_whitespace() || misleads(c))
            && text
                .split_once('@')
                .is_some_and(|(local, host)| {
                    !local.is_empty() && !host.is_empty() && !host.contains('@')
                })
    }, str::to_ascii_lowercase;
    /// An identity provider: `google`.
    Provider, |text| {
        (1..=30).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }, str::to_owned;
    /// A user's account at a provider, in the provider's words.
    ProviderAccount, |text| {
        (1..=255).contains(&text.chars().count()) && !text.chars().any(misleads)
    }, str::to_owned;
}

impl EmailAddress {
    /// What stands in for an address that no provider verified: unique, and no mail can go there.
    pub fn placeholder(user: UserId) -> Self {
        Self(format!("{user}@users.invalid"))
    }
}

/// Whether a user may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UserState {
    /// As usual.
    #[default]
    Active,
    /// Every check is denied and every token refused until restored.
    Suspended,
    /// Erased: personal data is gone, the id stays for the audit log.
    Deleted,
}

impl UserState {
    /// The text in rows and in the feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// The inverse of [`Self::as_str`]; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "suspended" => Some(Self::Suspended),
            "deleted" => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// A user as the store tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id, the only thing that tokens and sidecars know.
    pub id: UserId,
    /// A verified address, or a placeholder under `.invalid` when the provider verified none.
    pub email: String,
    /// The name people see.
    pub display_name: String,
    /// A picture, if the provider has one.
    pub avatar_url: Option<String>,
    /// Whether the user may act.
    pub state: UserState,
    /// Tokens minted under a lower number are refused.
    pub token_epoch: i64,
    /// First login.
    pub created_at: Timestamp,
    /// When the profile was last refreshed.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_takes_any_script_and_no_control_characters() {
        assert!("Ünal Çelik 株".parse::<DisplayName>().is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert_eq!(bad.parse::<DisplayName>(), Err(UserError::DisplayName));
        }
    }

    #[test]
    fn an_address_is_one_whatever_its_case_and_a_name_keeps_its_own() {
        let address: EmailAddress = "Cy@Corp.Example".parse().unwrap();
        assert_eq!(address.as_str(), "cy@corp.example");
        let read: EmailAddress = serde_json::from_str(r#""CY@corp.example""#).unwrap();
        assert_eq!(read, address);
        assert_eq!("Cy".parse::<DisplayName>().unwrap().as_str(), "Cy");
        assert_eq!("U1".parse::<ProviderAccount>().unwrap().as_str(), "U1");
    }

    #[test]
    fn an_address_has_two_sides_and_a_placeholder_goes_nowhere() {
        assert!("a@b".parse::<EmailAddress>().is_ok());
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            &format!("a@{}", "x".repeat(255)),
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad}");
        }
        let placeholder = EmailAddress::placeholder(UserId::from_u128(1)).to_string();
        assert!(placeholder.ends_with(".invalid") && placeholder.parse::<EmailAddress>().is_ok());
    }
}
