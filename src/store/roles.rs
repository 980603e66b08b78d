//! Rows of roles, of what they grant, and of who holds them.

use crate::domain::role::Role;
use crate::domain::{
    OrganizationId, PermissionId, PermissionKey, RoleId, RoleKey, RoleName, ServiceName, Timestamp,
    UserId,
};

use super::{Row, StoreError, Tx, Val, batch, permissions};

const COLUMNS: &str =
    "id, service, name, description, assignable_by, deprecated, created_at, updated_at";

fn read(row: &Row) -> Result<Role, StoreError> {
    Ok(Role {
        id: RoleId::from_uuid(row.uuid(0)?),
        key: RoleKey {
            service: row.parse(1)?,
            name: row.parse(2)?,
        },
        description: row.optional_text(3)?.map(str::to_owned),
        assignable_by: row.parse(4)?,
        deprecated: row.bool(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
    })
}

/// A service's roles.
pub fn of_service(tx: &mut dyn Tx, service: &ServiceName) -> Result<Vec<Role>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM roles WHERE service = ?1");
    tx.rows(&sql, &[service.into()])?.iter().map(read).collect()
}

/// A role by its names.
pub fn find(tx: &mut dyn Tx, key: &RoleKey) -> Result<Option<Role>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM roles WHERE service = ?1 AND name = ?2");
    let rows = tx.rows(&sql, &[(&key.service).into(), (&key.name).into()])?;
    rows.first().map(read).transpose()
}

/// A role by its id.
pub fn find_by_id(tx: &mut dyn Tx, id: RoleId) -> Result<Option<Role>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM roles WHERE id = ?1");
    tx.rows(&sql, &[id.into()])?.first().map(read).transpose()
}

/// A page of a service's roles in order of name.
pub fn page(
    tx: &mut dyn Tx,
    service: &ServiceName,
    after: Option<&RoleName>,
    limit: u32,
) -> Result<Vec<Role>, StoreError> {
    let mut params: Vec<Val> = vec![service.into(), i64::from(limit).into()];
    let mut beyond = "";
    if let Some(name) = after {
        beyond = "AND name > ?3";
        params.push(name.into());
    }
    let sql =
        format!("SELECT {COLUMNS} FROM roles WHERE service = ?1 {beyond} ORDER BY name LIMIT ?2");
    tx.rows(&sql, &params)?.iter().map(read).collect()
}

/// Adds roles, without grants.
pub fn insert(tx: &mut dyn Tx, roles: &[Role]) -> Result<(), StoreError> {
    let rows = roles.iter().map(|role| {
        [
            role.id.into(),
            (&role.key.service).into(),
            (&role.key.name).into(),
            role.description.clone().into(),
            (&role.assignable_by).into(),
            role.deprecated.into(),
            role.created_at.into(),
            role.updated_at.into(),
        ]
    });
    let columns = [
        "id",
        "service",
        "name",
        "description",
        "assignable_by",
        "deprecated",
        "created_at",
        "updated_at",
    ];
    batch::insert(tx, "roles", columns, rows)
}

/// Describes a role anew. Its grants stay.
pub fn update(
    tx: &mut dyn Tx,
    id: RoleId,
    description: Option<&str>,
    assignable_by: &PermissionKey,
    deprecated: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE roles SET description = ?2, assignable_by = ?3, deprecated = ?4, updated_at = ?5 \
         WHERE id = ?1",
        &[
            id.into(),
            description.into(),
            assignable_by.into(),
            deprecated.into(),
            now.into(),
        ],
    )?;
    Ok(())
}

/// Removes roles and their grants.
///
/// # Errors
///
/// [`StoreError::ForeignKey`] when a member holds one.
pub fn delete(tx: &mut dyn Tx, ids: &[RoleId]) -> Result<(), StoreError> {
    let ids = || ids.iter().map(|id| Val::from(*id));
    batch::exec_in(
        tx,
        "DELETE FROM role_permissions WHERE role_id IN",
        &[],
        ids(),
    )?;
    batch::exec_in(tx, "DELETE FROM roles WHERE id IN", &[], ids())?;
    Ok(())
}

/// What a service's roles grant, in no order.
pub fn grants_of_service(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<Vec<(RoleId, PermissionId)>, StoreError> {
    let rows = tx.rows(
        "SELECT rp.role_id, rp.permission_id FROM roles r \
         JOIN role_permissions rp ON rp.role_id = r.id WHERE r.service = ?1",
        &[service.into()],
    )?;
    read_grants(&rows)
}

/// What other services' roles grant of these permissions.
pub fn grants_of_others(
    tx: &mut dyn Tx,
    service: &ServiceName,
    permissions: impl IntoIterator<Item = PermissionId>,
) -> Result<Vec<(RoleId, PermissionId)>, StoreError> {
    let rows = batch::rows_in(
        tx,
        "SELECT rp.role_id, rp.permission_id FROM role_permissions rp \
         JOIN roles r ON r.id = rp.role_id WHERE r.service <> ?1 AND rp.permission_id IN",
        &[service.into()],
        permissions.into_iter().map(Val::from),
    )?;
    read_grants(&rows)
}

fn read_grants(rows: &[Row]) -> Result<Vec<(RoleId, PermissionId)>, StoreError> {
    rows.iter()
        .map(|row| {
            Ok((
                RoleId::from_uuid(row.uuid(0)?),
                PermissionId::from_uuid(row.uuid(1)?),
            ))
        })
        .collect()
}

/// What one role grants, in order.
pub fn permissions_of(tx: &mut dyn Tx, role: RoleId) -> Result<Vec<PermissionKey>, StoreError> {
    let rows = tx.rows(
        "SELECT p.service, p.resource, p.action FROM role_permissions rp \
         JOIN permissions p ON p.id = rp.permission_id WHERE rp.role_id = ?1 \
         ORDER BY p.service, p.resource, p.action",
        &[role.into()],
    )?;
    rows.iter()
        .map(|row| permissions::read_key(row, 0))
        .collect()
}

/// Permissions of other services that a service's roles grant.
pub fn foreign_permissions(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<Vec<(PermissionId, PermissionKey)>, StoreError> {
    let rows = tx.rows(
        "SELECT DISTINCT p.id, p.service, p.resource, p.action FROM roles r \
         JOIN role_permissions rp ON rp.role_id = r.id \
         JOIN permissions p ON p.id = rp.permission_id \
         WHERE r.service = ?1 AND p.service <> ?1",
        &[service.into()],
    )?;
    rows.iter()
        .map(|row| {
            let id = PermissionId::from_uuid(row.uuid(0)?);
            Ok((id, permissions::read_key(row, 1)?))
        })
        .collect()
}

/// Lets roles grant permissions.
pub fn grant(
    tx: &mut dyn Tx,
    grants: impl IntoIterator<Item = (RoleId, PermissionId)>,
) -> Result<(), StoreError> {
    let rows = grants
        .into_iter()
        .map(|(role, permission)| [role.into(), permission.into()]);
    batch::insert(tx, "role_permissions", ["role_id", "permission_id"], rows)
}

/// Takes permissions from a role.
pub fn withdraw(
    tx: &mut dyn Tx,
    role: RoleId,
    permissions: impl IntoIterator<Item = PermissionId>,
) -> Result<(), StoreError> {
    batch::exec_in(
        tx,
        "DELETE FROM role_permissions WHERE role_id = ?1 AND permission_id IN",
        &[role.into()],
        permissions.into_iter().map(Val::from),
    )?;
    Ok(())
}

/// Roles of other services that are given by a permission of this one.
pub fn given_by_permissions_of(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<Vec<(RoleKey, PermissionKey)>, StoreError> {
    // A service's name holds neither `%` nor `_`.
    let rows = tx.rows(
        "SELECT service, name, assignable_by FROM roles \
         WHERE service <> ?1 AND assignable_by LIKE ?2 ORDER BY service, name",
        &[service.into(), format!("{service}:%").into()],
    )?;
    rows.iter()
        .map(|row| {
            let role = RoleKey {
                service: row.parse(0)?,
                name: row.parse(1)?,
            };
            Ok((role, row.parse(2)?))
        })
        .collect()
}

/// How many members hold a role, as their primary or as a further one.
pub fn holders(tx: &mut dyn Tx, role: RoleId) -> Result<u64, StoreError> {
    let mut holders = 0;
    for table in ["organization_members", "organization_member_roles"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE role_id = ?1");
        if let Some(row) = tx.rows(&sql, &[role.into()])?.first() {
            holders += u64::try_from(row.int(0)?).unwrap_or(0);
        }
    }
    Ok(holders)
}

/// Gives every holder of `from` the role `to` in its place. A member who holds both keeps `to` once.
pub fn move_holders(
    tx: &mut dyn Tx,
    from: RoleId,
    to: RoleId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let pair = [from.into(), to.into()];
    // Whose primary role becomes `to` need not hold it as a further one.
    tx.exec(
        "DELETE FROM organization_member_roles WHERE role_id = ?2 AND EXISTS ( \
             SELECT 1 FROM organization_members m \
             WHERE m.organization_id = organization_member_roles.organization_id \
             AND m.user_id = organization_member_roles.user_id AND m.role_id = ?1)",
        &pair,
    )?;
    tx.exec(
        "UPDATE organization_members SET role_id = ?2, updated_at = ?3 WHERE role_id = ?1",
        &[from.into(), to.into(), now.into()],
    )?;
    // `to` comes from a row, not from a parameter: in a select list its type would be a guess.
    tx.exec(
        "INSERT INTO organization_member_roles (organization_id, user_id, role_id, created_at) \
         SELECT f.organization_id, f.user_id, r.id, f.created_at \
         FROM organization_member_roles f JOIN roles r ON r.id = ?2 \
         JOIN organization_members m \
             ON m.organization_id = f.organization_id AND m.user_id = f.user_id \
         WHERE f.role_id = ?1 AND m.role_id <> ?2 AND NOT EXISTS ( \
             SELECT 1 FROM organization_member_roles g WHERE g.role_id = ?2 \
             AND g.organization_id = f.organization_id AND g.user_id = f.user_id)",
        &pair,
    )?;
    tx.exec(
        "DELETE FROM organization_member_roles WHERE role_id = ?1",
        &[from.into()],
    )?;
    Ok(())
}

/// A member with every role held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Of which organization.
    pub organization: OrganizationId,
    /// Which user.
    pub user: UserId,
    /// The primary role first.
    pub roles: Vec<RoleId>,
}

/// A page of all members in order of organization and user.
pub fn holdings(
    tx: &mut dyn Tx,
    after: Option<(OrganizationId, UserId)>,
    limit: u32,
) -> Result<Vec<Holding>, StoreError> {
    const KEY: &str = "(organization_id, user_id)";
    const SELECT: &str = "SELECT organization_id, user_id, role_id FROM";
    const ORDER: &str = "ORDER BY organization_id, user_id";
    let from = after.unwrap_or((OrganizationId::from_u128(0), UserId::from_u128(0)));
    let rows = tx.rows(
        &format!("{SELECT} organization_members WHERE {KEY} > (?1, ?2) {ORDER} LIMIT ?3"),
        &[from.0.into(), from.1.into(), i64::from(limit).into()],
    )?;
    let mut members = rows
        .iter()
        .map(read_holding)
        .collect::<Result<Vec<_>, _>>()?;
    let Some(last) = members.last().map(|last| (last.organization, last.user)) else {
        return Ok(members);
    };
    let further = tx.rows(
        &format!(
            "{SELECT} organization_member_roles \
             WHERE {KEY} > (?1, ?2) AND {KEY} <= (?3, ?4) {ORDER}, role_id"
        ),
        &[from.0.into(), from.1.into(), last.0.into(), last.1.into()],
    )?;
    // Both lists are in the same order, and every further role has its member in the first.
    let mut at = members.iter_mut().peekable();
    for row in &further {
        let further = read_holding(row)?;
        let is_hers = |member: &&mut Holding| {
            (member.organization, member.user) == (further.organization, further.user)
        };
        while at.next_if(|member| !is_hers(member)).is_some() {}
        if let Some(member) = at.peek_mut() {
            member.roles.extend(further.roles);
        }
    }
    Ok(members)
}

fn read_holding(row: &Row) -> Result<Holding, StoreError> {
    Ok(Holding {
        organization: OrganizationId::from_uuid(row.uuid(0)?),
        user: UserId::from_uuid(row.uuid(1)?),
        roles: vec![RoleId::from_uuid(row.uuid(2)?)],
    })
}
