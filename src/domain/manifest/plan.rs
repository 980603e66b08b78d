//! What a manifest would change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{PermissionKey, RoleName, Scope, ServiceName};

use super::canonical::{ContentHash, document};
use super::declaration::{Declaration, DeclaredPermission, DeclaredRole, Manifest};

/// What is live for a service before a sync.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The version of the manifest applied last.
    pub version: Option<i64>,
    /// Its content hash; `None` before the first sync.
    pub content_hash: Option<ContentHash>,
    /// What the rows say.
    pub declared: Declaration,
}

/// From one value to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(inline))]
pub struct Change<T> {
    /// What is live.
    pub from: T,
    /// What is wanted.
    pub to: T,
}

/// The difference between a service's live rows and a manifest. Its serialized form is what the API
/// shows; nothing in it depends on members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Plan {
    /// Whose manifest.
    pub service: ServiceName,
    /// From the live version to the manifest's.
    pub version: Change<Option<i64>>,
    /// Permissions that come, go or are described anew.
    pub permissions: PermissionChanges,
    /// Roles that come, go or change.
    pub roles: RoleChanges,
    /// Scopes that gain or lose permissions.
    pub scopes: BTreeMap<Scope, ScopeChange>,
    /// Services that may grant this one's permissions.
    pub grantable_by: ServiceChanges,
    /// Removed roles whose holders move to another.
    pub moves: BTreeMap<RoleName, RoleName>,
    /// What the author may not have meant. Nothing here stops an apply.
    pub warnings: Vec<Warning>,
}

/// Permissions that come, go or are described anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PermissionChanges {
    /// Declared for the first time.
    pub added: BTreeMap<PermissionKey, DeclaredPermission>,
    /// No longer declared.
    pub removed: BTreeMap<PermissionKey, DeclaredPermission>,
    /// Described anew, deprecated or no longer deprecated.
    pub changed: BTreeMap<PermissionKey, Change<DeclaredPermission>>,
}

/// Roles that come, go or change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RoleChanges {
    /// Declared for the first time.
    pub added: BTreeMap<RoleName, DeclaredRole>,
    /// No longer declared.
    pub removed: BTreeMap<RoleName, DeclaredRole>,
    /// Changed in any way.
    pub changed: BTreeMap<RoleName, RoleChange>,
}

/// How a role changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RoleChange {
    /// Described anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Change<Option<String>>>,
    /// Given by other members than before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignable_by: Option<Change<PermissionKey>>,
    /// Its removal announced, or the announcement taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Change<bool>>,
    /// Permissions it gains.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub granted: BTreeSet<PermissionKey>,
    /// Permissions it loses.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub withdrawn: BTreeSet<PermissionKey>,
}

impl RoleChange {
    fn between(live: &DeclaredRole, wanted: &DeclaredRole) -> Self {
        Self {
            description: change(&live.description, &wanted.description),
            assignable_by: change(&live.assignable_by, &wanted.assignable_by),
            deprecated: change(&live.deprecated, &wanted.deprecated),
            granted: difference(&wanted.permissions, &live.permissions),
            withdrawn: difference(&live.permissions, &wanted.permissions),
        }
    }

    /// Whether the role's own row changes, not only its grants.
    pub const fn changes_row(&self) -> bool {
        self.description.is_some() || self.assignable_by.is_some() || self.deprecated.is_some()
    }
}

/// How a scope changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ScopeChange {
    /// Permissions that tokens with the scope may use from now on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub granted: BTreeSet<PermissionKey>,
    /// Permissions they may no longer use.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub withdrawn: BTreeSet<PermissionKey>,
}

/// Services that come and go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ServiceChanges {
    /// New ones.
    pub added: BTreeSet<ServiceName>,
    /// Gone ones.
    pub removed: BTreeSet<ServiceName>,
}

/// Something the author may not have meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Warning {
    /// For programs: `removed-without-deprecation`, `grants-deprecated`, `version-reused`.
    pub code: Cow<'static, str>,
    /// For people.
    pub detail: String,
}

/// Names a plan and the state it starts from. An apply that carries it happens as planned or not
/// at all.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanHash([u8; 32]);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanHash({self})")
    }
}

/// The text is not a plan hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a plan hash: pass on the 64 hex digits that a dry run returned")]
pub struct InvalidPlanHash;

impl FromStr for PlanHash {
    type Err = InvalidPlanHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| InvalidPlanHash)?;
        Ok(Self(bytes.try_into().map_err(|_| InvalidPlanHash)?))
    }
}

impl Plan {
    /// Compares a manifest with what is live.
    pub fn new(live: &Live, manifest: &Manifest) -> Self {
        let (from, to) = (&live.declared, &manifest.declared);
        let permissions = PermissionChanges {
            added: only_in(&to.permissions, &from.permissions),
            removed: only_in(&from.permissions, &to.permissions),
            changed: in_both(&from.permissions, &to.permissions, |live, wanted| {
                (live != wanted).then(|| Change {
                    from: live.clone(),
                    to: wanted.clone(),
                })
            }),
        };
        let roles = RoleChanges {
            added: only_in(&to.roles, &from.roles),
            removed: only_in(&from.roles, &to.roles),
            changed: in_both(&from.roles, &to.roles, |live, wanted| {
                (live != wanted).then(|| RoleChange::between(live, wanted))
            }),
        };
        let moves = manifest
            .replaces
            .iter()
            .filter(|(old, _)| roles.removed.contains_key(*old))
            .map(|(old, new)| (old.clone(), new.clone()))
            .collect();
        let mut plan = Self {
            service: manifest.service.clone(),
            version: Change {
                from: live.version,
                to: manifest.version,
            },
            permissions,
            roles,
            scopes: scope_changes(&from.scopes, &to.scopes),
            grantable_by: ServiceChanges {
                added: difference(&to.grantable_by, &from.grantable_by),
                removed: difference(&from.grantable_by, &to.grantable_by),
            },
            moves,
            warnings: Vec::new(),
        };
        plan.warnings = warnings(&plan, live, manifest);
        plan
    }

    /// Whether no row that decides anything would change.
    pub fn is_empty(&self) -> bool {
        self.permissions == PermissionChanges::default()
            && self.roles == RoleChanges::default()
            && self.scopes.is_empty()
            && self.grantable_by == ServiceChanges::default()
    }

    /// The hash that binds an apply to this plan from this live state.
    pub fn hash(&self, live: &Live, manifest: &Manifest) -> PlanHash {
        let base = document(&self.service, live.version, &live.declared, BTreeMap::new());
        PlanHash(
            Sha256::new()
                .chain_update(b"doorward/plan/v1\0")
                .chain_update(Sha256::digest(base))
                .chain_update(manifest.content_hash().as_bytes())
                .finalize()
                .into(),
        )
    }
}

fn change<T: PartialEq + Clone>(live: &T, wanted: &T) -> Option<Change<T>> {
    (live != wanted).then(|| Change {
        from: live.clone(),
        to: wanted.clone(),
    })
}

fn difference<T: Ord + Clone>(left: &BTreeSet<T>, right: &BTreeSet<T>) -> BTreeSet<T> {
    left.difference(right).cloned().collect()
}

fn only_in<K: Ord + Clone, V: Clone>(
    left: &BTreeMap<K, V>,
    right: &BTreeMap<K, V>,
) -> BTreeMap<K, V> {
    left.iter()
        .filter(|(key, _)| !right.contains_key(*key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn in_both<K: Ord + Clone, V, C>(
    live: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    compare: impl Fn(&V, &V) -> Option<C>,
) -> BTreeMap<K, C> {
    live.iter()
        .filter_map(|(key, live)| {
            let change = compare(live, wanted.get(key)?)?;
            Some((key.clone(), change))
        })
        .collect()
}

fn scope_changes(
    live: &BTreeMap<Scope, BTreeSet<PermissionKey>>,
    wanted: &BTreeMap<Scope, BTreeSet<PermissionKey>>,
) -> BTreeMap<Scope, ScopeChange> {
    let none = BTreeSet::new();
    live.keys()
        .chain(wanted.keys())
        .filter_map(|scope| {
            let (from, to) = (
                live.get(scope).unwrap_or(&none),
                wanted.get(scope).unwrap_or(&none),
            );
            let change = ScopeChange {
                granted: difference(to, from),
                withdrawn: difference(from, to),
            };
            (change != ScopeChange::default()).then(|| (scope.clone(), change))
        })
        .collect()
}

fn warnings(plan: &Plan, live: &Live, manifest: &Manifest) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &'static str, detail: String| {
        warnings.push(Warning {
            code: Cow::Borrowed(code),
            detail,
        });
    };
    for (key, permission) in &plan.permissions.removed {
        if !permission.deprecated {
            warn(
                "removed-without-deprecation",
                format!("the permission `{key}` goes without having been deprecated"),
            );
        }
    }
    for (name, role) in &plan.roles.removed {
        if !role.deprecated && !plan.moves.contains_key(name) {
            warn(
                "removed-without-deprecation",
                format!("the role `{name}` goes without having been deprecated or replaced"),
            );
        }
    }
    for (name, role) in &manifest.declared.roles {
        let deprecated = role
            .permissions
            .iter()
            .filter(|key| {
                manifest
                    .declared
                    .permissions
                    .get(*key)
                    .is_some_and(|permission| permission.deprecated)
            })
            .count();
        if deprecated > 0 && !role.deprecated {
            warn(
                "grants-deprecated",
                format!("the role `{name}` grants {deprecated} deprecated permission(s)"),
            );
        }
    }
    if let (Some(version), true) = (manifest.version, live.version == manifest.version)
        && !plan.is_empty()
    {
        warn(
            "version-reused",
            format!(
                "version {version} is live with other content: a rolling deploy cannot tell the \
                 two apart"
            ),
        );
    }
    warnings
}
