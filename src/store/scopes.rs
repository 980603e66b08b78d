//! What a scope stands for, as services declare it.

use crate::domain::Scope;

use super::{StoreError, Tx};

/// The most permissions of one scope that are told.
const TOLD: u8 = 8;

/// What a scope allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meaning {
    /// The first permissions, in their services' words; by name if there are none.
    pub told: Vec<String>,
    /// How many there are beside.
    pub more: u64,
}

/// What the permissions of a scope allow; nothing for a scope that no service declares.
pub fn meaning(tx: &mut dyn Tx, scope: &Scope) -> Result<Meaning, StoreError> {
    let rows = tx.rows(
        "SELECT COALESCE(p.description, p.service || ':' || p.resource || ':' || p.action) \
         FROM scope_permissions s JOIN permissions p ON p.id = s.permission_id \
         WHERE s.scope = ?1 ORDER BY p.service, p.resource, p.action LIMIT ?2",
        &[scope.as_str().into(), i64::from(TOLD).into()],
    )?;
    let told = rows
        .iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect::<Result<Vec<_>, _>>()?;
    let more = if told.len() < usize::from(TOLD) {
        0
    } else {
        let sql = "SELECT count(*) FROM scope_permissions WHERE scope = ?1";
        let rows = tx.rows(sql, &[scope.as_str().into()])?;
        let all = rows.first().map_or(Ok(0), |row| row.int(0))?;
        u64::try_from(all).unwrap_or(0).saturating_sub(TOLD.into())
    };
    Ok(Meaning { told, more })
}
