//! What keeps a manifest that is right in itself from being applied now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::manifest::{Manifest, Plan, PlanHash, default_assignable_by};
use crate::domain::{PermissionKey, RoleKey, RoleName, ServiceName};
use crate::protocol::manifest::ConflictView;
use crate::protocol::problem::{Mistake, Pointer, Problem};
use crate::store::{StoreError, Tx, manifests, permissions, roles};

use super::live::LiveRows;

/// Why a manifest was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// At odds with members, other services or a newer manifest. There is at least one.
    #[error("{}", list(.0))]
    Conflicts(Vec<Conflict>),
    /// The apply was bound to a plan, and today's plan is another one.
    #[error("the plan has changed since the dry run: it is `{now}` now")]
    PlanChanged {
        /// Today's plan.
        now: PlanHash,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

fn list(conflicts: &[Conflict]) -> String {
    let texts: Vec<_> = conflicts.iter().take(10).map(ToString::to_string).collect();
    texts.join("; ")
}

/// One reason, each with its own code in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// A manifest with a higher version is live. Fine during a rolling deploy.
    NewerLive {
        /// The live version.
        live: i64,
        /// The version sent; `None` cannot be ordered and counts as older.
        sent: Option<i64>,
    },
    /// The manifest drops a role that members hold and names no replacement.
    RoleHeld {
        /// The role.
        role: RoleKey,
        /// How many members hold it.
        holders: u64,
    },
    /// The manifest drops a permission that a role of another service grants.
    PermissionGranted {
        /// The permission.
        permission: PermissionKey,
        /// The other service's role.
        role: RoleKey,
    },
    /// The manifest drops a permission by which a role of another service is given.
    PermissionAssigns {
        /// The permission.
        permission: PermissionKey,
        /// The other service's role.
        role: RoleKey,
    },
    /// The manifest no longer lets a service grant its permissions, and that service's role does.
    GranteeInUse {
        /// The other service's role.
        role: RoleKey,
        /// What it grants.
        permission: PermissionKey,
    },
    /// A role grants a permission of a service that does not allow it.
    NotGrantable {
        /// The manifest's role.
        role: RoleName,
        /// The other service's permission.
        permission: PermissionKey,
    },
    /// A role grants or is given by a permission that nobody declares.
    UnknownPermission {
        /// The manifest's role.
        role: RoleName,
        /// The field of the role: `permissions` or `assignable_by`.
        field: &'static str,
        /// The permission.
        permission: PermissionKey,
    },
}

impl Conflict {
    /// What programs branch on.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NewerLive { .. } => "newer-manifest-live",
            Self::RoleHeld { .. } => "role-still-held",
            Self::PermissionGranted { .. } => "permission-still-granted",
            Self::PermissionAssigns { .. } => "permission-still-assigns",
            Self::GranteeInUse { .. } => "grantee-still-grants",
            Self::NotGrantable { .. } => "not-grantable",
            Self::UnknownPermission { .. } => "unknown-permission",
        }
    }

    fn mistake(&self) -> Mistake {
        let root = Pointer::ROOT;
        let detail = self.to_string();
        match self {
            Self::NewerLive { live, .. } => Mistake::new(root.key("version"), detail).allowing(
                format!("{live} or more, or `allow_rollback` by an operator"),
            ),
            Self::RoleHeld { .. } => Mistake::new(root.key("roles"), detail)
                .allowing("keep the role (deprecated), or name its replacement under `replaces`"),
            Self::PermissionGranted { .. } | Self::PermissionAssigns { .. } => {
                Mistake::new(root.key("permissions"), detail)
                    .allowing("keep the permission (deprecated) until the other service lets go")
            }
            Self::GranteeInUse { role, .. } => Mistake::new(root.key("grantable_by"), detail)
                .allowing(format!("keep `{}` until it lets go", role.service)),
            Self::NotGrantable { role, permission } => Mistake::new(
                root.key("roles").key(role.as_str()).key("permissions"),
                detail,
            )
            .allowing(format!(
                "permissions of services that list this one under `grantable_by`, as `{}` \
                         does not",
                permission.service
            )),
            Self::UnknownPermission { role, field, .. } => {
                Mistake::new(root.key("roles").key(role.as_str()).key(field), detail)
                    .allowing("permissions that are declared now")
            }
        }
    }

    /// The conflict as a dry run shows it.
    pub(super) fn view(&self) -> ConflictView {
        ConflictView {
            code: self.code().into(),
            mistake: self.mistake(),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerLive {
                live,
                sent: Some(sent),
            } => write!(
                f,
                "a newer manifest is live: version {live}, this is {sent}"
            ),
            Self::NewerLive { live, sent: None } => write!(
                f,
                "a newer manifest is live: version {live}, this one carries no version"
            ),
            Self::RoleHeld { role, holders } => {
                write!(f, "{holders} member(s) hold the role `{role}`")
            }
            Self::PermissionGranted { permission, role } => {
                write!(f, "the role `{role}` grants `{permission}`")
            }
            Self::PermissionAssigns { permission, role } => {
                write!(f, "the role `{role}` is given by `{permission}`")
            }
            Self::GranteeInUse { role, permission } => {
                write!(f, "the role `{role}` still grants `{permission}`")
            }
            Self::NotGrantable { permission, .. } => write!(
                f,
                "`{}` does not let this service grant `{permission}`",
                permission.service
            ),
            Self::UnknownPermission { permission, .. } => {
                write!(f, "no service declares `{permission}`")
            }
        }
    }
}

impl From<SyncError> for Problem {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::PlanChanged { now } => {
                Self::conflict("plan-changed", error.to_string()).with("plan_hash", now.to_string())
            }
            SyncError::Conflicts(conflicts) => {
                let code = conflicts.first().map_or("conflict", Conflict::code);
                let mut problem = Self::conflict(code, list(&conflicts));
                for conflict in &conflicts {
                    if let Conflict::RoleHeld { role, holders } = conflict
                        && code == "role-still-held"
                        && !problem.extensions.contains_key("holders")
                    {
                        problem = problem
                            .with("role", role.to_string())
                            .with("holders", *holders);
                    }
                }
                let shown = conflicts
                    .iter()
                    .take(crate::protocol::manifest::MAX_MISTAKES);
                problem.with_errors(shown.map(Conflict::mistake).collect())
            }
            // PostgreSQL: somebody was given the role, or granted the permission, at this moment.
            SyncError::Store(StoreError::ForeignKey) => Self::conflict(
                "changed-meanwhile",
                "a role or permission came into use while it was removed: plan again",
            ),
            SyncError::Store(StoreError::Full) => Self::disk_full(),
            SyncError::Store(StoreError::Unavailable(_)) => {
                Self::unavailable("the store cannot be written now")
            }
            SyncError::Store(_) => Self::internal(),
        }
    }
}

/// Everything that stands in the way of a plan. The caller holds the locks of [`services_of`].
pub(super) fn find(
    tx: &mut dyn Tx,
    rows: &LiveRows,
    manifest: &Manifest,
    plan: &Plan,
    allow_rollback: bool,
) -> Result<Vec<Conflict>, StoreError> {
    let mut conflicts = Vec::new();
    if let Some(live) = rows.live.version
        && manifest.version.is_none_or(|sent| sent < live)
        && !allow_rollback
    {
        conflicts.push(Conflict::NewerLive {
            live,
            sent: manifest.version,
        });
    }
    held_roles(tx, rows, plan, &mut conflicts)?;
    uses_by_others(tx, plan, &mut conflicts)?;
    foreign_permissions(tx, manifest, &mut conflicts)?;
    Ok(conflicts)
}

/// The services whose locks a sync takes, in the one order that cannot deadlock: its own and those
/// whose permissions its roles grant.
pub(super) fn services_of(manifest: &Manifest) -> BTreeSet<ServiceName> {
    let foreign = manifest.foreign_grants();
    foreign
        .into_iter()
        .map(|permission| permission.service.clone())
        .chain([manifest.service.clone()])
        .collect()
}

fn held_roles(
    tx: &mut dyn Tx,
    rows: &LiveRows,
    plan: &Plan,
    conflicts: &mut Vec<Conflict>,
) -> Result<(), StoreError> {
    for name in plan.roles.removed.keys() {
        let Some(id) = rows
            .role_ids
            .get(name)
            .filter(|_| !plan.moves.contains_key(name))
        else {
            continue;
        };
        let holders = roles::holders(tx, *id)?;
        if holders > 0 {
            conflicts.push(Conflict::RoleHeld {
                role: RoleKey {
                    service: plan.service.clone(),
                    name: name.clone(),
                },
                holders,
            });
        }
    }
    Ok(())
}

fn uses_by_others(
    tx: &mut dyn Tx,
    plan: &Plan,
    conflicts: &mut Vec<Conflict>,
) -> Result<(), StoreError> {
    let removed = &plan.permissions.removed;
    if removed.is_empty() && plan.grantable_by.removed.is_empty() {
        return Ok(());
    }
    for (role, permission) in permissions::granted_by_others(tx, &plan.service)? {
        if removed.contains_key(&permission) {
            conflicts.push(Conflict::PermissionGranted { permission, role });
        } else if plan.grantable_by.removed.contains(&role.service) {
            conflicts.push(Conflict::GranteeInUse { role, permission });
        }
    }
    if !removed.is_empty() {
        for (role, permission) in roles::given_by_permissions_of(tx, &plan.service)? {
            if removed.contains_key(&permission) {
                conflicts.push(Conflict::PermissionAssigns { permission, role });
            }
        }
    }
    Ok(())
}

fn foreign_permissions(
    tx: &mut dyn Tx,
    manifest: &Manifest,
    conflicts: &mut Vec<Conflict>,
) -> Result<(), StoreError> {
    let mut declared: BTreeMap<&ServiceName, BTreeSet<PermissionKey>> = BTreeMap::new();
    let mut allowed: BTreeMap<&ServiceName, bool> = BTreeMap::new();
    for key in manifest.foreign_grants() {
        if !allowed.contains_key(&key.service) {
            let rows = permissions::of_service(tx, &key.service)?;
            declared.insert(&key.service, rows.into_iter().map(|row| row.key).collect());
            let grantees = manifests::grantees(tx, &key.service)?;
            allowed.insert(&key.service, grantees.contains(&manifest.service));
        }
    }
    for (name, role) in &manifest.declared.roles {
        for permission in &role.permissions {
            if permission.service == manifest.service {
                continue;
            }
            if !declared
                .get(&permission.service)
                .is_some_and(|keys| keys.contains(permission))
            {
                conflicts.push(Conflict::UnknownPermission {
                    role: name.clone(),
                    field: "permissions",
                    permission: permission.clone(),
                });
            } else if allowed.get(&permission.service) != Some(&true) {
                conflicts.push(Conflict::NotGrantable {
                    role: name.clone(),
                    permission: permission.clone(),
                });
            }
        }
        let guard = &role.assignable_by;
        // The default is part of every build's `auth`; a fresh store may not have it yet.
        if guard.service != manifest.service
            && *guard != default_assignable_by()
            && permissions::find(tx, guard)?.is_none()
        {
            conflicts.push(Conflict::UnknownPermission {
                role: name.clone(),
                field: "assignable_by",
                permission: guard.clone(),
            });
        }
    }
    Ok(())
}
