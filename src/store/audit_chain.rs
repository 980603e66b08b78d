//! Rows of the audit log's hash chain, and audit rows as the chain sees them: byte for byte.

use uuid::Uuid;

use super::{Row, StoreError, Tx};

/// An audit row as it is stored; nothing of it is interpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its id.
    pub id: Uuid,
    /// Its time, in microseconds.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// Where.
    pub organization: Option<Uuid>,
    /// To what.
    pub target: Option<String>,
    /// More.
    pub details: String,
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its place; the first is 1.
    pub sequence: i64,
    /// The audit row that it is about.
    pub audit_id: Uuid,
    /// The hash over the link before and the row.
    pub hash: [u8; 32],
    /// The row, if it is still there.
    pub row: Option<AuditRow>,
}

const COLUMNS: &str = "a.id, a.at, a.actor, a.event, a.organization_id, a.target, a.details";

fn audit_row(row: &Row, first: usize) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.uuid(first)?,
        at: row.time(first + 1)?.unix_micros(),
        actor: row.text(first + 2)?.to_owned(),
        event: row.text(first + 3)?.to_owned(),
        organization: if row.is_null(first + 4) {
            None
        } else {
            Some(row.uuid(first + 4)?)
        },
        target: row.optional_text(first + 5)?.map(str::to_owned),
        details: row.text(first + 6)?.to_owned(),
    })
}

fn hash(row: &Row, column: usize) -> Result<[u8; 32], StoreError> {
    row.bytes(column)?
        .try_into()
        .map_err(|_| StoreError::Inconsistent {
            column,
            wanted: "a hash",
        })
}

/// The last link: its place, the row it is about, its hash.
pub fn head(tx: &mut dyn Tx) -> Result<Option<(i64, Uuid, [u8; 32])>, StoreError> {
    let rows = tx.rows(
        "SELECT sequence, audit_id, hash FROM audit_chain ORDER BY sequence DESC LIMIT 1",
        &[],
    )?;
    rows.first()
        .map(|row| Ok((row.int(0)?, row.uuid(1)?, hash(row, 2)?)))
        .transpose()
}

/// At most `most` audit rows with ids above `after` that no link is about, in order of id.
pub fn unchained(tx: &mut dyn Tx, after: Uuid, most: u32) -> Result<Vec<AuditRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_log a WHERE a.id > ?1 \
         AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.audit_id = a.id) \
         ORDER BY a.id LIMIT ?2"
    );
    tx.rows(&sql, &[after.into(), i64::from(most).into()])?
        .iter()
        .map(|row| audit_row(row, 0))
        .collect()
}

/// Adds a link.
///
/// # Errors
///
/// [`StoreError::Unique`] when the place or the row is taken.
pub fn append(
    tx: &mut dyn Tx,
    sequence: i64,
    audit_id: Uuid,
    hash: [u8; 32],
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO audit_chain (sequence, audit_id, hash) VALUES (?1, ?2, ?3)",
        &[sequence.into(), audit_id.into(), hash.as_slice().into()],
    )?;
    Ok(())
}

/// At most `most` links after the place `after`, with their rows.
pub fn links(tx: &mut dyn Tx, after: i64, most: u32) -> Result<Vec<Link>, StoreError> {
    let sql = format!(
        "SELECT c.sequence, c.audit_id, c.hash, {COLUMNS} FROM audit_chain c \
         LEFT JOIN audit_log a ON a.id = c.audit_id \
         WHERE c.sequence > ?1 ORDER BY c.sequence LIMIT ?2"
    );
    tx.rows(&sql, &[after.into(), i64::from(most).into()])?
        .iter()
        .map(|row| {
            Ok(Link {
                sequence: row.int(0)?,
                audit_id: row.uuid(1)?,
                hash: hash(row, 2)?,
                row: if row.is_null(3) {
                    None
                } else {
                    Some(audit_row(row, 3)?)
                },
            })
        })
        .collect()
}
