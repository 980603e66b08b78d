//! Rows of failed attempts, by bucket. What a bucket stands for is not to be read from it.

use crate::domain::Timestamp;

use super::{StoreError, Tx};

/// The failures of a bucket that are not forgotten yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When they are forgotten.
    pub expires_at: Timestamp,
}

/// The failures of a bucket, if there are any.
pub fn find(tx: &mut dyn Tx, bucket: &str, now: Timestamp) -> Result<Option<Failures>, StoreError> {
    let rows = tx.rows(
        "SELECT failures, expires_at FROM failed_attempts WHERE bucket = ?1 AND expires_at > ?2",
        &[bucket.into(), now.into()],
    )?;
    rows.first()
        .map(|row| {
            Ok(Failures {
                count: u32::try_from(row.int(0)?).unwrap_or(u32::MAX),
                expires_at: row.time(1)?,
            })
        })
        .transpose()
}

/// Counts a failure and tells how many there are now. `until` says how long so many are remembered.
/// Two that count at once both count.
pub fn add(
    tx: &mut dyn Tx,
    bucket: &str,
    now: Timestamp,
    until: impl FnOnce(u32) -> Timestamp,
) -> Result<u32, StoreError> {
    let rows = tx.rows(
        "INSERT INTO failed_attempts (bucket, failures, expires_at) VALUES (?1, 1, ?2) \
         ON CONFLICT (bucket) DO UPDATE SET failures = \
         CASE WHEN failed_attempts.expires_at <= ?2 THEN 1 ELSE failed_attempts.failures + 1 END \
         RETURNING failures",
        &[bucket.into(), now.into()],
    )?;
    let count = rows.first().map_or(Ok(1), |row| row.int(0))?;
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    tx.exec(
        "UPDATE failed_attempts SET expires_at = ?1 WHERE bucket = ?2",
        &[until(count).into(), bucket.into()],
    )?;
    Ok(count)
}

/// Forgets the failures of a bucket.
pub fn forget(tx: &mut dyn Tx, bucket: &str) -> Result<(), StoreError> {
    tx.exec(
        "DELETE FROM failed_attempts WHERE bucket = ?1",
        &[bucket.into()],
    )?;
    Ok(())
}
