//! Users: people, known by (provider, account at the provider), never by e-mail.

use super::ids::UserId;
use super::time::Timestamp;

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
