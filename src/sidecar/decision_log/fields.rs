//! Which fields of a record can be masked.

use std::str::FromStr;

/// A field that names somebody or something: it can be left out, or replaced by a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Field {
    /// The subject's id.
    Subject,
    /// The resource's id.
    Resource,
    /// The organization's id.
    Organization,
    /// The caller's name and user.
    Caller,
    /// The token's client.
    Client,
    /// The token's login session.
    Session,
    /// The token's grant.
    Grant,
    /// The token's own id.
    Token,
    /// The id of the request.
    Request,
    /// The host that a proxy was asked for.
    Host,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Subject,
        Self::Resource,
        Self::Organization,
        Self::Caller,
        Self::Client,
        Self::Session,
        Self::Grant,
        Self::Token,
        Self::Request,
        Self::Host,
    ];

    /// Where it stands in a record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Subject => "subject.id",
            Self::Resource => "resource.id",
            Self::Organization => "organization",
            Self::Caller => "caller",
            Self::Client => "client",
            Self::Session => "session",
            Self::Grant => "grant",
            Self::Token => "token_id",
            Self::Request => "request_id",
            Self::Host => "host",
        }
    }
}

/// A word that is none of [`Field::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be masked: `subject.id`, `resource.id`, `organization`, `caller`, `client`, \
     `session`, `grant`, `token_id`, `request_id` and `host` can"
)]
pub struct UnknownField(String);

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        Self::ALL
            .into_iter()
            .find(|field| field.word() == text)
            .ok_or_else(|| UnknownField(text.chars().take(60).collect()))
    }
}
