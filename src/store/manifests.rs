//! Rows of manifests: what each service last declared, and who may grant its permissions.

use std::collections::BTreeSet;

use crate::domain::manifest::ContentHash;
use crate::domain::{ServiceName, Timestamp};

use super::{Row, StoreError, Tx, Val, batch};

const COLUMNS: &str = "service, version, content_hash, applied_at, applied_by";

/// A manifest as applied, without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whose.
    pub service: ServiceName,
    /// The service's own counter, if it sends one.
    pub version: Option<i64>,
    /// Of the canonical form.
    pub content_hash: ContentHash,
    /// When.
    pub applied_at: Timestamp,
    /// By whom, as the audit log names it.
    pub applied_by: String,
}

fn read(row: &Row) -> Result<Applied, StoreError> {
    let hash = row.bytes(2)?;
    Ok(Applied {
        service: row.parse(0)?,
        version: (!row.is_null(1)).then(|| row.int(1)).transpose()?,
        content_hash: ContentHash::from_bytes(hash.try_into().map_err(|_| {
            StoreError::Inconsistent {
                column: 2,
                wanted: "32 bytes",
            }
        })?),
        applied_at: row.time(3)?,
        applied_by: row.text(4)?.to_owned(),
    })
}

/// What a service last declared.
pub fn find(tx: &mut dyn Tx, service: &ServiceName) -> Result<Option<Applied>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM service_manifests WHERE service = ?1");
    tx.rows(&sql, &[service.into()])?
        .first()
        .map(read)
        .transpose()
}

/// The canonical document as applied.
pub fn document(tx: &mut dyn Tx, service: &ServiceName) -> Result<Option<String>, StoreError> {
    let rows = tx.rows(
        "SELECT document FROM service_manifests WHERE service = ?1",
        &[service.into()],
    )?;
    rows.first()
        .map(|row| Ok(row.text(0)?.to_owned()))
        .transpose()
}

/// A page of services in order of name.
pub fn page(
    tx: &mut dyn Tx,
    after: Option<&ServiceName>,
    limit: u32,
) -> Result<Vec<Applied>, StoreError> {
    let after = after.map_or_else(String::new, ToString::to_string);
    let sql = format!(
        "SELECT {COLUMNS} FROM service_manifests WHERE service > ?1 ORDER BY service LIMIT ?2"
    );
    tx.rows(&sql, &[after.into(), i64::from(limit).into()])?
        .iter()
        .map(read)
        .collect()
}

/// Notes a manifest as applied.
pub fn put(tx: &mut dyn Tx, applied: &Applied, document: String) -> Result<(), StoreError> {
    let params = [
        (&applied.service).into(),
        applied.version.into(),
        applied.content_hash.as_bytes().as_slice().into(),
        document.into(),
        applied.applied_at.into(),
        applied.applied_by.as_str().into(),
    ];
    let touched = tx.exec(
        "UPDATE service_manifests SET version = ?2, content_hash = ?3, document = ?4, \
         applied_at = ?5, applied_by = ?6 WHERE service = ?1",
        &params,
    )?;
    if touched == 0 {
        tx.exec(
            "INSERT INTO service_manifests \
             (service, version, content_hash, document, applied_at, applied_by) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &params,
        )?;
    }
    Ok(())
}

/// Services whose roles may grant this one's permissions.
pub fn grantees(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<BTreeSet<ServiceName>, StoreError> {
    let rows = tx.rows(
        "SELECT grantee FROM service_grantable_by WHERE service = ?1",
        &[service.into()],
    )?;
    rows.iter().map(|row| row.parse(0)).collect()
}

/// Lets services grant this one's permissions.
pub fn add_grantees(
    tx: &mut dyn Tx,
    service: &ServiceName,
    grantees: &BTreeSet<ServiceName>,
) -> Result<(), StoreError> {
    let rows = grantees
        .iter()
        .map(|grantee| [service.into(), grantee.into()]);
    batch::insert(tx, "service_grantable_by", ["service", "grantee"], rows)
}

/// No longer lets services grant this one's permissions.
pub fn remove_grantees(
    tx: &mut dyn Tx,
    service: &ServiceName,
    grantees: &BTreeSet<ServiceName>,
) -> Result<(), StoreError> {
    batch::exec_in(
        tx,
        "DELETE FROM service_grantable_by WHERE service = ?1 AND grantee IN",
        &[service.into()],
        grantees.iter().map(Val::from),
    )?;
    Ok(())
}
