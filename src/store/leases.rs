//! Rows of leases: which instance does what only one may do.

use crate::domain::Timestamp;

use super::{StoreError, Tx};

/// Takes or keeps a lease until `until`, and tells whether `holder` has it. Whoever does the work in
/// the same transaction is alone with it, whatever the instances' clocks say: the row is locked.
pub fn take(
    tx: &mut dyn Tx,
    name: &str,
    holder: &str,
    (now, until): (Timestamp, Timestamp),
) -> Result<bool, StoreError> {
    let taken = tx.exec(
        "INSERT INTO leases (name, holder, expires_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, \
         expires_at = excluded.expires_at \
         WHERE leases.holder = excluded.holder OR leases.expires_at <= ?4",
        &[name.into(), holder.into(), until.into(), now.into()],
    )?;
    Ok(taken > 0)
}

/// Gives a lease back, if `holder` has it.
pub fn release(tx: &mut dyn Tx, name: &str, holder: &str) -> Result<(), StoreError> {
    tx.exec(
        "DELETE FROM leases WHERE name = ?1 AND holder = ?2",
        &[name.into(), holder.into()],
    )?;
    Ok(())
}
