//! Rows of the audit log. Written in the transaction of what they tell; ids, never e-mails.

use uuid::Uuid;

use crate::domain::{OrganizationId, Timestamp};

use super::{Row, StoreError, Tx, Val};

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// A version 7 UUID, minted before the transaction.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who: `user:<id>`, `client:<client_id>`, `local:<os user>` or `system`.
    pub actor: String,
    /// What, for example `member.added`.
    pub event: &'static str,
    /// Where, when it concerns one organization.
    pub organization: Option<OrganizationId>,
    /// To what: `user:<id>`, `role:<service/name>`, `service:<name>`.
    pub target: Option<String>,
    /// More, for people.
    pub details: serde_json::Value,
}

/// An entry as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// Where.
    pub organization: Option<OrganizationId>,
    /// To what.
    pub target: Option<String>,
    /// More.
    pub details: serde_json::Value,
}

/// Writes the entry.
pub fn record(tx: &mut dyn Tx, entry: &AuditEntry) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO audit_log (id, at, actor, event, organization_id, target, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            entry.id.into(),
            entry.at.into(),
            entry.actor.as_str().into(),
            entry.event.into(),
            entry.organization.into(),
            entry.target.clone().into(),
            entry.details.to_string().into(),
        ],
    )?;
    Ok(())
}

/// An organization's entries, newest first: at most `limit` before `before`, which is the time and
/// the id of the last one of the page before.
pub fn list(
    tx: &mut dyn Tx,
    organization: OrganizationId,
    before: Option<(Timestamp, Uuid)>,
    limit: u32,
) -> Result<Vec<AuditRecord>, StoreError> {
    const COLUMNS: &str = "SELECT id, at, actor, event, organization_id, target, details
         FROM audit_log WHERE organization_id = ?1";
    const ORDER: &str = "ORDER BY at DESC, id DESC LIMIT ?2";
    let mut params: Vec<Val> = vec![organization.into(), i64::from(limit).into()];
    let sql = match before {
        None => format!("{COLUMNS} {ORDER}"),
        Some((at, id)) => {
            params.extend([at.into(), id.into()]);
            format!("{COLUMNS} AND (at < ?3 OR (at = ?3 AND id < ?4)) {ORDER}")
        }
    };
    tx.rows(&sql, &params)?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        id: row.uuid(0)?,
        at: row.time(1)?,
        actor: row.text(2)?.to_owned(),
        event: row.text(3)?.to_owned(),
        organization: if row.is_null(4) {
            None
        } else {
            Some(OrganizationId::from_uuid(row.uuid(4)?))
        },
        target: row.optional_text(5)?.map(str::to_owned),
        details: serde_json::from_str(row.text(6)?).map_err(|_| StoreError::Inconsistent {
            column: 6,
            wanted: "JSON",
        })?,
    })
}
