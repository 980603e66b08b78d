//! Carrying out a plan: only the rows that differ, in one transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::json;

use crate::domain::manifest::{Manifest, Plan, PlanHash};
use crate::domain::permission::Permission;
use crate::domain::role::Role;
use crate::domain::{
    PermissionId, PermissionKey, ResourceName, RoleId, RoleKey, RoleName, Scope, Timestamp,
};
use crate::runtime::{Clock, Entropy};
use crate::store::audit::{self, AuditEntry};
use crate::store::{
    Lock, Store, StoreError, Tx, Written, instances, manifests, permissions, roles,
};

use super::conflict::{self, Conflict, SyncError};
use super::live::LiveRows;

/// A manifest to apply, and how.
#[derive(Debug, Clone)]
pub struct Sync {
    /// What is to be.
    pub manifest: Manifest,
    /// Apply exactly the plan that a dry run showed, or nothing.
    pub bound_to: Option<PlanHash>,
    /// Let an older version replace a newer one.
    pub allow_rollback: bool,
    /// Who asks, as the audit log names it.
    pub applied_by: String,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The changes that were made; empty when the manifest was live already.
    pub plan: Plan,
}

/// [`apply_in`] in a transaction of its own.
pub async fn apply(
    store: &Store,
    clock: &dyn Clock,
    entropy: Arc<dyn Entropy>,
    sync: Sync,
) -> Result<Written<Applied>, SyncError> {
    let now = clock.now();
    store
        .write(move |tx| apply_in(tx, &sync, now, &*entropy))
        .await
}

/// Makes the service's rows say what the manifest declares. Identical content touches no row.
///
/// Ids are minted inside the transaction: how many are needed is known only here, nobody sees them
/// before the commit, and a second run of the closure may mint others.
///
/// # Errors
///
/// [`SyncError::Conflicts`] and [`SyncError::PlanChanged`]; nothing is written then.
pub fn apply_in(
    tx: &mut dyn Tx,
    sync: &Sync,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Applied, SyncError> {
    let manifest = &sync.manifest;
    for service in conflict::services_of(manifest) {
        tx.lock(Lock::Service(service))?;
    }
    let content_hash = manifest.content_hash();
    let rows = LiveRows::load(tx, &manifest.service)?;
    let plan = Plan::new(&rows.live, manifest);
    // A retry of an apply that went through must not fail for its plan having been carried out.
    if rows.live.content_hash == Some(content_hash) && plan.is_empty() {
        return Ok(Applied { plan });
    }
    let hash = plan.hash(&rows.live, manifest);
    if sync.bound_to.is_some_and(|bound| bound != hash) {
        return Err(SyncError::PlanChanged { now: hash });
    }
    let conflicts: Vec<Conflict> = conflict::find(tx, &rows, manifest, &plan, sync.allow_rollback)?;
    if !conflicts.is_empty() {
        return Err(SyncError::Conflicts(conflicts));
    }
    Writer {
        tx,
        manifest,
        plan: &plan,
        permission_ids: rows.permission_ids,
        role_ids: rows.role_ids,
        now,
        entropy,
    }
    .write()?;
    let applied = manifests::Applied {
        service: manifest.service.clone(),
        version: manifest.version,
        content_hash,
        applied_at: now,
        applied_by: sync.applied_by.clone(),
    };
    manifests::put(tx, &applied, manifest.canonical_json())?;
    audit::record(tx, &entry(sync, &plan, now, entropy))?;
    Ok(Applied { plan })
}

fn entry(sync: &Sync, plan: &Plan, now: Timestamp, entropy: &dyn Entropy) -> AuditEntry {
    AuditEntry {
        id: uuid::Builder::from_unix_timestamp_millis(now.unix_millis(), &entropy.id_bits())
            .into_uuid(),
        at: now,
        actor: sync.applied_by.clone(),
        event: "manifest.applied",
        organization: None,
        target: Some(format!("service:{}", plan.service)),
        details: json!({
            "version": plan.version,
            "content_hash": sync.manifest.content_hash().to_string(),
            "permissions": {
                "added": plan.permissions.added.len(),
                "removed": plan.permissions.removed.len(),
                "changed": plan.permissions.changed.len(),
            },
            "roles": {
                "added": plan.roles.added.keys().collect::<Vec<_>>(),
                "removed": plan.roles.removed.keys().collect::<Vec<_>>(),
                "changed": plan.roles.changed.keys().collect::<Vec<_>>(),
            },
            "moves": plan.moves,
        }),
    }
}

struct Writer<'a> {
    tx: &'a mut dyn Tx,
    manifest: &'a Manifest,
    plan: &'a Plan,
    permission_ids: HashMap<PermissionKey, PermissionId>,
    role_ids: HashMap<RoleName, RoleId>,
    now: Timestamp,
    entropy: &'a dyn Entropy,
}

impl Writer<'_> {
    /// What comes is there before it is referred to; what goes is no longer referred to.
    fn write(mut self) -> Result<(), StoreError> {
        self.load_foreign_ids()?;
        self.put_permissions()?;
        self.put_roles()?;
        self.change_grants()?;
        self.move_holders()?;
        self.change_scopes()?;
        self.remove()?;
        let service = &self.manifest.service;
        manifests::add_grantees(self.tx, service, &self.plan.grantable_by.added)?;
        manifests::remove_grantees(self.tx, service, &self.plan.grantable_by.removed)
    }

    fn load_foreign_ids(&mut self) -> Result<(), StoreError> {
        for service in conflict::services_of(self.manifest) {
            if service == self.manifest.service {
                continue;
            }
            let rows = permissions::of_service(self.tx, &service)?;
            self.permission_ids
                .extend(rows.into_iter().map(|row| (row.key, row.id)));
        }
        Ok(())
    }

    fn put_permissions(&mut self) -> Result<(), StoreError> {
        let added: Vec<Permission> = (self.plan.permissions.added.iter())
            .map(|(key, permission)| Permission {
                id: PermissionId::mint(self.now, self.entropy.id_bits()),
                key: key.clone(),
                description: permission.description.clone(),
                deprecated: permission.deprecated,
            })
            .collect();
        permissions::insert(self.tx, &added)?;
        self.permission_ids
            .extend(added.into_iter().map(|row| (row.key, row.id)));
        for (key, change) in &self.plan.permissions.changed {
            let id = permission_id(&self.permission_ids, key)?;
            let to = &change.to;
            permissions::update(self.tx, id, to.description.as_deref(), to.deprecated)?;
        }
        Ok(())
    }

    fn put_roles(&mut self) -> Result<(), StoreError> {
        let added: Vec<Role> = (self.plan.roles.added.iter())
            .map(|(name, role)| Role {
                id: RoleId::mint(self.now, self.entropy.id_bits()),
                key: RoleKey {
                    service: self.manifest.service.clone(),
                    name: name.clone(),
                },
                description: role.description.clone(),
                assignable_by: role.assignable_by.clone(),
                deprecated: role.deprecated,
                created_at: self.now,
                updated_at: self.now,
            })
            .collect();
        roles::insert(self.tx, &added)?;
        self.role_ids
            .extend(added.into_iter().map(|row| (row.key.name, row.id)));
        let declared = &self.manifest.declared.roles;
        for (name, change) in &self.plan.roles.changed {
            if let (true, Some(role)) = (change.changes_row(), declared.get(name)) {
                let id = role_id(&self.role_ids, name)?;
                roles::update(
                    self.tx,
                    id,
                    role.description.as_deref(),
                    &role.assignable_by,
                    role.deprecated,
                    self.now,
                )?;
            }
        }
        Ok(())
    }

    fn change_grants(&mut self) -> Result<(), StoreError> {
        let mut granted = Vec::new();
        for (name, role) in &self.plan.roles.added {
            let role_id = role_id(&self.role_ids, name)?;
            for key in &role.permissions {
                granted.push((role_id, permission_id(&self.permission_ids, key)?));
            }
        }
        for (name, change) in &self.plan.roles.changed {
            let role_id = role_id(&self.role_ids, name)?;
            for key in &change.granted {
                granted.push((role_id, permission_id(&self.permission_ids, key)?));
            }
            let withdrawn = ids(&self.permission_ids, &change.withdrawn)?;
            roles::withdraw(self.tx, role_id, withdrawn)?;
        }
        roles::grant(self.tx, granted)
    }

    fn move_holders(&mut self) -> Result<(), StoreError> {
        for (old, new) in &self.plan.moves {
            let (from, to) = (role_id(&self.role_ids, old)?, role_id(&self.role_ids, new)?);
            roles::move_holders(self.tx, from, to, self.now)?;
        }
        Ok(())
    }

    fn change_scopes(&mut self) -> Result<(), StoreError> {
        let mut granted: Vec<(Scope, PermissionId)> = Vec::new();
        for (scope, change) in &self.plan.scopes {
            for key in &change.granted {
                granted.push((scope.clone(), permission_id(&self.permission_ids, key)?));
            }
            let withdrawn = ids(&self.permission_ids, &change.withdrawn)?;
            permissions::remove_from_scope(self.tx, scope, withdrawn)?;
        }
        permissions::add_to_scopes(self.tx, granted)
    }

    fn remove(&mut self) -> Result<(), StoreError> {
        let removed: Vec<RoleId> = (self.plan.roles.removed.keys())
            .map(|name| role_id(&self.role_ids, name))
            .collect::<Result<_, _>>()?;
        roles::delete(self.tx, &removed)?;
        let removed = ids(&self.permission_ids, self.plan.permissions.removed.keys())?;
        permissions::delete(self.tx, removed)?;
        self.remove_instances()
    }

    /// Instances go with the last permission that names their resource.
    fn remove_instances(&mut self) -> Result<(), StoreError> {
        let service = &self.manifest.service;
        let removed = self.plan.permissions.removed.keys();
        let gone: BTreeSet<&ResourceName> = removed.map(|key| &key.resource).collect();
        let declared = &self.manifest.declared.permissions;
        for resource in gone {
            if !declared.keys().any(|key| key.resource == *resource) {
                instances::delete_all_of(self.tx, service, resource)?;
            }
        }
        Ok(())
    }
}

fn ids<'k>(
    known: &HashMap<PermissionKey, PermissionId>,
    keys: impl IntoIterator<Item = &'k PermissionKey>,
) -> Result<Vec<PermissionId>, StoreError> {
    keys.into_iter()
        .map(|key| permission_id(known, key))
        .collect()
}

fn permission_id(
    known: &HashMap<PermissionKey, PermissionId>,
    key: &PermissionKey,
) -> Result<PermissionId, StoreError> {
    known
        .get(key)
        .copied()
        .ok_or_else(|| StoreError::Other(format!("the permission `{key}` has no row")))
}

fn role_id(known: &HashMap<RoleName, RoleId>, name: &RoleName) -> Result<RoleId, StoreError> {
    known
        .get(name)
        .copied()
        .ok_or_else(|| StoreError::Other(format!("the role `{name}` has no row")))
}
