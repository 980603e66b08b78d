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

    /// Whether `role` is among the roles held.
    pub fn holds(&self, role: RoleId) -> bool {
        self.role_ids().any(|held| held == role)
    }

    /// What taking `role` away means for the rows: a member always keeps a primary role.
    pub fn without(&self, role: RoleId) -> RoleRemoval {
        if self.role_id != role {
            return if self.further_role_ids.contains(&role) {
                RoleRemoval::Further
            } else {
                RoleRemoval::NotHeld
            };
        }
        match self.further_role_ids.iter().min() {
            Some(next) => RoleRemoval::Primary { promoted: *next },
            None => RoleRemoval::OnlyRole,
        }
    }
}

/// What taking a role from a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleRemoval {
    /// The member does not hold it: nothing changes.
    NotHeld,
    /// It is a further role: its row goes.
    Further,
    /// It is the primary role: the further role declared first takes its place.
    Primary {
        /// The role that becomes primary.
        promoted: RoleId,
    },
    /// It is the only role: the membership would have to end instead.
    OnlyRole,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(primary: u128, further: &[u128]) -> Member {
        Member {
            id: MemberId::from_u128(1),
            organization_id: OrganizationId::from_u128(2),
            user_id: UserId::from_u128(3),
            role_id: RoleId::from_u128(primary),
            further_role_ids: further.iter().copied().map(RoleId::from_u128).collect(),
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn a_member_always_keeps_a_primary_role() {
        let role = RoleId::from_u128;
        for (member, taken, expected) in [
            (member(10, &[]), 10, RoleRemoval::OnlyRole),
            (member(10, &[]), 11, RoleRemoval::NotHeld),
            (member(10, &[12, 11]), 12, RoleRemoval::Further),
            (
                member(10, &[12, 11]),
                10,
                RoleRemoval::Primary { promoted: role(11) },
            ),
        ] {
            assert_eq!(member.without(role(taken)), expected);
        }
    }
}
