//! Typed ids: a user id cannot stand where an organization id is wanted.
//!
//! New ids are UUIDv7, minted from a time and random bytes that the caller brings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::time::Timestamp;

/// The text is not a UUID in its hyphenated form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id: a hyphenated UUID is wanted")]
pub struct InvalidId {
    text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "std::borrow::Cow<'_, str>", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an id read from a row or from a verified token.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Mints a UUIDv7: 48 bits of milliseconds, then `random`.
            pub fn mint(now: Timestamp, random: [u8; 10]) -> Self {
                Self(
                    uuid::Builder::from_unix_timestamp_millis(now.unix_millis(), &random)
                        .into_uuid(),
                )
            }

            /// The id as the store keeps it.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// The id as caches key it: big-endian, so the order of ids is kept.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// The inverse of [`Self::as_u128`].
            pub const fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hyphenated(text)
                    .map(Self)
                    .ok_or_else(|| InvalidId { text: text.chars().take(64).collect() })
            }
        }

        impl TryFrom<std::borrow::Cow<'_, str>> for $name {
            type Error = InvalidId;

            fn try_from(text: std::borrow::Cow<'_, str>) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    )*};
}

ids! {
    /// A person (`users.id`).
    UserId,
    /// A tenant (`organizations.id`).
    OrganizationId,
    /// One user's membership of one organization (`organization_members.id`).
    MemberId,
    /// A role declared by a service (`roles.id`).
    RoleId,
    /// A permission declared by a service (`permissions.id`).
    PermissionId,
    /// A registered client (`oauth_clients.id`, not its public `client_id`).
    ClientId,
    /// A login session (`sessions.id`).
    SessionId,
    /// What a user granted to a client; refresh tokens and codes hang on it.
    GrantId,
    /// An enrolled sidecar.
    SidecarId,
    /// An account at an identity provider (`oauth_accounts.id`).
    AccountId,
    /// An invitation to an organization.
    InvitationId,
    /// An initial access token: who may register clients.
    RegistrationTokenId,
}

/// Only the 36-character form: the crate's parser also takes braces, `urn:` and bare hex, and an id
/// with several spellings is several cache keys and several log entries.
fn parse_hyphenated(text: &str) -> Option<Uuid> {
    (text.len() == 36)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = UserId::mint(Timestamp::from_unix_micros(1_700_000_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse::<UserId>(), Ok(id));
        assert!(id.as_uuid().simple().to_string().parse::<UserId>().is_err());
        assert!(format!("{{{id}}}").parse::<UserId>().is_err());
        assert!(format!("urn:uuid:{id}").parse::<UserId>().is_err());
    }

    #[test]
    fn ids_minted_later_sort_later() {
        let early = UserId::mint(Timestamp::from_unix_micros(1_000_000), [255; 10]);
        let late = UserId::mint(Timestamp::from_unix_micros(2_000_000), [0; 10]);
        assert!(early < late);
        assert_eq!(UserId::from_u128(early.as_u128()), early);
    }
}
