//! Wire form: invitations to an organization.

use serde::{Deserialize, Serialize};

use crate::domain::user::EmailAddress;
use crate::domain::{InvitationId, OrganizationId, RoleKey, Timestamp};

/// `POST /v1/organizations/{organization}/invitations`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    /// What the invited user will hold.
    pub role: RoleKey,
    /// Who may accept it: only a user with this verified address. Anybody who has the link if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// How long it is open: a minute to 30 days; 7 days if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u32>,
}

/// An invitation as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InvitationView {
    /// Its id.
    pub id: InvitationId,
    /// Where to.
    pub organization: OrganizationId,
    /// As what.
    pub role: RoleKey,
    /// Who may accept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Who invited: `user:<id>` or `client:<client_id>`.
    pub invited_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// It cannot be accepted from then on.
    pub expires_at: Timestamp,
}

/// A new invitation, with its link. The link is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CreatedInvitation {
    /// The invitation.
    #[serde(flatten)]
    pub invitation: InvitationView,
    /// What to send to whoever is invited.
    pub link: String,
}

/// Without the link: it is a credential.
impl std::fmt::Debug for CreatedInvitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedInvitation")
            .field("invitation", &self.invitation)
            .finish_non_exhaustive()
    }
}
