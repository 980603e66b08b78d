//! Rows of authorization codes, deleted when they are used, and the marks that used ones leave.

use uuid::Uuid;

use crate::domain::{ClientId, GrantId, Timestamp, TokenDigest, UserId};

use super::{Row, StoreError, Tx};

/// A code to be given out. Its row is the digest's; the code itself is kept nowhere.
#[derive(Debug, Clone)]
pub struct NewCode {
    /// The row's id.
    pub id: Uuid,
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
    /// What it redeems to.
    pub grant_id: GrantId,
    /// For the ID token.
    pub nonce: Option<String>,
    /// Refused from then on.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A code that was live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The row's id.
    pub id: Uuid,
    /// Who may redeem it.
    pub client_id: ClientId,
    /// Whose grant it is.
    pub user_id: UserId,
    /// The redirect URI of the authorization request.
    pub redirect_uri: String,
    /// PKCE's challenge, of method S256.
    pub code_challenge: String,
    /// What it redeems to.
    pub grant_id: GrantId,
    /// For the ID token.
    pub nonce: Option<String>,
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
            code.id.into(),
            code.digest.into(),
            code.client_id.into(),
            code.user_id.into(),
            code.redirect_uri.as_str().into(),
            code.code_challenge.as_str().into(),
            code.expires_at.into(),
            code.created_at.into(),
        ],
    )?;
    tx.exec(
        "INSERT INTO authorization_code_details (code_id, grant_id, nonce) VALUES (?1, ?2, ?3)",
        &[
            code.id.into(),
            code.grant_id.into(),
            code.nonce.clone().into(),
        ],
    )?;
    Ok(())
}

/// The live code of this digest.
pub fn find(tx: &mut dyn Tx, digest: TokenDigest) -> Result<Option<Code>, StoreError> {
    tx.rows(
        "SELECT c.id, c.client_id, c.user_id, c.redirect_uri, c.code_challenge, d.grant_id, \
         d.nonce, c.expires_at \
         FROM authorization_codes c JOIN authorization_code_details d ON d.code_id = c.id \
         WHERE c.code_hash = ?1",
        &[digest.into()],
    )?
    .first()
    .map(from_row)
    .transpose()
}

fn from_row(row: &Row) -> Result<Code, StoreError> {
    Ok(Code {
        id: row.uuid(0)?,
        client_id: ClientId::from_uuid(row.uuid(1)?),
        user_id: UserId::from_uuid(row.uuid(2)?),
        redirect_uri: row.text(3)?.to_owned(),
        code_challenge: row.text(4)?.to_owned(),
        grant_id: GrantId::from_uuid(row.uuid(5)?),
        nonce: row.optional_text(6)?.map(str::to_owned),
        expires_at: row.time(7)?,
    })
}

/// Takes the code, once: of any number of transactions only one sees `true`. What is left is a mark
/// of the grant it belonged to, until `purge_at`.
pub fn redeem(
    tx: &mut dyn Tx,
    digest: TokenDigest,
    grant: GrantId,
    purge_at: Timestamp,
) -> Result<bool, StoreError> {
    let taken = tx.rows(
        "DELETE FROM authorization_codes WHERE code_hash = ?1 RETURNING id",
        &[digest.into()],
    )?;
    if taken.len() != 1 {
        return Ok(false);
    }
    tx.exec(
        "INSERT INTO authorization_code_tombstones (code_hash, grant_id, purge_at) \
         VALUES (?1, ?2, ?3)",
        &[digest.into(), grant.into(), purge_at.into()],
    )?;
    Ok(true)
}

/// The grant of a code that was used.
pub fn used(tx: &mut dyn Tx, digest: TokenDigest) -> Result<Option<GrantId>, StoreError> {
    tx.rows(
        "SELECT grant_id FROM authorization_code_tombstones WHERE code_hash = ?1",
        &[digest.into()],
    )?
    .first()
    .map(|row| row.uuid(0).map(GrantId::from_uuid))
    .transpose()
}
