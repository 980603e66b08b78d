//! Rows of authorization codes, deleted when they are used, and the marks that used ones leave in
//! their grants. A code's row has its grant's id: a grant begins with one.

use crate::domain::{ClientId, GrantId, Timestamp, TokenDigest, UserId};

use super::{Row, StoreError, Tx};

/// A code to be given out. Its row is the digest's; the code itself is kept nowhere.
#[derive(Debug, Clone)]
pub struct NewCode {
    /// What it redeems to.
    pub grant_id: GrantId,
    /// The code's digest.
    pub digest: TokenDigest,
    /// Who may redeem it.
    pub client_id: ClientId,
    /// Whose grant it is.
    pub user_id: UserId,
    /// The redirect URI of the authorization request, by the letter.
    pub redirect_uri: String,
    /// PKCE's challenge, of method S256.
    pub code_challenge: String,
    /// Refused from then on.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A code that was live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What it redeems to.
    pub grant_id: GrantId,
    /// Who may redeem it.
    pub client_id: ClientId,
    /// Whose grant it is.
    pub user_id: UserId,
    /// The redirect URI of the authorization request.
    pub redirect_uri: String,
    /// PKCE's challenge, of method S256.
    pub code_challenge: String,
    /// Refused from then on.
    pub expires_at: Timestamp,
}

/// Adds a code.
pub fn insert(tx: &mut dyn Tx, code: &NewCode) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO authorization_codes (id, code_hash, client_id, user_id, redirect_uri, \
         code_challenge, code_challenge_method, expires_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'S256', ?7, ?8)",
        &[
            code.grant_id.into(),
            code.digest.into(),
            code.client_id.into(),
            code.user_id.into(),
            code.redirect_uri.as_str().into(),
            code.code_challenge.as_str().into(),
            code.expires_at.into(),
            code.created_at.into(),
        ],
    )?;
    Ok(())
}

/// The live code of this digest.
pub fn find(tx: &mut dyn Tx, digest: TokenDigest) -> Result<Option<Code>, StoreError> {
    tx.rows(
        "SELECT id, client_id, user_id, redirect_uri, code_challenge, expires_at \
         FROM authorization_codes WHERE code_hash = ?1",
        &[digest.into()],
    )?
    .first()
    .map(from_row)
    .transpose()
}

fn from_row(row: &Row) -> Result<Code, StoreError> {
    Ok(Code {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        client_id: ClientId::from_uuid(row.uuid(1)?),
        user_id: UserId::from_uuid(row.uuid(2)?),
        redirect_uri: row.text(3)?.to_owned(),
        code_challenge: row.text(4)?.to_owned(),
        expires_at: row.time(5)?,
    })
}

/// Takes the code, once: of any number of transactions only one sees `true`. What is left is a mark
/// in the row of the grant it belonged to.
pub fn redeem(tx: &mut dyn Tx, digest: TokenDigest, grant: GrantId) -> Result<bool, StoreError> {
    let taken = tx.rows(
        "DELETE FROM authorization_codes WHERE code_hash = ?1 RETURNING id",
        &[digest.into()],
    )?;
    if taken.len() != 1 {
        return Ok(false);
    }
    tx.exec(
        "UPDATE grants SET redeemed_code_hash = ?1 WHERE id = ?2",
        &[digest.into(), grant.into()],
    )?;
    Ok(true)
}

/// Whether the grant began with this code, and it was used.
pub fn was_used(tx: &mut dyn Tx, grant: GrantId, digest: TokenDigest) -> Result<bool, StoreError> {
    let rows = tx.rows(
        "SELECT 1 FROM grants WHERE id = ?1 AND redeemed_code_hash = ?2",
        &[grant.into(), digest.into()],
    )?;
    Ok(!rows.is_empty())
}
