//! Rows of refresh tokens, and the marks that used ones leave. A grant has one live token, whose row
//! has its id: two branches cannot be.

use std::time::Duration;

use crate::domain::{ClientId, GrantId, Timestamp, TokenDigest, UserId};

use super::grants::Grant;
use super::{Row, StoreError, Tx};

/// A refresh token to be given out.
#[derive(Debug, Clone, Copy)]
pub struct NewRefreshToken {
    /// The token's digest.
    pub digest: TokenDigest,
    /// Who may use it.
    pub client_id: ClientId,
    /// Whose grant it is.
    pub user_id: UserId,
    /// What it is issued from.
    pub grant_id: GrantId,
    /// How many came before it.
    pub generation: i64,
    /// Refused from then on unless it is used before; never after the grant's own end.
    pub idle_expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

impl NewRefreshToken {
    /// The first one of a grant, at `now`, for as long as it may lie unused.
    pub fn first(digest: TokenDigest, grant: &Grant, (now, idle): (Timestamp, Duration)) -> Self {
        Self {
            digest,
            client_id: grant.client_id,
            user_id: grant.user_id,
            grant_id: grant.id,
            generation: 0,
            idle_expires_at: now.plus(idle).min(grant.expires_at),
            created_at: now,
        }
    }

    /// The one that follows `old`.
    pub fn after(
        old: &RefreshToken,
        digest: TokenDigest,
        grant: &Grant,
        times: (Timestamp, Duration),
    ) -> Self {
        Self {
            generation: old.generation.saturating_add(1),
            ..Self::first(digest, grant, times)
        }
    }
}

/// A live refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshToken {
    /// The token's digest.
    pub digest: TokenDigest,
    /// Who may use it.
    pub client_id: ClientId,
    /// What it is issued from.
    pub grant_id: GrantId,
    /// How many came before it.
    pub generation: i64,
    /// Refused from then on.
    pub idle_expires_at: Timestamp,
}

/// The mark of a refresh token that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedRefreshToken {
    /// What it was issued from.
    pub grant_id: GrantId,
    /// How many came before it.
    pub generation: i64,
    /// When it was used.
    pub rotated_at: Timestamp,
}

/// Adds the one refresh token of a grant.
///
/// # Errors
///
/// [`StoreError::Unique`] when the grant has one: two branches cannot be.
pub fn insert(tx: &mut dyn Tx, token: &NewRefreshToken) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO refresh_tokens (id, token_hash, client_id, user_id, expires_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            token.grant_id.into(),
            token.digest.into(),
            token.client_id.into(),
            token.user_id.into(),
            token.idle_expires_at.into(),
            token.created_at.into(),
        ],
    )?;
    Ok(())
}

const SELECT: &str = "SELECT t.id, t.token_hash, t.client_id, g.refresh_generation, t.expires_at \
     FROM refresh_tokens t JOIN grants g ON g.id = t.id";

fn from_row(row: &Row) -> Result<RefreshToken, StoreError> {
    Ok(RefreshToken {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        digest: TokenDigest::from_hex(row.text(1)?).ok_or(StoreError::Inconsistent {
            column: 1,
            wanted: "a SHA-256 in hex",
        })?,
        client_id: ClientId::from_uuid(row.uuid(2)?),
        generation: row.int(3)?,
        idle_expires_at: row.time(4)?,
    })
}

/// The live token of this digest.
pub fn find(tx: &mut dyn Tx, digest: TokenDigest) -> Result<Option<RefreshToken>, StoreError> {
    let sql = format!("{SELECT} WHERE t.token_hash = ?1");
    tx.rows(&sql, &[digest.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// The live token of a grant.
pub fn of_grant(tx: &mut dyn Tx, grant: GrantId) -> Result<Option<RefreshToken>, StoreError> {
    let sql = format!("{SELECT} WHERE t.id = ?1");
    tx.rows(&sql, &[grant.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// The mark of a token that was used.
pub fn used(tx: &mut dyn Tx, digest: TokenDigest) -> Result<Option<UsedRefreshToken>, StoreError> {
    let rows = tx.rows(
        "SELECT grant_id, generation, rotated_at FROM refresh_token_tombstones \
         WHERE token_hash = ?1",
        &[digest.into()],
    )?;
    rows.first()
        .map(|row| {
            Ok(UsedRefreshToken {
                grant_id: GrantId::from_uuid(row.uuid(0)?),
                generation: row.int(1)?,
                rotated_at: row.time(2)?,
            })
        })
        .transpose()
}

/// Takes a live token, leaving a mark for as long as it might have been used, and puts its successor
/// in its place. `false` when somebody else took it. Call under the grant's lock.
pub fn rotate(
    tx: &mut dyn Tx,
    old: &RefreshToken,
    new: &NewRefreshToken,
) -> Result<bool, StoreError> {
    let taken = tx.rows(
        "DELETE FROM refresh_tokens WHERE token_hash = ?1 RETURNING id",
        &[old.digest.into()],
    )?;
    if taken.len() != 1 {
        return Ok(false);
    }
    tx.exec(
        "INSERT INTO refresh_token_tombstones \
         (token_hash, grant_id, generation, rotated_at, purge_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        &[
            old.digest.into(),
            old.grant_id.into(),
            old.generation.into(),
            new.created_at.into(),
            old.idle_expires_at.into(),
        ],
    )?;
    insert(tx, new)?;
    tx.exec(
        "UPDATE grants SET refresh_generation = ?1 WHERE id = ?2",
        &[new.generation.into(), new.grant_id.into()],
    )?;
    Ok(true)
}
