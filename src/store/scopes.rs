//! What a scope stands for, as services declare it.

use crate::domain::Scope;

use super::{StoreError, Tx};

/// The most permissions of one scope that are told.
const TOLD: i64 = 8;

/// What the permissions of a scope allow, in their services' words; empty for a scope that no
/// service declares, or that only has permissions without a description.
pub fn descriptions(tx: &mut dyn Tx, scope: &Scope) -> Result<Vec<String>, StoreError> {
    let rows = tx.rows(
        "SELECT p.description FROM scope_permissions s \
         JOIN permissions p ON p.id = s.permission_id \
         WHERE s.scope = ?1 AND p.description IS NOT NULL \
         ORDER BY p.service, p.resource, p.action LIMIT ?2",
        &[scope.as_str().into(), TOLD.into()],
    )?;
    rows.iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect()
}
