//! The seal: what triggers noted in a transaction becomes one frame, just before the commit.

use crate::protocol::feed::{Cell, Frame, Op};

use super::capture::{CLEAR, pending_counts, pending_rows};
use super::driver::Payload;
use super::replicated::{Kind, REPLICATED, Table};
use super::{Dialect, Row, StoreError, Tx, feed};

/// The frame of everything that waits in `feed_pending`, which is empty afterwards; `None` when
/// nothing waits.
///
/// Rows that this transaction touched are locked by it, so reading them now gives what the commit
/// will show. Rows that others left behind (manual SQL) are not: they are read under the counter
/// lock, so that no frame in between can carry something newer.
pub(super) fn payload(
    tx: &mut dyn Tx,
    dialect: Dialect,
    rows_max: usize,
) -> Result<Option<Payload>, StoreError> {
    let mut counts = tx.rows(pending_counts(dialect), &[])?;
    if counts.is_empty() {
        return Ok(None);
    }
    let mut leftovers = false;
    for row in &counts {
        leftovers |= row.bool(2)?;
    }
    if leftovers {
        feed::lock_counter(tx, dialect)?;
        counts = tx.rows(pending_counts(dialect), &[])?;
        if counts.is_empty() {
            // Whoever held the counter sealed them.
            return Ok(None);
        }
    }
    let mut total = 0_i64;
    for row in &counts {
        total = total.saturating_add(row.int(1)?);
    }
    let reset = usize::try_from(total).unwrap_or(usize::MAX) > rows_max;
    let frame = if reset {
        feed::lock_counter(tx, dialect)?;
        tx.exec(CLEAR, &[])?;
        Frame::reset_marker()
    } else {
        let mut ops = Vec::new();
        for row in &counts {
            let table = table(row.int(0)?)?;
            append_ops(
                table,
                &tx.rows(&pending_rows(table, dialect, leftovers), &[])?,
                &mut ops,
            )?;
        }
        if dialect == Dialect::Sqlite {
            tx.exec(CLEAR, &[])?;
        }
        Frame { reset: false, ops }
    };
    Ok(Some(Payload {
        bytes: frame.encode(),
        reset,
    }))
}

fn table(id: i64) -> Result<&'static Table, StoreError> {
    REPLICATED
        .iter()
        .find(|table| i64::from(table.id) == id)
        .ok_or_else(|| StoreError::Other(format!("feed_pending names an unknown table {id}")))
}

/// The ops of one table, in the order of their keys: the same on both engines.
fn append_ops(table: &Table, rows: &[Row], ops: &mut Vec<Op>) -> Result<(), StoreError> {
    let mut found = rows
        .iter()
        .map(|row| {
            let key = (0..table.key_len)
                .map(|index| row.bytes(index).map(<[u8]>::to_vec))
                .collect::<Result<Vec<_>, _>>()?;
            let op = if row.is_null(table.key_len) {
                Op::Delete {
                    table: table.id,
                    key: deleted_key(table, &key)?,
                }
            } else {
                Op::Put {
                    table: table.id,
                    cells: cells(table, row, table.key_len)?,
                }
            };
            Ok((key, op))
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    ops.extend(found.into_iter().map(|(_, op)| op));
    Ok(())
}

fn deleted_key(table: &Table, key: &[Vec<u8>]) -> Result<Vec<Cell>, StoreError> {
    key.iter()
        .zip(table.columns)
        .enumerate()
        .map(|(index, (bytes, column))| match column.kind {
            Kind::Text => String::from_utf8(bytes.clone())
                .map(Cell::Text)
                .map_err(|_| StoreError::Inconsistent {
                    column: index,
                    wanted: "UTF-8",
                }),
            Kind::Id | Kind::Int | Kind::Time => Ok(Cell::Bytes(bytes.clone())),
        })
        .collect()
}

/// A row's replicated columns, which begin at column `first` of the query.
pub(super) fn cells(table: &Table, row: &Row, first: usize) -> Result<Vec<Cell>, StoreError> {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let index = first + index;
            if row.is_null(index) {
                return Ok(Cell::Null);
            }
            match column.kind {
                Kind::Id => Ok(Cell::Bytes(row.uuid(index)?.as_bytes().to_vec())),
                Kind::Text => Ok(Cell::Text(row.text(index)?.to_owned())),
                Kind::Int => Ok(Cell::Int(row.int(index)?)),
                Kind::Time => Ok(Cell::Int(row.time(index)?.unix_micros())),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Val;

    #[test]
    fn a_row_that_is_gone_becomes_a_delete_by_its_key() {
        let table = REPLICATED
            .iter()
            .find(|table| table.name == "scope_permissions")
            .unwrap();
        let row = Row::new(vec![
            Val::Bytes(b"doorward:admin".to_vec()),
            Val::Bytes(vec![7; 16]),
            Val::Null,
            Val::Null,
        ]);
        let mut ops = Vec::new();
        append_ops(table, &[row], &mut ops).unwrap();
        assert_eq!(
            ops,
            [Op::Delete {
                table: table.id,
                key: vec![
                    Cell::Text("doorward:admin".to_owned()),
                    Cell::Bytes(vec![7; 16])
                ]
            }]
        );
    }
}
