//! Adding, changing and removing members.

use serde_json::json;

use crate::authority::access::{MemberTarget, OPERATOR, OWNER};
use crate::authority::change::{Change, Event};
use crate::domain::member::Member;
use crate::domain::role::Role;
use crate::domain::user::UserState;
use crate::domain::{MemberId, OrganizationId, RoleId, RoleKey, UserId};
use crate::store::{Lock, StoreError, Tx, members, roles, users};

use super::error::OrganizationsError;

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was made.
    Created,
    /// Something was changed.
    Changed,
    /// It was so already.
    Unchanged,
}

/// Which user is to be a member of which organization, and as what.
#[derive(Debug, Clone)]
pub struct NewMember {
    /// Minted for a membership that may have to be made.
    pub id: MemberId,
    /// The organization.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
    /// The primary role.
    pub role: RoleKey,
}

/// Adds a member. One who holds the role already stays as it is.
///
/// # Errors
///
/// [`OrganizationsError::AlreadyMember`] when the user is a member without the role.
pub fn add(
    tx: &mut dyn Tx,
    change: &Change,
    new: &NewMember,
) -> Result<(Member, Outcome), OrganizationsError> {
    tx.lock(Lock::Organization(new.organization))?;
    let place = (new.organization, new.user);
    change
        .access
        .check_member(tx, &change.actor, "auth:member:add", place)?;
    let role = givable(tx, change, &new.role, place)?;
    match members::find(tx, new.organization, new.user)? {
        Some(member) if member.holds(role.id) => Ok((member, Outcome::Unchanged)),
        Some(_) => Err(OrganizationsError::AlreadyMember(new.user)),
        None => Ok((join(tx, change, new, &role)?, Outcome::Created)),
    }
}

/// Makes the user a member with this primary role, whether or not it was one. Further roles stay;
/// one that becomes the primary role is no longer a further one.
pub fn put(
    tx: &mut dyn Tx,
    change: &Change,
    new: &NewMember,
) -> Result<(Member, Outcome), OrganizationsError> {
    tx.lock(Lock::Organization(new.organization))?;
    let place = (new.organization, new.user);
    let Some(member) = members::find(tx, new.organization, new.user)? else {
        return add(tx, change, new);
    };
    let role = givable(tx, change, &new.role, place)?;
    if member.role_id == role.id {
        return Ok((member, Outcome::Unchanged));
    }
    // The old role is taken: whoever may not give it may not take it either.
    let old = role_of(tx, member.role_id)?;
    change
        .access
        .check_assignment(tx, &change.actor, &old, place)?;
    if old.key.to_string() == OWNER {
        keep_an_owner(tx, &member, old.id)?;
    }
    if member.further_role_ids.contains(&role.id) {
        members::remove_further_role(tx, &member, role.id)?;
    }
    members::set_primary_role(tx, &member, role.id, change.now)?;
    change.record(
        tx,
        Event {
            name: "member.role_changed",
            organization: Some(new.organization),
            target: Some(format!("user:{}", new.user)),
            details: json!({ "from": old.key, "role": role.key }),
        },
    )?;
    Ok((present(tx, place)?, Outcome::Changed))
}

/// Ends a membership, with every role. Anybody may end their own.
///
/// # Errors
///
/// [`OrganizationsError::LastOwner`] when no owner who can act would be left.
pub fn remove(
    tx: &mut dyn Tx,
    change: &Change,
    place: (OrganizationId, UserId),
) -> Result<(), OrganizationsError> {
    let (organization, user) = place;
    tx.lock(Lock::Organization(organization))?;
    let target = change
        .access
        .check_member(tx, &change.actor, "auth:member:remove", place)?
        .into_target();
    let member = present(tx, place)?;
    if target.owner && !target.system {
        let owner = role_named(tx, &key(OWNER)?)?;
        keep_an_owner(tx, &member, owner.id)?;
    }
    members::delete(tx, &member)?;
    change.record(
        tx,
        Event {
            name: "member.removed",
            organization: Some(organization),
            target: Some(format!("user:{user}")),
            details: json!({}),
        },
    )?;
    Ok(())
}

fn join(
    tx: &mut dyn Tx,
    change: &Change,
    new: &NewMember,
    role: &Role,
) -> Result<Member, OrganizationsError> {
    existing_user(tx, new.user)?;
    let member = Member {
        id: new.id,
        organization_id: new.organization,
        user_id: new.user,
        role_id: role.id,
        further_role_ids: Vec::new(),
        created_at: change.now,
        updated_at: change.now,
    };
    members::insert(tx, &member)?;
    change.record(
        tx,
        Event {
            name: "member.added",
            organization: Some(new.organization),
            target: Some(format!("user:{}", new.user)),
            details: json!({ "role": role.key }),
        },
    )?;
    Ok(member)
}

/// The role, if the actor may give it to this member now.
pub(in crate::authority) fn givable(
    tx: &mut dyn Tx,
    change: &Change,
    named: &RoleKey,
    place: (OrganizationId, UserId),
) -> Result<Role, OrganizationsError> {
    // Who may not even see the organization learns nothing about roles.
    change
        .access
        .check(tx, &change.actor, "auth:organization:read", place.0)?;
    let role = role_named(tx, named)?;
    let target = change
        .access
        .check_assignment(tx, &change.actor, &role, place)?;
    placed(target.target(), &role)?;
    if role.deprecated {
        return Err(OrganizationsError::DeprecatedRole(role.key));
    }
    Ok(role)
}

/// `auth/operator` is held in `system`, and nothing else is.
fn placed(target: &MemberTarget, role: &Role) -> Result<(), OrganizationsError> {
    if target.system == (role.key.to_string() == OPERATOR) {
        Ok(())
    } else {
        Err(OrganizationsError::MisplacedRole(role.key.clone()))
    }
}

/// Refuses to go on when `member` is the last owner who can act. Under the organization's lock, or
/// two who leave at once would each count on the other.
pub(super) fn keep_an_owner(
    tx: &mut dyn Tx,
    member: &Member,
    owner: RoleId,
) -> Result<(), OrganizationsError> {
    let others = members::other_active_holders(tx, member.organization_id, owner, member.user_id)?;
    if others == 0 {
        return Err(OrganizationsError::LastOwner);
    }
    Ok(())
}

/// The membership, which must be there.
pub(super) fn present(
    tx: &mut dyn Tx,
    (organization, user): (OrganizationId, UserId),
) -> Result<Member, OrganizationsError> {
    members::find(tx, organization, user)?.ok_or(OrganizationsError::NotAMember(user))
}

/// The role, which a service must have declared.
pub(super) fn role_named(tx: &mut dyn Tx, named: &RoleKey) -> Result<Role, OrganizationsError> {
    roles::find(tx, named)?.ok_or_else(|| OrganizationsError::UnknownRole(named.clone()))
}

/// The role behind a member's row.
pub(super) fn role_of(tx: &mut dyn Tx, id: RoleId) -> Result<Role, OrganizationsError> {
    Ok(roles::find_by_id(tx, id)?.ok_or(StoreError::ForeignKey)?)
}

/// The user, who must be known and not deleted.
pub(super) fn existing_user(tx: &mut dyn Tx, user: UserId) -> Result<(), OrganizationsError> {
    match users::find_state(tx, user)? {
        Some((UserState::Active | UserState::Suspended, _)) => Ok(()),
        Some((UserState::Deleted, _)) | None => Err(OrganizationsError::UnknownUser(user)),
    }
}

/// A role's names, of a text that is known to be one.
pub(super) fn key(text: &str) -> Result<RoleKey, StoreError> {
    text.parse()
        .map_err(|_| StoreError::Other(format!("`{text}` is not a role")))
}
