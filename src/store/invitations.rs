//! Rows of invitations to an organization. Only the digest of a link's token is kept.

use crate::domain::{InvitationId, OrganizationId, RoleId, Timestamp, TokenDigest};

use super::{Row, StoreError, Tx};

/// An invitation as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Where to.
    pub organization_id: OrganizationId,
    /// As what.
    pub role_id: RoleId,
    /// Who may accept it; anybody who has the link if absent.
    pub email: Option<String>,
    /// Who invited, as the audit log names them.
    pub invited_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// It cannot be accepted from then on.
    pub expires_at: Timestamp,
}

const SELECT: &str = "SELECT id, organization_id, role_id, email, invited_by, created_at, \
     expires_at FROM organization_invitations";

fn from_row(row: &Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: InvitationId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        role_id: RoleId::from_uuid(row.uuid(2)?),
        email: row.optional_text(3)?.map(str::to_owned),
        invited_by: row.text(4)?.to_owned(),
        created_at: row.time(5)?,
        expires_at: row.time(6)?,
    })
}

/// Adds an invitation.
pub fn insert(
    tx: &mut dyn Tx,
    invitation: &Invitation,
    digest: TokenDigest,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO organization_invitations \
         (id, organization_id, role_id, token_hash, email, invited_by, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &[
            invitation.id.into(),
            invitation.organization_id.into(),
            invitation.role_id.into(),
            digest.into(),
            invitation.email.as_deref().into(),
            invitation.invited_by.as_str().into(),
            invitation.created_at.into(),
            invitation.expires_at.into(),
        ],
    )?;
    Ok(())
}

/// The invitation of this token, if it is still open at `now`.
pub fn find_open(
    tx: &mut dyn Tx,
    digest: TokenDigest,
    now: Timestamp,
) -> Result<Option<Invitation>, StoreError> {
    let sql = format!("{SELECT} WHERE token_hash = ?1 AND expires_at > ?2");
    tx.rows(&sql, &[digest.into(), now.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// An organization's open invitations in order of id, from after `after` on.
pub fn page(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    (after, limit): (InvitationId, i64),
    now: Timestamp,
) -> Result<Vec<Invitation>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE organization_id = ?1 AND id > ?2 AND expires_at > ?3 \
         ORDER BY id LIMIT ?4"
    );
    let params = [organization.into(), after.into(), now.into(), limit.into()];
    tx.rows(&sql, &params)?.iter().map(from_row).collect()
}

/// How many open invitations an organization has.
pub fn count(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let rows = tx.rows(
        "SELECT count(*) FROM organization_invitations \
         WHERE organization_id = ?1 AND expires_at > ?2",
        &[organization.into(), now.into()],
    )?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Takes an invitation of an organization away, and tells whether it was there: of two who accept
/// at once, one does.
pub fn delete(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    id: InvitationId,
) -> Result<bool, StoreError> {
    let deleted = tx.exec(
        "DELETE FROM organization_invitations WHERE organization_id = ?1 AND id = ?2",
        &[organization.into(), id.into()],
    )?;
    Ok(deleted > 0)
}
