//! Rows of signing keys. Private halves are sealed; sidecars get the public ones only.

use crate::domain::Timestamp;

use super::{Row, StoreError, Tx};

/// The table's name, as seals bind to it.
pub const TABLE: &str = "signing_keys";
/// The sealed column's name, as seals bind to it.
pub const SEALED_COLUMN: &str = "sealed_private";

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPurpose {
    /// Access tokens.
    AccessToken,
    /// ID tokens of OpenID Connect.
    IdToken,
    /// Heads of the change feed.
    Feed,
}

impl KeyPurpose {
    /// The text in rows and in the feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::IdToken => "id_token",
            Self::Feed => "feed",
        }
    }
}

/// Where a key is in its life. It is published before it signs and after it has signed, so that
/// whoever verifies always knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, does not sign yet.
    Staged,
    /// Signs.
    Active,
    /// Published, signs no more.
    Retired,
}

impl KeyState {
    /// The text in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// A signing key as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its name in token headers.
    pub kid: String,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// `RS256`, `ES256` or `EdDSA`.
    pub algorithm: String,
    /// The public half, as JSON.
    pub public_jwk: String,
    /// The private half, sealed.
    pub sealed_private: Vec<u8>,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it signs first.
    pub activates_at: Timestamp,
    /// When it signed last, once it is retired.
    pub retires_at: Option<Timestamp>,
    /// When nothing that it signed counts any more, once it is retired.
    pub purge_at: Option<Timestamp>,
}

/// Adds a key.
pub fn insert(tx: &mut dyn Tx, key: &StoredKey) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO signing_keys (kid, purpose, algorithm, public_jwk, sealed_private, state, \
         created_at, activates_at, retires_at, purge_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        &[
            key.kid.as_str().into(),
            key.purpose.as_str().into(),
            key.algorithm.as_str().into(),
            key.public_jwk.as_str().into(),
            key.sealed_private.as_slice().into(),
            key.state.as_str().into(),
            key.created_at.into(),
            key.activates_at.into(),
            key.retires_at.into(),
            key.purge_at.into(),
        ],
    )?;
    Ok(())
}

/// Every key, the newest first.
pub fn list(tx: &mut dyn Tx) -> Result<Vec<StoredKey>, StoreError> {
    tx.rows(
        "SELECT kid, purpose, algorithm, public_jwk, sealed_private, state, created_at, \
         activates_at, retires_at, purge_at FROM signing_keys ORDER BY created_at DESC, kid",
        &[],
    )?
    .iter()
    .map(from_row)
    .collect()
}

/// Puts the same private key under another seal.
pub fn set_sealed(tx: &mut dyn Tx, kid: &str, sealed_private: &[u8]) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE signing_keys SET sealed_private = ?1 WHERE kid = ?2",
        &[sealed_private.into(), kid.into()],
    )?;
    Ok(())
}

/// Moves a key on in its life, with the times that go with the new state.
pub fn set_state(tx: &mut dyn Tx, key: &StoredKey) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE signing_keys SET state = ?1, activates_at = ?2, retires_at = ?3, purge_at = ?4 \
         WHERE kid = ?5",
        &[
            key.state.as_str().into(),
            key.activates_at.into(),
            key.retires_at.into(),
            key.purge_at.into(),
            key.kid.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Deletes a key: nothing that it signed is believed any more.
pub fn delete(tx: &mut dyn Tx, kid: &str) -> Result<bool, StoreError> {
    let deleted = tx.exec("DELETE FROM signing_keys WHERE kid = ?1", &[kid.into()])?;
    Ok(deleted > 0)
}

fn from_row(row: &Row) -> Result<StoredKey, StoreError> {
    let purpose = match row.text(1)? {
        "access_token" => KeyPurpose::AccessToken,
        "id_token" => KeyPurpose::IdToken,
        "feed" => KeyPurpose::Feed,
        _ => {
            return Err(StoreError::Inconsistent {
                column: 1,
                wanted: "a key's purpose",
            });
        }
    };
    let state = match row.text(5)? {
        "staged" => KeyState::Staged,
        "active" => KeyState::Active,
        "retired" => KeyState::Retired,
        _ => {
            return Err(StoreError::Inconsistent {
                column: 5,
                wanted: "a key's state",
            });
        }
    };
    Ok(StoredKey {
        kid: row.text(0)?.to_owned(),
        purpose,
        algorithm: row.text(2)?.to_owned(),
        public_jwk: row.text(3)?.to_owned(),
        sealed_private: row.bytes(4)?.to_vec(),
        state,
        created_at: row.time(6)?,
        activates_at: row.time(7)?,
        retires_at: row.optional_time(8)?,
        purge_at: row.optional_time(9)?,
    })
}
