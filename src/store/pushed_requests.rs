//! Rows of pushed authorization requests (RFC 9126), under the digest of the name they were given.

use crate::domain::{ClientId, Timestamp, TokenDigest};

use super::{StoreError, Tx};

/// A request as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRequest {
    /// The digest of its name.
    pub digest: TokenDigest,
    /// The app that pushed it.
    pub client_id: ClientId,
    /// What it asks for: JSON, validated, without credentials.
    pub parameters: String,
    /// The thumbprint of the key that the client proved to have.
    pub dpop_jkt: Option<String>,
    /// When it came. A login can begin from it for a short time only.
    pub created_at: Timestamp,
    /// When the row goes: a login begun in time may still be under way.
    pub expires_at: Timestamp,
}

/// Keeps a request.
pub fn insert(tx: &mut dyn Tx, request: &PushedRequest) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO pushed_requests (uri_hash, client_id, parameters, dpop_jkt, created_at, \
         expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            request.digest.into(),
            request.client_id.into(),
            request.parameters.as_str().into(),
            request.dpop_jkt.as_deref().into(),
            request.created_at.into(),
            request.expires_at.into(),
        ],
    )?;
    Ok(())
}

/// The request, if it is there and has not been used.
pub fn find(tx: &mut dyn Tx, digest: TokenDigest) -> Result<Option<PushedRequest>, StoreError> {
    tx.rows(
        "SELECT client_id, parameters, dpop_jkt, created_at, expires_at FROM pushed_requests \
         WHERE uri_hash = ?1",
        &[digest.into()],
    )?
    .first()
    .map(|row| {
        Ok(PushedRequest {
            digest,
            client_id: ClientId::from_uuid(row.uuid(0)?),
            parameters: row.text(1)?.to_owned(),
            dpop_jkt: row.optional_text(2)?.map(str::to_owned),
            created_at: row.time(3)?,
            expires_at: row.time(4)?,
        })
    })
    .transpose()
}

/// How many requests of the client, of those that have not been used, came after `since`.
pub fn since(tx: &mut dyn Tx, client: ClientId, since: Timestamp) -> Result<i64, StoreError> {
    let rows = tx.rows(
        "SELECT count(*) FROM pushed_requests WHERE client_id = ?1 AND created_at > ?2",
        &[client.into(), since.into()],
    )?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Uses the request up, and tells whether it was there to be used: it counts once.
pub fn consume(tx: &mut dyn Tx, digest: TokenDigest) -> Result<bool, StoreError> {
    let gone = tx.exec(
        "DELETE FROM pushed_requests WHERE uri_hash = ?1",
        &[digest.into()],
    )?;
    Ok(gone > 0)
}
