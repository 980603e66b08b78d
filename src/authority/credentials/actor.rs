//! Who a request comes from.

use crate::domain::{ClientId, ClientIdentifier, ClientKind, OrganizationId, Scopes, UserId};

/// The bearer of a verified access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person, through a client, within the scopes the token carries.
    User {
        /// The person.
        user_id: UserId,
        /// The client that got the token.
        client: ClientIdentifier,
        /// What the token may be used for.
        scopes: Scopes,
        /// The one organization that the token may act in, if it is bound to one.
        organization: Option<OrganizationId>,
    },
    /// A program with credentials of its own: it holds scopes, never roles.
    Client {
        /// Its row.
        id: ClientId,
        /// Its public name.
        identifier: ClientIdentifier,
        /// What it is for.
        kind: ClientKind,
        /// What the token may be used for.
        scopes: Scopes,
    },
}

impl Actor {
    /// How the audit log names the actor: `user:<id>` or `client:<client_id>`.
    pub fn audit_name(&self) -> String {
        match self {
            Self::User { user_id, .. } => format!("user:{user_id}"),
            Self::Client { identifier, .. } => format!("client:{identifier}"),
        }
    }

    /// The one organization that the token may act in, if it is bound to one.
    pub const fn bound_to(&self) -> Option<OrganizationId> {
        match self {
            Self::User { organization, .. } => *organization,
            Self::Client { .. } => None,
        }
    }

    /// What the token may be used for.
    pub const fn scopes(&self) -> &Scopes {
        match self {
            Self::User { scopes, .. } | Self::Client { scopes, .. } => scopes,
        }
    }
}
