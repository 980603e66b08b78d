//! Rows of assertions, proofs and logout tokens that were used: each counts once.

use crate::domain::{Timestamp, TokenDigest};

use super::{StoreError, Tx};

/// Notes that `digest`, of issuer and `jti` together, was used. `false` when it was before.
pub fn insert(
    tx: &mut dyn Tx,
    issuer: &str,
    digest: TokenDigest,
    purge_at: Timestamp,
) -> Result<bool, StoreError> {
    let added = tx.exec(
        "INSERT INTO used_jtis (issuer, jti_hash, purge_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (issuer, jti_hash) DO NOTHING",
        &[issuer.into(), digest.into(), purge_at.into()],
    )?;
    Ok(added > 0)
}
