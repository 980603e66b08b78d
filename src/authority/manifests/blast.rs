//! The blast radius of a plan: whom it reaches, over all the roles that each member holds.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use crate::domain::manifest::{Effect, Effects, Manifest, Plan, RoleEffect};
use crate::domain::{OrganizationId, PermissionId, PermissionKey, RoleId, UserId};
use crate::protocol::manifest::{Affected, BlastRadius, RoleHolders};
use crate::store::roles::Holding;
use crate::store::{StoreError, Tx, permissions, roles};

use super::conflict;
use super::live::LiveRows;

/// Members read at a time: bounds memory, whatever the number of members.
const SCAN: u32 = 10_000;

/// Permissions shown of each member; the counts are of all.
const SHOWN: usize = 100;

/// Sets of roles whose effect is kept at a time. Members may hold as many sets as there are members:
/// past this the effects are worked out again.
const KNOWN: usize = 1_000;

/// Which of the affected members to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberPage {
    /// After this one, as [`BlastRadius::next`] said.
    pub after: Option<MemberCursor>,
    /// How many.
    pub limit: usize,
}

impl Default for MemberPage {
    fn default() -> Self {
        Self {
            after: None,
            limit: 20,
        }
    }
}

/// A member's place in the order of organizations and users. Text form: `<organization>.<user>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberCursor {
    organization: OrganizationId,
    user: UserId,
}

impl fmt::Display for MemberCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.organization, self.user)
    }
}

/// The text is not a place in the list of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the list: pass on what `next` said, unchanged")]
pub struct InvalidCursor;

impl FromStr for MemberCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (organization, user) = text.split_once('.').ok_or(InvalidCursor)?;
        Ok(Self {
            organization: organization.parse().map_err(|_| InvalidCursor)?,
            user: user.parse().map_err(|_| InvalidCursor)?,
        })
    }
}

/// Counts everybody whom the plan reaches and shows a page of them.
pub(super) fn radius(
    tx: &mut dyn Tx,
    rows: &LiveRows,
    manifest: &Manifest,
    plan: &Plan,
    page: MemberPage,
) -> Result<BlastRadius, StoreError> {
    let mut radius = BlastRadius {
        roles: holders(tx, rows, plan)?,
        ..BlastRadius::default()
    };
    let effects = effects(tx, rows, manifest)?;
    let mut reached = false;
    for role in effects.touched_roles() {
        reached = reached || roles::holders(tx, role)? > 0;
    }
    if !reached {
        return Ok(radius);
    }
    let mut known: HashMap<Vec<RoleId>, Reach> = HashMap::new();
    let mut after = None;
    loop {
        let members = roles::holdings(tx, after, SCAN)?;
        for member in &members {
            if !member.roles.iter().any(|role| effects.touches(*role)) {
                continue;
            }
            if known.len() >= KNOWN && !known.contains_key(&member.roles) {
                known.clear();
            }
            let reach = known
                .entry(member.roles.clone())
                .or_insert_with(|| Reach::of(effects.of(&member.roles)));
            if reach.gains_count > 0 || reach.loses_count > 0 {
                count(&mut radius, member, reach, page);
            }
        }
        match members.last() {
            Some(last) => after = Some((last.organization, last.user)),
            None => return Ok(radius),
        }
    }
}

/// An effect as it is shown: a plan may take ten thousand permissions from a set of roles.
struct Reach {
    gains_count: usize,
    loses_count: usize,
    gains: Vec<PermissionKey>,
    loses: Vec<PermissionKey>,
}

impl Reach {
    fn of(effect: Effect) -> Self {
        let first = |keys: Vec<PermissionKey>| keys.iter().take(SHOWN).cloned().collect();
        Self {
            gains_count: effect.gains.len(),
            loses_count: effect.loses.len(),
            gains: first(effect.gains),
            loses: first(effect.loses),
        }
    }
}

fn count(radius: &mut BlastRadius, member: &Holding, reach: &Reach, page: MemberPage) {
    radius.members += 1;
    radius.gaining += u64::from(reach.gains_count > 0);
    radius.losing += u64::from(reach.loses_count > 0);
    let at = MemberCursor {
        organization: member.organization,
        user: member.user,
    };
    if page.after.is_some_and(|after| at <= after) {
        return;
    }
    if radius.page.len() == page.limit {
        if radius.next.is_none() {
            radius.next = radius.page.last().map(|last| {
                MemberCursor {
                    organization: last.organization,
                    user: last.user,
                }
                .to_string()
            });
        }
        return;
    }
    radius.page.push(Affected {
        organization: member.organization,
        user: member.user,
        gains_count: reach.gains_count,
        loses_count: reach.loses_count,
        gains: reach.gains.clone(),
        loses: reach.loses.clone(),
    });
}

/// Holders of each role that changes or goes.
fn holders(
    tx: &mut dyn Tx,
    rows: &LiveRows,
    plan: &Plan,
) -> Result<std::collections::BTreeMap<crate::domain::RoleName, RoleHolders>, StoreError> {
    let changed = plan.roles.changed.iter().map(|(name, change)| {
        let counts = (change.granted.len(), change.withdrawn.len());
        (name, counts, None)
    });
    let removed = plan.roles.removed.iter().map(|(name, role)| {
        let counts = (0, role.permissions.len());
        (name, counts, plan.moves.get(name))
    });
    let mut holders = std::collections::BTreeMap::new();
    for (name, (granted, withdrawn), moves_to) in changed.chain(removed) {
        let Some(id) = rows.role_ids.get(name) else {
            continue;
        };
        let role = RoleHolders {
            holders: roles::holders(tx, *id)?,
            granted,
            withdrawn,
            moves_to: moves_to.cloned(),
        };
        holders.insert(name.clone(), role);
    }
    Ok(holders)
}

fn effects(tx: &mut dyn Tx, rows: &LiveRows, manifest: &Manifest) -> Result<Effects, StoreError> {
    let none = BTreeSet::new();
    let mut own = Vec::new();
    let mut changed: BTreeSet<&PermissionKey> = BTreeSet::new();
    for (name, role) in &rows.live.declared.roles {
        let Some(id) = rows.role_ids.get(name) else {
            continue;
        };
        let successor = manifest.replaces.get(name).unwrap_or(name);
        let after =
            (manifest.declared.roles.get(successor)).map_or(&none, |role| &role.permissions);
        changed.extend(role.permissions.symmetric_difference(after));
        own.push(RoleEffect {
            role: *id,
            before: &role.permissions,
            after,
        });
    }
    let mut ids = rows.permission_ids.clone();
    for service in conflict::services_of(manifest) {
        if changed.iter().any(|key| key.service == service) && service != manifest.service {
            let declared = permissions::of_service(tx, &service)?;
            ids.extend(declared.into_iter().map(|row| (row.key, row.id)));
        }
    }
    let keys: HashMap<PermissionId, &PermissionKey> = (changed.into_iter())
        .filter_map(|key| Some((*ids.get(key)?, key)))
        .collect();
    let others = roles::grants_of_others(tx, &manifest.service, keys.keys().copied())?;
    let others = (others.iter()).filter_map(|(role, id)| Some((*role, *keys.get(id)?)));
    Ok(Effects::new(&own, others))
}
