//! Statements over many rows, a few thousand parameters at a time: one statement per row costs ten
//! times as much on SQLite and a round trip each on PostgreSQL.

use std::fmt::Write as _;

use super::{StoreError, Tx, Val};

/// Parameters per statement. SQLite takes 32,766 and PostgreSQL 65,535.
const MAX_PARAMS: usize = 8_000;

/// Runs `INSERT INTO {table} ({columns}) VALUES (…), …` for all rows. Each row has one value per
/// column.
pub fn insert<const N: usize>(
    tx: &mut dyn Tx,
    table: &str,
    columns: [&str; N],
    rows: impl IntoIterator<Item = [Val; N]>,
) -> Result<(), StoreError> {
    let per_statement = (MAX_PARAMS / N.max(1)).max(1);
    let mut rows = rows.into_iter();
    let mut params = Vec::new();
    loop {
        params.clear();
        params.extend(rows.by_ref().take(per_statement).flatten());
        if params.is_empty() {
            return Ok(());
        }
        let mut sql = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
        for row in 0..params.len() / N.max(1) {
            sql.push_str(if row == 0 { "(" } else { ", (" });
            push_params(&mut sql, row * N + 1, N);
            sql.push(')');
        }
        tx.exec(&sql, &params)?;
    }
}

/// Runs `{statement} ({ids})` for all ids; `fixed` are the statement's own parameters `?1`, `?2`, …
/// Returns how many rows were touched.
pub fn exec_in(
    tx: &mut dyn Tx,
    statement: &str,
    fixed: &[Val],
    ids: impl IntoIterator<Item = Val>,
) -> Result<u64, StoreError> {
    let mut ids = ids.into_iter();
    let mut touched = 0;
    loop {
        let mut params = fixed.to_vec();
        params.extend(ids.by_ref().take(MAX_PARAMS));
        let count = params.len() - fixed.len();
        if count == 0 {
            return Ok(touched);
        }
        let mut sql = format!("{statement} (");
        push_params(&mut sql, fixed.len() + 1, count);
        sql.push(')');
        touched += tx.exec(&sql, &params)?;
    }
}

fn push_params(sql: &mut String, first: usize, count: usize) {
    for at in first..first + count {
        let comma = if at == first { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(sql, "{comma}?{at}");
    }
}
