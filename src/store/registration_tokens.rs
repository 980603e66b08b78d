//! Rows of initial access tokens: who may register clients (RFC 7591). Only their digests are kept.

use crate::domain::{RegistrationTokenId, Timestamp, TokenDigest};

use super::{Row, StoreError, Tx};

/// An initial access token as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationToken {
    /// Its id.
    pub id: RegistrationTokenId,
    /// A name for people.
    pub name: String,
    /// How many clients may still register with it.
    pub uses_left: i64,
    /// What they may be, as JSON.
    pub policy: String,
    /// Who made it, as the audit log names them.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// It registers nobody from then on.
    pub expires_at: Timestamp,
}

const SELECT: &str = "SELECT id, name, uses_left, policy, created_by, created_at, expires_at \
     FROM registration_tokens";

fn from_row(row: &Row) -> Result<RegistrationToken, StoreError> {
    Ok(RegistrationToken {
        id: RegistrationTokenId::from_uuid(row.uuid(0)?),
        name: row.text(1)?.to_owned(),
        uses_left: row.int(2)?,
        policy: row.text(3)?.to_owned(),
        created_by: row.text(4)?.to_owned(),
        created_at: row.time(5)?,
        expires_at: row.time(6)?,
    })
}

/// Adds a token.
pub fn insert(
    tx: &mut dyn Tx,
    token: &RegistrationToken,
    digest: TokenDigest,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO registration_tokens \
         (id, token_hash, name, uses_left, policy, created_by, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &[
            token.id.into(),
            digest.into(),
            token.name.as_str().into(),
            token.uses_left.into(),
            token.policy.as_str().into(),
            token.created_by.as_str().into(),
            token.created_at.into(),
            token.expires_at.into(),
        ],
    )?;
    Ok(())
}

/// The token of this digest, if it can still be used at `now`.
pub fn find_usable(
    tx: &mut dyn Tx,
    digest: TokenDigest,
    now: Timestamp,
) -> Result<Option<RegistrationToken>, StoreError> {
    let sql = format!("{SELECT} WHERE token_hash = ?1 AND uses_left > 0 AND expires_at > ?2");
    tx.rows(&sql, &[digest.into(), now.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// Uses a token once, and tells whether there was a use left: of several who take the last one at
/// once, one gets it.
pub fn take(tx: &mut dyn Tx, id: RegistrationTokenId, now: Timestamp) -> Result<bool, StoreError> {
    let taken = tx.exec(
        "UPDATE registration_tokens SET uses_left = uses_left - 1 \
         WHERE id = ?1 AND uses_left > 0 AND expires_at > ?2",
        &[id.into(), now.into()],
    )?;
    Ok(taken > 0)
}

/// Tokens that have not expired, in order of id, from after `after` on.
pub fn page(
    tx: &mut dyn Tx,
    (after, limit): (RegistrationTokenId, i64),
    now: Timestamp,
) -> Result<Vec<RegistrationToken>, StoreError> {
    let sql = format!("{SELECT} WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3");
    tx.rows(&sql, &[after.into(), now.into(), limit.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// How many tokens have not expired.
pub fn count(tx: &mut dyn Tx, now: Timestamp) -> Result<i64, StoreError> {
    let rows = tx.rows(
        "SELECT count(*) FROM registration_tokens WHERE expires_at > ?1",
        &[now.into()],
    )?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Takes a token away, and tells whether it was there. Clients that registered with it stay.
pub fn delete(tx: &mut dyn Tx, id: RegistrationTokenId) -> Result<bool, StoreError> {
    let deleted = tx.exec(
        "DELETE FROM registration_tokens WHERE id = ?1",
        &[id.into()],
    )?;
    Ok(deleted > 0)
}
