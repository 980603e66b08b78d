//! Rows that tell sidecars which sessions and grants ended before their tokens did, and those that
//! tell clients.

use uuid::Uuid;

use crate::domain::{ClientId, GrantId, SessionId, Timestamp, UserId};

use super::{Row, StoreError, Tx};

/// Refuses a session's tokens until `until`: when the last of them has ended by itself.
pub fn revoke_session(
    tx: &mut dyn Tx,
    session: SessionId,
    until: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO revoked_sessions (session_id, expires_at) VALUES (?1, ?2) \
         ON CONFLICT (session_id) DO NOTHING",
        &[session.into(), until.into()],
    )?;
    Ok(())
}

/// Refuses a grant's tokens until `until`: when the last of them has ended by itself.
pub fn revoke_grant(tx: &mut dyn Tx, grant: GrantId, until: Timestamp) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO revoked_grants (grant_id, expires_at) VALUES (?1, ?2) \
         ON CONFLICT (grant_id) DO NOTHING",
        &[grant.into(), until.into()],
    )?;
    Ok(())
}

/// Whether the session's tokens are refused.
pub fn is_session_revoked(tx: &mut dyn Tx, session: SessionId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM revoked_sessions WHERE session_id = ?1";
    Ok(!tx.rows(sql, &[session.into()])?.is_empty())
}

/// Whether the grant's tokens are refused.
pub fn is_grant_revoked(tx: &mut dyn Tx, grant: GrantId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM revoked_grants WHERE grant_id = ?1";
    Ok(!tx.rows(sql, &[grant.into()])?.is_empty())
}

/// Deletes a session's row and tells whose it was; `None` when there was none.
pub fn delete_session(tx: &mut dyn Tx, session: SessionId) -> Result<Option<UserId>, StoreError> {
    tx.rows(
        "DELETE FROM sessions WHERE id = ?1 RETURNING user_id",
        &[session.into()],
    )?
    .first()
    .map(|row| row.uuid(0).map(UserId::from_uuid))
    .transpose()
}

/// A user's sessions, whether or not they have ended by time.
pub fn sessions_of(tx: &mut dyn Tx, user: UserId) -> Result<Vec<SessionId>, StoreError> {
    tx.rows(
        "SELECT id FROM sessions WHERE user_id = ?1 ORDER BY id",
        &[user.into()],
    )?
    .iter()
    .map(|row| row.uuid(0).map(SessionId::from_uuid))
    .collect()
}

/// The clients that were logged in to through a session of the user's and want to hear of its end (OpenID Connect
/// Back-Channel Logout).
pub fn clients_to_tell(
    tx: &mut dyn Tx,
    user: UserId,
    session: SessionId,
) -> Result<Vec<ClientId>, StoreError> {
    tx.rows(
        "SELECT DISTINCT g.client_id FROM grants g \
         JOIN client_details d ON d.client_id = g.client_id \
         WHERE g.user_id = ?1 AND g.session_id = ?2 AND d.backchannel_logout_uri IS NOT NULL",
        &[user.into(), session.into()],
    )?
    .iter()
    .map(|row: &Row| row.uuid(0).map(ClientId::from_uuid))
    .collect()
}

/// A client to be told that a session has ended.
#[derive(Debug, Clone, Copy)]
pub struct Logout {
    /// The row's id.
    pub id: Uuid,
    /// Whom to tell.
    pub client: ClientId,
    /// Who logged out.
    pub user: UserId,
    /// Of which session.
    pub session: SessionId,
    /// When.
    pub now: Timestamp,
    /// When telling is given up.
    pub expires_at: Timestamp,
}

/// Queues a back-channel logout.
pub fn queue_logout(tx: &mut dyn Tx, logout: &Logout) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO logout_outbox (id, client_id, user_id, session_id, attempts, next_at, \
         created_at, expires_at) VALUES (?1, ?2, ?3, ?4, 0, ?5, ?5, ?6)",
        &[
            logout.id.into(),
            logout.client.into(),
            logout.user.into(),
            logout.session.into(),
            logout.now.into(),
            logout.expires_at.into(),
        ],
    )?;
    Ok(())
}
