//! Rows of permissions and of the scopes that name them.

use std::collections::BTreeSet;

use crate::domain::permission::Permission;
use crate::domain::{
    ActionName, PermissionId, PermissionKey, ResourceName, RoleKey, Scope, ServiceName,
};

use super::{Row, StoreError, Tx, Val, batch};

const COLUMNS: &str = "id, service, resource, action, description, deprecated";

fn read(row: &Row) -> Result<Permission, StoreError> {
    Ok(Permission {
        id: PermissionId::from_uuid(row.uuid(0)?),
        key: read_key(row, 1)?,
        description: row.optional_text(4)?.map(str::to_owned),
        deprecated: row.bool(5)?,
    })
}

/// Three columns from `first` on: service, resource, action.
pub(super) fn read_key(row: &Row, first: usize) -> Result<PermissionKey, StoreError> {
    Ok(PermissionKey {
        service: row.parse(first)?,
        resource: row.parse(first + 1)?,
        action: row.parse(first + 2)?,
    })
}

/// A service's permissions.
pub fn of_service(tx: &mut dyn Tx, service: &ServiceName) -> Result<Vec<Permission>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM permissions WHERE service = ?1");
    tx.rows(&sql, &[service.into()])?.iter().map(read).collect()
}

/// One permission, if any service declares it.
pub fn find(tx: &mut dyn Tx, key: &PermissionKey) -> Result<Option<Permission>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM permissions WHERE service = ?1 AND resource = ?2 AND action = ?3"
    );
    let params = [
        (&key.service).into(),
        (&key.resource).into(),
        (&key.action).into(),
    ];
    tx.rows(&sql, &params)?.first().map(read).transpose()
}

/// The resources that a service's permissions are about.
pub fn resources(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<BTreeSet<ResourceName>, StoreError> {
    let rows = tx.rows(
        "SELECT DISTINCT resource FROM permissions WHERE service = ?1",
        &[service.into()],
    )?;
    rows.iter().map(|row| row.parse(0)).collect()
}

/// A page of a service's permissions in order of resource and action.
pub fn page(
    tx: &mut dyn Tx,
    service: &ServiceName,
    after: Option<(&ResourceName, &ActionName)>,
    limit: u32,
) -> Result<Vec<Permission>, StoreError> {
    let mut params: Vec<Val> = vec![service.into(), i64::from(limit).into()];
    let mut beyond = "";
    if let Some((resource, action)) = after {
        beyond = "AND (resource, action) > (?3, ?4)";
        params.extend([resource.into(), action.into()]);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM permissions WHERE service = ?1 {beyond} \
         ORDER BY resource, action LIMIT ?2"
    );
    tx.rows(&sql, &params)?.iter().map(read).collect()
}

/// Adds permissions.
pub fn insert(tx: &mut dyn Tx, permissions: &[Permission]) -> Result<(), StoreError> {
    let rows = permissions.iter().map(|permission| {
        [
            permission.id.into(),
            (&permission.key.service).into(),
            (&permission.key.resource).into(),
            (&permission.key.action).into(),
            permission.description.clone().into(),
            permission.deprecated.into(),
        ]
    });
    let columns = [
        "id",
        "service",
        "resource",
        "action",
        "description",
        "deprecated",
    ];
    batch::insert(tx, "permissions", columns, rows)
}

/// Describes a permission anew.
pub fn update(
    tx: &mut dyn Tx,
    id: PermissionId,
    description: Option<&str>,
    deprecated: bool,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE permissions SET description = ?2, deprecated = ?3 WHERE id = ?1",
        &[id.into(), description.into(), deprecated.into()],
    )?;
    Ok(())
}

/// Removes permissions. What still grants them loses them.
pub fn delete(
    tx: &mut dyn Tx,
    ids: impl IntoIterator<Item = PermissionId>,
) -> Result<(), StoreError> {
    let ids = ids.into_iter().map(Val::from);
    batch::exec_in(tx, "DELETE FROM permissions WHERE id IN", &[], ids)?;
    Ok(())
}

/// Roles of other services that grant this service's permissions.
pub fn granted_by_others(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<Vec<(RoleKey, PermissionKey)>, StoreError> {
    let rows = tx.rows(
        "SELECT r.service, r.name, p.service, p.resource, p.action \
         FROM permissions p \
         JOIN role_permissions rp ON rp.permission_id = p.id \
         JOIN roles r ON r.id = rp.role_id \
         WHERE p.service = ?1 AND r.service <> ?1 \
         ORDER BY r.service, r.name, p.resource, p.action",
        &[service.into()],
    )?;
    rows.iter()
        .map(|row| {
            let role = RoleKey {
                service: row.parse(0)?,
                name: row.parse(1)?,
            };
            Ok((role, read_key(row, 2)?))
        })
        .collect()
}

/// Which of a service's permissions each scope names.
pub fn scopes_of_service(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<Vec<(Scope, PermissionId)>, StoreError> {
    let rows = tx.rows(
        "SELECT s.scope, s.permission_id FROM scope_permissions s \
         JOIN permissions p ON p.id = s.permission_id WHERE p.service = ?1",
        &[service.into()],
    )?;
    rows.iter()
        .map(|row| Ok((row.parse(0)?, PermissionId::from_uuid(row.uuid(1)?))))
        .collect()
}

/// Lets tokens with a scope use permissions.
pub fn add_to_scopes(
    tx: &mut dyn Tx,
    added: impl IntoIterator<Item = (Scope, PermissionId)>,
) -> Result<(), StoreError> {
    let rows = added
        .into_iter()
        .map(|(scope, id)| [scope.as_str().into(), id.into()]);
    batch::insert(tx, "scope_permissions", ["scope", "permission_id"], rows)
}

/// Takes permissions out of a scope.
pub fn remove_from_scope(
    tx: &mut dyn Tx,
    scope: &Scope,
    ids: impl IntoIterator<Item = PermissionId>,
) -> Result<(), StoreError> {
    batch::exec_in(
        tx,
        "DELETE FROM scope_permissions WHERE scope = ?1 AND permission_id IN",
        &[scope.as_str().into()],
        ids.into_iter().map(Val::from),
    )?;
    Ok(())
}
