//! Giving and taking further roles.

use serde_json::json;

use crate::authority::access::OWNER;
use crate::authority::change::{Change, Event};
use crate::domain::member::{Member, RoleRemoval};
use crate::domain::{OrganizationId, RoleKey, UserId};
use crate::store::{Lock, Tx, members};

use super::error::OrganizationsError;
use super::membership::{Outcome, givable, keep_an_owner, present, role_named};

/// Gives a member a further role. One who holds it stays as it is.
pub fn give(
    tx: &mut dyn Tx,
    change: &Change,
    place: (OrganizationId, UserId),
    named: &RoleKey,
) -> Result<(Member, Outcome), OrganizationsError> {
    let (organization, user) = place;
    tx.lock(Lock::Organization(organization))?;
    let role = givable(tx, change, named, place)?;
    let member = present(tx, place)?;
    if member.holds(role.id) {
        return Ok((member, Outcome::Unchanged));
    }
    members::add_further_role(tx, &member, role.id, change.now)?;
    change.record(
        tx,
        Event {
            name: "member.role_given",
            organization: Some(organization),
            target: Some(format!("user:{user}")),
            details: json!({ "role": role.key }),
        },
    )?;
    Ok((present(tx, place)?, Outcome::Created))
}

/// Takes a role from a member. When it is the primary one, a further one takes its place.
///
/// # Errors
///
/// [`OrganizationsError::OnlyRole`] when there is no further one,
/// [`OrganizationsError::LastOwner`] when no owner who can act would be left.
pub fn take(
    tx: &mut dyn Tx,
    change: &Change,
    place: (OrganizationId, UserId),
    named: &RoleKey,
) -> Result<(Member, Outcome), OrganizationsError> {
    let (organization, user) = place;
    tx.lock(Lock::Organization(organization))?;
    change
        .access
        .check(tx, &change.actor, "auth:organization:read", organization)?;
    let role = role_named(tx, named)?;
    change
        .access
        .check_assignment(tx, &change.actor, &role, place)?;
    let member = present(tx, place)?;
    let removal = member.without(role.id);
    if removal == RoleRemoval::NotHeld {
        return Ok((member, Outcome::Unchanged));
    }
    if role.key.to_string() == OWNER {
        keep_an_owner(tx, &member, role.id)?;
    }
    match removal {
        RoleRemoval::NotHeld => {}
        RoleRemoval::OnlyRole => return Err(OrganizationsError::OnlyRole(role.key)),
        RoleRemoval::Further => members::remove_further_role(tx, &member, role.id)?,
        RoleRemoval::Primary { promoted } => {
            members::remove_further_role(tx, &member, promoted)?;
            members::set_primary_role(tx, &member, promoted, change.now)?;
        }
    }
    change.record(
        tx,
        Event {
            name: "member.role_taken",
            organization: Some(organization),
            target: Some(format!("user:{user}")),
            details: json!({ "role": role.key }),
        },
    )?;
    Ok((present(tx, place)?, Outcome::Changed))
}
