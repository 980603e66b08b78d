//! Rows of installation: one fact about this installation each, such as the canary of its sealing
//! key.

use super::{StoreError, Tx};

/// The fact, when it is known.
pub fn find(tx: &mut dyn Tx, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    tx.rows(
        "SELECT value FROM installation WHERE name = ?1",
        &[name.into()],
    )?
    .first()
    .map(|row| row.bytes(0).map(<[u8]>::to_vec))
    .transpose()
}

/// Sets the fact, whether or not it was known.
pub fn set(tx: &mut dyn Tx, name: &str, value: &[u8]) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO installation (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &[name.into(), value.into()],
    )?;
    Ok(())
}
