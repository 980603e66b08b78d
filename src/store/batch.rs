//! Statements over many rows, a few thousand parameters at a time: one statement per row costs ten
//! times as much on SQLite and a round trip each on PostgreSQL.

use std::fmt::Write as _;

use super::{Row, StoreError, Tx, Val};

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
    insert_or(tx, table, columns, "", rows)
}

/// As [`insert`], and a row whose key, the first `key_len` columns, is there already gets the other
/// values. No key may come twice.
pub fn upsert<const N: usize>(
    tx: &mut dyn Tx,
    table: &str,
    columns: [&str; N],
    key_len: usize,
    rows: impl IntoIterator<Item = [Val; N]>,
) -> Result<(), StoreError> {
    let (key, others) = columns.split_at(key_len.min(N));
    let sets: Vec<String> = others
        .iter()
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    let conflict = format!(
        " ON CONFLICT ({}) DO UPDATE SET {}",
        key.join(", "),
        sets.join(", ")
    );
    insert_or(tx, table, columns, &conflict, rows)
}

fn insert_or<const N: usize>(
    tx: &mut dyn Tx,
    table: &str,
    columns: [&str; N],
    conflict: &str,
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
        sql.push_str(conflict);
        tx.exec(&sql, &params)?;
    }
}

/// Runs `{statement} ({ids})` for all ids; `fixed` are the statement's own parameters `?1`, `?2`, …
pub fn exec_in(
    tx: &mut dyn Tx,
    statement: &str,
    fixed: &[Val],
    ids: impl IntoIterator<Item = Val>,
) -> Result<(), StoreError> {
    each_in(statement, fixed, ids, |sql, params| {
        tx.exec(sql, params).map(|_| ())
    })
}

/// The rows of `{query} ({ids})` for all ids, in no order.
pub fn rows_in(
    tx: &mut dyn Tx,
    query: &str,
    fixed: &[Val],
    ids: impl IntoIterator<Item = Val>,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    each_in(query, fixed, ids, |sql, params| {
        rows.extend(tx.rows(sql, params)?);
        Ok(())
    })?;
    Ok(rows)
}

fn each_in(
    statement: &str,
    fixed: &[Val],
    ids: impl IntoIterator<Item = Val>,
    mut run: impl FnMut(&str, &[Val]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut ids = ids.into_iter();
    loop {
        let mut params = fixed.to_vec();
        params.extend(ids.by_ref().take(MAX_PARAMS));
        let count = params.len() - fixed.len();
        if count == 0 {
            return Ok(());
        }
        let mut sql = format!("{statement} (");
        push_params(&mut sql, fixed.len() + 1, count);
        sql.push(')');
        run(&sql, &params)?;
    }
}

fn push_params(sql: &mut String, first: usize, count: usize) {
    for at in first..first + count {
        let comma = if at == first { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(sql, "{comma}?{at}");
    }
}
