//! Roles by the provider's groups: given while the user is in the group, taken when not.
//!
//! Roles that somebody gave by hand are left alone: only what a group gave is noted, and only what
//! is noted is taken.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use crate::authority::access::{OPERATOR, OWNER};
use crate::domain::member::{Member, RoleRemoval};
use crate::domain::role::Role;
use crate::domain::{AccountId, MemberId, OrganizationId, RoleId, RoleKey, Timestamp, UserId};
use crate::store::audit::{self, AuditEntry};
use crate::store::{Lock, StoreError, Tx, accounts, members, organizations, roles};

use super::finish::Arrival;

/// A role in an organization.
type Place = (OrganizationId, RoleId);

/// Brings the roles that the account's groups give up to date.
pub(super) fn apply(
    tx: &mut dyn Tx,
    arrival: &Arrival,
    user: UserId,
    account: AccountId,
    mint: &mut dyn FnMut() -> Uuid,
) -> Result<(), StoreError> {
    let wanted = wanted(tx, arrival)?;
    let held: BTreeSet<Place> = accounts::roles(tx, account)?.into_iter().collect();
    let mut work = Work {
        actor: arrival.provider_actor(),
        by: "group",
        now: arrival.now,
        user,
        account,
        mint,
    };
    for place in held.difference(&wanted) {
        work.take(tx, *place)?;
    }
    for place in wanted.difference(&held) {
        work.give(tx, *place)?;
    }
    Ok(())
}

/// Takes every role that the account's groups gave, because the user takes the account away. What
/// another account gives too stays, and so does the last owner.
pub(in crate::authority) fn release(
    tx: &mut dyn Tx,
    (user, account): (UserId, AccountId),
    now: Timestamp,
    mint: &mut dyn FnMut() -> Uuid,
) -> Result<(), StoreError> {
    let held = accounts::roles(tx, account)?;
    let mut work = Work {
        actor: format!("user:{user}"),
        by: "unlink",
        now,
        user,
        account,
        mint,
    };
    for place in held {
        work.take(tx, place)?;
    }
    Ok(())
}

/// What the groups give, as far as the organizations and roles are there.
fn wanted(tx: &mut dyn Tx, arrival: &Arrival) -> Result<BTreeSet<Place>, StoreError> {
    let mut wanted = BTreeSet::new();
    for rule in &arrival.provider.settings.groups {
        if !arrival.identity.groups.contains(&rule.group) {
            continue;
        }
        let organization = organizations::find_by_slug(tx, &rule.organization)?;
        let role = roles::find(tx, &rule.role)?;
        match (organization, role) {
            (Some(organization), Some(role)) if fits(tx, organization.id, &role)? => {
                wanted.insert((organization.id, role.id));
            }
            _ => tracing::warn!(
                provider = arrival.provider.slug,
                organization = %rule.organization,
                role = %rule.role,
                "a group gives a role that is not there"
            ),
        }
    }
    Ok(wanted)
}

/// `auth/operator` is held in `system`, and nothing else is; what is deprecated is given no more.
fn fits(tx: &mut dyn Tx, organization: OrganizationId, role: &Role) -> Result<bool, StoreError> {
    let system = organizations::system(tx)? == Some(organization);
    Ok(!role.deprecated && system == (role.key.to_string() == OPERATOR))
}

struct Work<'a> {
    /// Whom the audit log names.
    actor: String,
    /// What is behind it.
    by: &'static str,
    now: Timestamp,
    user: UserId,
    account: AccountId,
    mint: &'a mut dyn FnMut() -> Uuid,
}

impl Work<'_> {
    fn give(&mut self, tx: &mut dyn Tx, place: Place) -> Result<(), StoreError> {
        let (organization, role) = place;
        let now = self.now;
        tx.lock(Lock::Organization(organization))?;
        let event = match members::find(tx, organization, self.user)? {
            // By hand, or by another account: the latter is noted too, so that it outlasts that one.
            Some(member) if member.holds(role) => {
                if accounts::role_given_by_another(tx, self.account, self.user, place)? {
                    accounts::add_role(tx, self.account, place)?;
                }
                return Ok(());
            }
            Some(member) => {
                members::add_further_role(tx, &member, role, now)?;
                "member.role_given"
            }
            None => {
                let member = Member {
                    id: MemberId::from_uuid((self.mint)()),
                    organization_id: organization,
                    user_id: self.user,
                    role_id: role,
                    further_role_ids: Vec::new(),
                    created_at: now,
                    updated_at: now,
                };
                members::insert(tx, &member)?;
                "member.added"
            }
        };
        accounts::add_role(tx, self.account, place)?;
        self.record(tx, event, place)
    }

    fn take(&mut self, tx: &mut dyn Tx, place: Place) -> Result<(), StoreError> {
        let (organization, role) = place;
        tx.lock(Lock::Organization(organization))?;
        let another = accounts::role_given_by_another(tx, self.account, self.user, place)?;
        accounts::remove_role(tx, self.account, place)?;
        let Some(member) = members::find(tx, organization, self.user)?.filter(|_| !another) else {
            return Ok(());
        };
        if is_last_owner(tx, &member, role)? {
            // Nobody could ever give the role back: it stays, and somebody has to look.
            tracing::warn!(%organization, user = %self.user, "nobody gives the last owner's role any more");
            return self.record(tx, "member.role_kept", place);
        }
        let event = match member.without(role) {
            RoleRemoval::NotHeld => return Ok(()),
            RoleRemoval::OnlyRole => {
                members::delete(tx, &member)?;
                "member.removed"
            }
            RoleRemoval::Further => {
                members::remove_further_role(tx, &member, role)?;
                "member.role_taken"
            }
            RoleRemoval::Primary { promoted } => {
                members::remove_further_role(tx, &member, promoted)?;
                members::set_primary_role(tx, &member, promoted, self.now)?;
                "member.role_taken"
            }
        };
        self.record(tx, event, place)
    }

    fn record(
        &mut self,
        tx: &mut dyn Tx,
        event: &'static str,
        (organization, role): Place,
    ) -> Result<(), StoreError> {
        let key: Option<RoleKey> = roles::find_by_id(tx, role)?.map(|role| role.key);
        audit::record(
            tx,
            &AuditEntry {
                id: (self.mint)(),
                at: self.now,
                actor: self.actor.clone(),
                event,
                organization: Some(organization),
                target: Some(format!("user:{}", self.user)),
                details: json!({ "role": key, "by": self.by }),
            },
        )
    }
}

fn is_last_owner(tx: &mut dyn Tx, member: &Member, role: RoleId) -> Result<bool, StoreError> {
    let owner = roles::find_by_id(tx, role)?.is_some_and(|role| role.key.to_string() == OWNER);
    Ok(owner
        && member.holds(role)
        && members::other_active_holders(tx, member.organization_id, role, member.user_id)? == 0)
}
