//! Facts to policies: one static policy and one action group per role.
//!
//! `permit (principal in Role::"svc/name", action in Action::"role:svc/name", resource)
//! when { resource in principal.organization };` under the id `role:svc/name`. Ids are stable and
//! explicit, so an answer's reason means the same before and after a rebuild, and in the stock
//! Cedar CLI. A role's permissions are its action group's members: a change of them changes
//! entities, never policies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{EntityTypeName, EntityUid, Policy, PolicyId};

use crate::domain::manifest::Manifest;
use crate::domain::{PermissionId, PermissionKey, RoleId, RoleKey};

use super::entities;
use super::schema;

/// What services declared, as the store tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyFacts {
    /// Every role.
    pub roles: Vec<(RoleId, RoleKey)>,
    /// Every permission.
    pub permissions: Vec<(PermissionId, PermissionKey)>,
    /// Which role grants which permission. A pair whose role or permission is not listed grants
    /// nothing.
    pub grants: Vec<(RoleId, PermissionId)>,
}

impl PolicyFacts {
    /// What these manifests declare, each of another service. A permission of a service that is not
    /// among them counts as declared where a role grants it. Ids only tie the lists together.
    pub fn of_manifests<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Self {
        let mut permissions: BTreeSet<&PermissionKey> = BTreeSet::new();
        let mut roles: BTreeMap<RoleKey, &BTreeSet<PermissionKey>> = BTreeMap::new();
        for manifest in manifests {
            permissions.extend(manifest.declared.permissions.keys());
            for (name, role) in &manifest.declared.roles {
                permissions.extend(&role.permissions);
                let key = RoleKey {
                    service: manifest.service.clone(),
                    name: name.clone(),
                };
                roles.insert(key, &role.permissions);
            }
        }
        let mut facts = Self::default();
        let mut places: HashMap<&PermissionKey, PermissionId> = HashMap::new();
        for (number, key) in (1..).zip(permissions) {
            let id = PermissionId::from_u128(number);
            places.insert(key, id);
            facts.permissions.push((id, key.clone()));
        }
        for (number, (key, granted)) in (1..).zip(roles) {
            let id = RoleId::from_u128(number);
            facts.roles.push((id, key));
            let granted = granted.iter().filter_map(|key| places.get(key));
            facts
                .grants
                .extend(granted.map(|permission| (id, *permission)));
        }
        facts
    }
}

/// Why facts make no engine. The store's constraints rule all of these out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Two roles with one name.
    #[error("role `{0}` is declared twice")]
    DuplicateRole(RoleKey),
    /// Two roles with one id.
    #[error("two roles have the id `{0}`")]
    DuplicateRoleId(RoleId),
    /// Two permissions with one name.
    #[error("permission `{0}` is declared twice")]
    DuplicatePermission(PermissionKey),
    /// A role whose policy Cedar does not take.
    #[error("role `{role}` does not compile: {message}")]
    Role {
        /// The role.
        role: RoleKey,
        /// What Cedar says.
        message: String,
    },
    /// A resource type whose name Cedar does not take.
    #[error("resource type `{resource_type}` does not compile: {message}")]
    ResourceType {
        /// The type, as `service:resource`.
        resource_type: String,
        /// What Cedar says.
        message: String,
    },
    /// More roles or permissions than an index counts.
    #[error("too many roles or permissions")]
    TooMany,
}

/// A role, compiled. Depends on the role's name alone, so rebuilds share it.
pub(super) struct CompiledRole {
    pub(super) id: RoleId,
    pub(super) key: RoleKey,
    /// `role:svc/name`: the policy's id, and the id of the action group.
    pub(super) name: Arc<str>,
    pub(super) uid: EntityUid,
    pub(super) group: EntityUid,
    pub(super) policy: Policy,
}

/// A permission, compiled.
pub(super) struct CompiledAction {
    pub(super) key: PermissionKey,
    pub(super) uid: EntityUid,
    pub(super) resource_type: EntityTypeName,
    /// Roles that grant it, as sorted places in [`Compiled::roles`].
    pub(super) granting: Box<[u32]>,
}

/// All facts, compiled: roles by name, actions by name.
pub(super) struct Compiled {
    pub(super) roles: Box<[Arc<CompiledRole>]>,
    pub(super) role_index: HashMap<RoleId, u32, foldhash::fast::RandomState>,
    pub(super) actions: Box<[CompiledAction]>,
}

/// A policy's text for a role. A parameter of [`compile`], so that tests can plant a wrong one.
pub(super) type RoleText = fn(&RoleKey) -> String;

/// The one policy of a role.
pub(super) fn role_policy_text(role: &RoleKey) -> String {
    format!(
        "permit (principal in Role::\"{role}\", action in Action::\"role:{role}\", resource) \
         when {{ resource in principal.organization }};"
    )
}

/// Compiles facts, sharing the roles that `previous` already compiled.
pub(super) fn compile(
    facts: &PolicyFacts,
    previous: Option<&Compiled>,
    role_text: RoleText,
) -> Result<Compiled, BuildError> {
    let roles = compile_roles(facts, previous, role_text)?;
    let mut role_index =
        HashMap::with_capacity_and_hasher(roles.len(), foldhash::fast::RandomState::default());
    for (index, role) in (0..).zip(&roles) {
        if role_index.insert(role.id, index).is_some() {
            return Err(BuildError::DuplicateRoleId(role.id));
        }
    }
    let actions = compile_actions(facts, &role_index)?;
    Ok(Compiled {
        roles: roles.into(),
        role_index,
        actions: actions.into(),
    })
}

fn compile_roles(
    facts: &PolicyFacts,
    previous: Option<&Compiled>,
    role_text: RoleText,
) -> Result<Vec<Arc<CompiledRole>>, BuildError> {
    let mut declared: Vec<&(RoleId, RoleKey)> = facts.roles.iter().collect();
    declared.sort_unstable_by(|a, b| a.1.cmp(&b.1));
    let mut roles: Vec<Arc<CompiledRole>> = Vec::with_capacity(declared.len());
    for (id, key) in declared {
        if roles.last().is_some_and(|last| last.key == *key) {
            return Err(BuildError::DuplicateRole(key.clone()));
        }
        let known = previous.and_then(|compiled| {
            let index = *compiled.role_index.get(id)?;
            compiled.roles.get(index as usize)
        });
        roles.push(match known {
            Some(role) if role.key == *key => Arc::clone(role),
            _ => Arc::new(compile_role(*id, key, role_text)?),
        });
    }
    Ok(roles)
}

fn compile_role(
    id: RoleId,
    key: &RoleKey,
    role_text: RoleText,
) -> Result<CompiledRole, BuildError> {
    let name: Arc<str> = format!("role:{key}").into();
    let policy = Policy::parse(Some(PolicyId::new(&name)), role_text(key)).map_err(|source| {
        BuildError::Role {
            role: key.clone(),
            message: source.to_string(),
        }
    })?;
    Ok(CompiledRole {
        id,
        key: key.clone(),
        uid: entities::role(key),
        group: entities::action(&name),
        name,
        policy,
    })
}

fn compile_actions(
    facts: &PolicyFacts,
    role_index: &HashMap<RoleId, u32, foldhash::fast::RandomState>,
) -> Result<Vec<CompiledAction>, BuildError> {
    let mut granting: HashMap<PermissionId, Vec<u32>, foldhash::fast::RandomState> =
        HashMap::with_capacity_and_hasher(
            facts.permissions.len(),
            foldhash::fast::RandomState::default(),
        );
    for (role, permission) in &facts.grants {
        if let Some(index) = role_index.get(role) {
            granting.entry(*permission).or_default().push(*index);
        }
    }
    let mut declared: Vec<&(PermissionId, PermissionKey)> = facts.permissions.iter().collect();
    declared.sort_unstable_by(|a, b| a.1.cmp(&b.1));
    if u32::try_from(declared.len()).is_err() || u32::try_from(role_index.len()).is_err() {
        return Err(BuildError::TooMany);
    }
    let mut actions: Vec<CompiledAction> = Vec::with_capacity(declared.len());
    for (id, key) in declared {
        let resource_type = match actions.last() {
            Some(last) if last.key == *key => {
                return Err(BuildError::DuplicatePermission(key.clone()));
            }
            Some(last) if last.key.service == key.service && last.key.resource == key.resource => {
                last.resource_type.clone()
            }
            _ => resource_type(key)?,
        };
        let mut granting = granting.remove(id).unwrap_or_default();
        granting.sort_unstable();
        granting.dedup();
        actions.push(CompiledAction {
            uid: entities::action(&key.to_string()),
            key: key.clone(),
            resource_type,
            granting: granting.into(),
        });
    }
    Ok(actions)
}

fn resource_type(key: &PermissionKey) -> Result<EntityTypeName, BuildError> {
    schema::resource_type_name(key.service.as_str(), key.resource.as_str())
        .parse()
        .map_err(
            |source: cedar_policy::ParseErrors| BuildError::ResourceType {
                resource_type: format!("{}:{}", key.service, key.resource),
                message: source.to_string(),
            },
        )
}
