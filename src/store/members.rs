//! Rows of members and of their further roles.

use std::collections::BTreeMap;

use crate::domain::member::Member;
use crate::domain::{MemberId, OrganizationId, PermissionKey, RoleId, RoleKey, Timestamp, UserId};

use super::{Row, StoreError, Tx, Val};

const COLUMNS: &str = "m.id, m.organization_id, m.user_id, m.role_id, m.created_at, m.updated_at";

fn from_row(row: &Row) -> Result<Member, StoreError> {
    Ok(Member {
        id: MemberId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        user_id: UserId::from_uuid(row.uuid(2)?),
        role_id: RoleId::from_uuid(row.uuid(3)?),
        further_role_ids: Vec::new(),
        created_at: row.time(4)?,
        updated_at: row.time(5)?,
    })
}

/// The user's membership of the organization, with every role.
pub fn find(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<Member>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM organization_members m \
         WHERE m.organization_id = ?1 AND m.user_id = ?2"
    );
    let rows = tx.rows(&sql, &[organization.into(), user.into()])?;
    let Some(mut member) = rows.first().map(from_row).transpose()? else {
        return Ok(None);
    };
    let further = tx.rows(
        "SELECT role_id FROM organization_member_roles \
         WHERE organization_id = ?1 AND user_id = ?2 ORDER BY role_id",
        &[organization.into(), user.into()],
    )?;
    for row in &further {
        member
            .further_role_ids
            .push(RoleId::from_uuid(row.uuid(0)?));
    }
    Ok(Some(member))
}

/// Members of an organization with the names they show, in order of membership id, from after
/// `after` on.
pub fn page(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    after: MemberId,
    limit: i64,
) -> Result<Vec<(Member, String)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, u.display_name FROM organization_members m \
         JOIN users u ON u.id = m.user_id \
         WHERE m.organization_id = ?1 AND m.id > ?2 ORDER BY m.id LIMIT ?3"
    );
    let rows = tx.rows(&sql, &[organization.into(), after.into(), limit.into()])?;
    let mut members = rows
        .iter()
        .map(|row| Ok((from_row(row)?, row.text(6)?.to_owned())))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let Some((last, _)) = members.last() else {
        return Ok(members);
    };
    let further = tx.rows(
        "SELECT r.user_id, r.role_id FROM organization_member_roles r \
         JOIN organization_members m \
           ON m.organization_id = r.organization_id AND m.user_id = r.user_id \
         WHERE r.organization_id = ?1 AND m.id > ?2 AND m.id <= ?3 ORDER BY r.role_id",
        &[organization.into(), after.into(), last.id.into()],
    )?;
    let mut by_user: BTreeMap<UserId, Vec<RoleId>> = BTreeMap::new();
    for row in &further {
        by_user
            .entry(UserId::from_uuid(row.uuid(0)?))
            .or_default()
            .push(RoleId::from_uuid(row.uuid(1)?));
    }
    for (member, _) in &mut members {
        member.further_role_ids = by_user.remove(&member.user_id).unwrap_or_default();
    }
    Ok(members)
}

/// Names of the roles that the user holds in the organization.
pub fn roles_held(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    user: UserId,
) -> Result<Vec<RoleKey>, StoreError> {
    let rows = tx.rows(
        "SELECT r.service, r.name FROM organization_members m \
         JOIN roles r ON r.id = m.role_id \
         WHERE m.organization_id = ?1 AND m.user_id = ?2 \
         UNION ALL \
         SELECT r.service, r.name FROM organization_member_roles f \
         JOIN roles r ON r.id = f.role_id \
         WHERE f.organization_id = ?1 AND f.user_id = ?2",
        &[organization.into(), user.into()],
    )?;
    rows.iter()
        .map(|row| {
            Ok(RoleKey {
                service: row.parse(0)?,
                name: row.parse(1)?,
            })
        })
        .collect()
}

/// Whether a role that the user holds in the organization grants the permission.
pub fn holds_permission(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    user: UserId,
    permission: &PermissionKey,
) -> Result<bool, StoreError> {
    let rows = tx.rows(
        "SELECT 1 FROM permissions p JOIN role_permissions g ON g.permission_id = p.id \
         WHERE p.service = ?3 AND p.resource = ?4 AND p.action = ?5 AND g.role_id IN ( \
           SELECT role_id FROM organization_members \
           WHERE organization_id = ?1 AND user_id = ?2 \
           UNION ALL \
           SELECT role_id FROM organization_member_roles \
           WHERE organization_id = ?1 AND user_id = ?2) LIMIT 1",
        &[
            organization.into(),
            user.into(),
            (&permission.service).into(),
            (&permission.resource).into(),
            (&permission.action).into(),
        ],
    )?;
    Ok(!rows.is_empty())
}

/// How many active users besides `user` hold the role in the organization. Lock the organization
/// first: the answer is only as good as the lock.
pub fn other_active_holders(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    role: RoleId,
    user: UserId,
) -> Result<i64, StoreError> {
    let rows = tx.rows(
        "SELECT count(*) FROM organization_members m \
         LEFT JOIN user_states s ON s.user_id = m.user_id \
         WHERE m.organization_id = ?1 AND m.user_id <> ?2 \
           AND COALESCE(s.state, 'active') = 'active' \
           AND (m.role_id = ?3 OR EXISTS ( \
             SELECT 1 FROM organization_member_roles f \
             WHERE f.organization_id = m.organization_id AND f.user_id = m.user_id \
               AND f.role_id = ?3))",
        &[organization.into(), user.into(), role.into()],
    )?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Adds a membership with its primary role.
///
/// # Errors
///
/// [`StoreError::Unique`] when the user is a member, [`StoreError::ForeignKey`] when user,
/// organization or role is missing.
pub fn insert(tx: &mut dyn Tx, member: &Member) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO organization_members \
         (id, organization_id, user_id, role_id, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            member.id.into(),
            member.organization_id.into(),
            member.user_id.into(),
            member.role_id.into(),
            member.created_at.into(),
            member.updated_at.into(),
        ],
    )?;
    for role in &member.further_role_ids {
        add_further_role(tx, member, *role, member.created_at)?;
    }
    Ok(())
}

/// Makes `role` the primary role.
pub fn set_primary_role(
    tx: &mut dyn Tx,
    member: &Member,
    role: RoleId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let [organization, user] = key(member);
    tx.exec(
        "UPDATE organization_members SET role_id = ?3, updated_at = ?4 \
         WHERE organization_id = ?1 AND user_id = ?2",
        &[organization, user, role.into(), now.into()],
    )?;
    Ok(())
}

/// Adds a further role.
pub fn add_further_role(
    tx: &mut dyn Tx,
    member: &Member,
    role: RoleId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let [organization, user] = key(member);
    tx.exec(
        "INSERT INTO organization_member_roles (organization_id, user_id, role_id, created_at) \
         VALUES (?1, ?2, ?3, ?4)",
        &[organization, user, role.into(), now.into()],
    )?;
    Ok(())
}

/// Removes a further role.
pub fn remove_further_role(
    tx: &mut dyn Tx,
    member: &Member,
    role: RoleId,
) -> Result<(), StoreError> {
    let [organization, user] = key(member);
    tx.exec(
        "DELETE FROM organization_member_roles \
         WHERE organization_id = ?1 AND user_id = ?2 AND role_id = ?3",
        &[organization, user, role.into()],
    )?;
    Ok(())
}

/// Ends the membership; its further roles go with it.
pub fn delete(tx: &mut dyn Tx, member: &Member) -> Result<(), StoreError> {
    tx.exec(
        "DELETE FROM organization_members WHERE organization_id = ?1 AND user_id = ?2",
        &key(member),
    )?;
    Ok(())
}

fn key(member: &Member) -> [Val; 2] {
    [member.organization_id.into(), member.user_id.into()]
}
