//! Wire form: users as operators find and keep them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{OrganizationId, RoleKey, SessionId, Timestamp};

use super::organizations::UserView;

/// `GET /v1/users`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UsersQuery {
    /// A user's id, or what an address or a name begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}

/// `GET /v1/users/{user}/export`: everything that is held on a person. Hashes, sealed tokens and
/// keys are no data on the person and left out; that they exist is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserExport {
    /// When this was written.
    pub exported_at: Timestamp,
    /// The profile.
    pub user: UserView,
    /// The language, as the provider says.
    pub locale: Option<String>,
    /// The last login.
    pub last_login_at: Option<Timestamp>,
    /// Accounts at identity providers.
    pub accounts: Vec<ExportedAccount>,
    /// Where the person is logged in.
    pub sessions: Vec<ExportedSession>,
    /// What was granted to clients.
    pub grants: Vec<ExportedGrant>,
    /// What the person agreed to.
    pub consents: Vec<ExportedConsent>,
    /// Roles in organizations.
    pub roles: Vec<ExportedRole>,
    /// What the person did and what was done to the person, the newest first.
    pub audit: Vec<ExportedAudit>,
    /// Whether older audit rows were left out.
    pub audit_truncated: bool,
}

/// An account at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExportedAccount {
    /// The provider.
    pub provider: String,
    /// The person's name there.
    pub subject: String,
    /// The address that the provider tells.
    pub email: Option<String>,
    /// Whether the provider has verified it.
    pub email_verified: bool,
    /// When it was linked.
    pub created_at: Timestamp,
    /// The last login through it.
    pub last_login_at: Timestamp,
    /// Whether tokens of the provider are kept, sealed.
    pub tokens_kept: bool,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExportedSession {
    /// Its id.
    pub id: SessionId,
    /// The provider.
    pub provider: String,
    /// When it began.
    pub created_at: Timestamp,
    /// The last use.
    pub last_seen_at: Timestamp,
    /// Its end.
    pub expires_at: Timestamp,
    /// The browser.
    pub user_agent: Option<String>,
    /// The network of the last use.
    pub address: Option<String>,
}

/// What a client was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExportedGrant {
    /// The client's public name.
    pub client_id: String,
    /// What was granted.
    pub scope: String,
    /// When.
    pub created_at: Timestamp,
    /// The last use.
    pub last_used_at: Timestamp,
    /// Its end.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What the person agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExportedConsent {
    /// The client's public name.
    pub client_id: String,
    /// One scope.
    pub scope: String,
    /// When.
    pub granted_at: Timestamp,
}

/// A role in an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExportedRole {
    /// The organization.
    pub organization: OrganizationId,
    /// The role.
    pub role: RoleKey,
    /// Since when the person is a member.
    pub member_since: Timestamp,
}

/// An audit row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExportedAudit {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// To what.
    pub target: Option<String>,
    /// More.
    pub details: Value,
}
