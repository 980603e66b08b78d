//! Rows of back-channel logouts that wait for their client to hear of them. What queues one is
//! [`super::revocations::queue_logout`], in the transaction that ends the session.

use uuid::Uuid;

use crate::domain::{ClientId, SessionId, Timestamp, UserId};

use super::{Row, StoreError, Tx};

/// A logout that a client has not heard of yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingLogout {
    /// Its row.
    pub id: Uuid,
    /// Whom to tell.
    pub client_id: ClientId,
    /// Who logged out.
    pub user_id: UserId,
    /// Of which session; `None` means all of them.
    pub session_id: Option<SessionId>,
    /// How often it was tried, this time included.
    pub attempts: i64,
    /// When telling is given up.
    pub expires_at: Timestamp,
}

fn from_row(row: &Row) -> Result<PendingLogout, StoreError> {
    Ok(PendingLogout {
        id: row.uuid(0)?,
        client_id: ClientId::from_uuid(row.uuid(1)?),
        user_id: UserId::from_uuid(row.uuid(2)?),
        session_id: if row.is_null(3) {
            None
        } else {
            Some(SessionId::from_uuid(row.uuid(3)?))
        },
        attempts: row.int(4)?,
        expires_at: row.time(5)?,
    })
}

/// Takes at most `most` logouts that are due, the longest waiting first, and counts the attempt. No
/// other process is given them before `until`: after that, whoever took them is taken for dead.
pub fn claim(
    tx: &mut dyn Tx,
    now: Timestamp,
    until: Timestamp,
    most: u32,
) -> Result<Vec<PendingLogout>, StoreError> {
    // The outer condition is not idle: on PostgreSQL a second process waits for the row and then
    // looks at it again.
    tx.rows(
        "UPDATE logout_outbox SET next_at = ?2, attempts = attempts + 1 WHERE id IN \
         (SELECT id FROM logout_outbox WHERE next_at <= ?1 AND expires_at > ?1 \
         ORDER BY next_at LIMIT ?3) AND next_at <= ?1 \
         RETURNING id, client_id, user_id, session_id, attempts, expires_at",
        &[now.into(), until.into(), i64::from(most).into()],
    )?
    .iter()
    .map(from_row)
    .collect()
}

/// When the next one is due, if one waits.
pub fn next_due(tx: &mut dyn Tx, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    tx.rows(
        "SELECT next_at FROM logout_outbox WHERE expires_at > ?1 ORDER BY next_at LIMIT 1",
        &[now.into()],
    )?
    .first()
    .map(|row| row.time(0))
    .transpose()
}

/// Puts one off.
pub fn retry_at(tx: &mut dyn Tx, id: Uuid, at: Timestamp) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE logout_outbox SET next_at = ?2 WHERE id = ?1",
        &[id.into(), at.into()],
    )?;
    Ok(())
}

/// Takes one out: its client has heard of it, or never will.
pub fn delete(tx: &mut dyn Tx, id: Uuid) -> Result<(), StoreError> {
    tx.exec("DELETE FROM logout_outbox WHERE id = ?1", &[id.into()])?;
    Ok(())
}
