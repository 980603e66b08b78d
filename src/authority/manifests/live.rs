//! A service's live rows, with the ids that the pure plan does without.

use std::collections::HashMap;

use crate::domain::manifest::{Declaration, DeclaredPermission, DeclaredRole, Live};
use crate::domain::{PermissionId, PermissionKey, RoleId, RoleName, ServiceName};
use crate::store::{StoreError, Tx, manifests, permissions, roles};

/// What the store says of a service.
#[derive(Debug)]
pub(super) struct LiveRows {
    /// As the plan compares it.
    pub(super) live: Live,
    /// Ids of the service's permissions, and of other services' that its roles grant.
    pub(super) permission_ids: HashMap<PermissionKey, PermissionId>,
    /// Ids of the service's roles.
    pub(super) role_ids: HashMap<RoleName, RoleId>,
}

impl LiveRows {
    /// Reads everything. The caller holds the service's lock if it means to write.
    pub(super) fn load(tx: &mut dyn Tx, service: &ServiceName) -> Result<Self, StoreError> {
        let applied = manifests::find(tx, service)?;
        let mut declared = Declaration::default();
        let mut keys = HashMap::new();
        for row in permissions::of_service(tx, service)? {
            keys.insert(row.id, row.key.clone());
            let permission = DeclaredPermission {
                description: row.description,
                deprecated: row.deprecated,
            };
            declared.permissions.insert(row.key, permission);
        }
        keys.extend(roles::foreign_permissions(tx, service)?);
        let (role_ids, roles) = Self::roles(tx, service, &keys)?;
        declared.roles = roles;
        for (scope, id) in permissions::scopes_of_service(tx, service)? {
            if let Some(key) = keys.get(&id) {
                declared
                    .scopes
                    .entry(scope)
                    .or_default()
                    .insert(key.clone());
            }
        }
        declared.grantable_by = manifests::grantees(tx, service)?;
        Ok(Self {
            live: Live {
                version: applied.as_ref().and_then(|applied| applied.version),
                content_hash: applied.map(|applied| applied.content_hash),
                declared,
            },
            permission_ids: keys.into_iter().map(|(id, key)| (key, id)).collect(),
            role_ids,
        })
    }

    #[expect(
        clippy::type_complexity,
        reason = "two maps by the same names, used once"
    )]
    fn roles(
        tx: &mut dyn Tx,
        service: &ServiceName,
        keys: &HashMap<PermissionId, PermissionKey>,
    ) -> Result<
        (
            HashMap<RoleName, RoleId>,
            std::collections::BTreeMap<RoleName, DeclaredRole>,
        ),
        StoreError,
    > {
        let mut ids = HashMap::new();
        let mut by_id = HashMap::new();
        for role in roles::of_service(tx, service)? {
            ids.insert(role.key.name.clone(), role.id);
            let declared = DeclaredRole {
                description: role.description,
                assignable_by: role.assignable_by,
                deprecated: role.deprecated,
                ..DeclaredRole::default()
            };
            by_id.insert(role.id, (role.key.name, declared));
        }
        for (role, permission) in roles::grants_of_service(tx, service)? {
            if let (Some((_, role)), Some(key)) = (by_id.get_mut(&role), keys.get(&permission)) {
                role.permissions.insert(key.clone());
            }
        }
        Ok((ids, by_id.into_values().collect()))
    }
}
