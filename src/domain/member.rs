//! Members: which user belongs to which organization, and the roles that go with it.

use super::ids::{MemberId, OrganizationId, RoleId, UserId};
use super::time::Timestamp;

/// A membership as the store tells it: a user has at most one per organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The membership's own id (keyset pages follow it).
    pub id: MemberId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
    /// The primary role: the one of the seed's column. Every member has it.
    pub role_id: RoleId,
    /// Further roles, without the primary one, in order of id.
    pub further_role_ids: Vec<RoleId>,
    /// When the user joined.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}

impl Member {
    /// Every role held: the primary one first.
    pub fn role_ids(&self) -> impl Iterator<Item = RoleId> {
        std::iter::once(self.role_id).chain(self.further_role_ids.iter().copied())
    }
}
