//! Rows of sidecars and of the one-time tokens by which they join.

use uuid::Uuid;

use crate::domain::{ClientId, ClientIdentifier, SidecarId, Timestamp, TokenDigest};

use super::{Row, StoreError, Tx};

/// An enrolled sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// Its row.
    pub id: SidecarId,
    /// The client it authenticates as.
    pub client_id: ClientId,
    /// That client's public name.
    pub identifier: ClientIdentifier,
    /// A name for people.
    pub name: String,
    /// When it joined.
    pub created_at: Timestamp,
    /// Since when it is out.
    pub revoked_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT s.id, s.client_id, c.client_id, s.name, s.created_at, s.revoked_at \
     FROM sidecars s JOIN oauth_clients c ON c.id = s.client_id";

fn from_row(row: &Row) -> Result<Sidecar, StoreError> {
    Ok(Sidecar {
        id: SidecarId::from_uuid(row.uuid(0)?),
        client_id: ClientId::from_uuid(row.uuid(1)?),
        identifier: row.parse(2)?,
        name: row.text(3)?.to_owned(),
        created_at: row.time(4)?,
        revoked_at: row.optional_time(5)?,
    })
}

/// The sidecar with this id.
pub fn find(tx: &mut dyn Tx, id: SidecarId) -> Result<Option<Sidecar>, StoreError> {
    let sql = format!("{SELECT} WHERE s.id = ?1");
    tx.rows(&sql, &[id.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// The sidecar that authenticates as this client.
pub fn find_by_client(tx: &mut dyn Tx, client: ClientId) -> Result<Option<Sidecar>, StoreError> {
    let sql = format!("{SELECT} WHERE s.client_id = ?1");
    tx.rows(&sql, &[client.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// Sidecars in order of id, from after `after` on.
pub fn page(tx: &mut dyn Tx, after: SidecarId, limit: i64) -> Result<Vec<Sidecar>, StoreError> {
    let sql = format!("{SELECT} WHERE s.id > ?1 ORDER BY s.id LIMIT ?2");
    tx.rows(&sql, &[after.into(), limit.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// Adds a sidecar; its client's row must be there.
pub fn insert(tx: &mut dyn Tx, sidecar: &Sidecar) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO sidecars (id, client_id, name, created_at) VALUES (?1, ?2, ?3, ?4)",
        &[
            sidecar.id.into(),
            sidecar.client_id.into(),
            sidecar.name.as_str().into(),
            sidecar.created_at.into(),
        ],
    )?;
    Ok(())
}

/// Notes since when it is out; the first time stays. Its client is retired beside this.
pub fn set_revoked(tx: &mut dyn Tx, id: SidecarId, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE sidecars SET revoked_at = ?1 WHERE id = ?2 AND revoked_at IS NULL",
        &[now.into(), id.into()],
    )?;
    Ok(())
}

/// The right to enrol one sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Its row.
    pub id: Uuid,
    /// The name that the sidecar gets unless it brings one.
    pub name: String,
    /// Who made it, as the audit log names actors.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Refused from then on.
    pub expires_at: Timestamp,
}

/// Adds a join token, by its hash.
pub fn insert_join_token(
    tx: &mut dyn Tx,
    token: &JoinToken,
    digest: TokenDigest,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO join_tokens (id, token_hash, name, created_by, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            token.id.into(),
            digest.into(),
            token.name.as_str().into(),
            token.created_by.as_str().into(),
            token.created_at.into(),
            token.expires_at.into(),
        ],
    )?;
    Ok(())
}

/// Uses a join token up: of several who try at once, one gets it. Whether it has expired is for
/// the caller to see.
pub fn take_join_token(
    tx: &mut dyn Tx,
    digest: TokenDigest,
) -> Result<Option<JoinToken>, StoreError> {
    tx.rows(
        "DELETE FROM join_tokens WHERE token_hash = ?1 \
         RETURNING id, name, created_by, created_at, expires_at",
        &[digest.into()],
    )?
    .first()
    .map(|row| {
        Ok(JoinToken {
            id: row.uuid(0)?,
            name: row.text(1)?.to_owned(),
            created_by: row.text(2)?.to_owned(),
            created_at: row.time(3)?,
            expires_at: row.time(4)?,
        })
    })
    .transpose()
}

/// Deletes join tokens that expired before `now`, and tells how many.
pub fn purge_join_tokens(tx: &mut dyn Tx, now: Timestamp) -> Result<u64, StoreError> {
    tx.exec(
        "DELETE FROM join_tokens WHERE expires_at <= ?1",
        &[now.into()],
    )
}
