//! Rows of consents: what a user has agreed that an app may have, scope by scope.

use crate::domain::{ClientId, Scopes, Timestamp, UserId};

use super::{Row, StoreError, Tx};

/// What a user agreed to for one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The app.
    pub client_id: ClientId,
    /// All scopes agreed to.
    pub scope: Scopes,
    /// When the last of them was.
    pub granted_at: Timestamp,
}

fn scopes(rows: &[Row], column: usize) -> Result<Scopes, StoreError> {
    rows.iter().map(|row| row.parse(column)).collect()
}

/// The scopes that the user agreed to for the app.
pub fn granted(tx: &mut dyn Tx, user: UserId, client: ClientId) -> Result<Scopes, StoreError> {
    let rows = tx.rows(
        "SELECT scope FROM consents WHERE user_id = ?1 AND client_id = ?2",
        &[user.into(), client.into()],
    )?;
    scopes(&rows, 0)
}

/// Remembers that the user agreed to these scopes; earlier ones stay.
pub fn grant(
    tx: &mut dyn Tx,
    user: UserId,
    client: ClientId,
    scope: &Scopes,
    now: Timestamp,
) -> Result<(), StoreError> {
    for one in scope.iter() {
        tx.exec(
            "INSERT INTO consents (user_id, client_id, scope, granted_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (user_id, client_id, scope) DO UPDATE SET granted_at = excluded.granted_at",
            &[user.into(), client.into(), one.as_str().into(), now.into()],
        )?;
    }
    Ok(())
}

/// Everything the user agreed to, app by app.
pub fn of_user(tx: &mut dyn Tx, user: UserId) -> Result<Vec<Consent>, StoreError> {
    let rows = tx.rows(
        "SELECT client_id, scope, granted_at FROM consents WHERE user_id = ?1 ORDER BY client_id",
        &[user.into()],
    )?;
    rows.chunk_by(|one, next| one.uuid(0) == next.uuid(0))
        .filter_map(|rows| Some((rows.first()?, rows)))
        .map(|(first, rows)| {
            let mut granted_at = first.time(2)?;
            for row in rows {
                granted_at = granted_at.max(row.time(2)?);
            }
            Ok(Consent {
                client_id: ClientId::from_uuid(first.uuid(0)?),
                scope: scopes(rows, 1)?,
                granted_at,
            })
        })
        .collect()
}

/// Forgets what the user agreed to for the app, and tells whether there was something. Its grants
/// are another matter: `authority::revocation`.
pub fn forget(tx: &mut dyn Tx, user: UserId, client: ClientId) -> Result<bool, StoreError> {
    let gone = tx.exec(
        "DELETE FROM consents WHERE user_id = ?1 AND client_id = ?2",
        &[user.into(), client.into()],
    )?;
    Ok(gone > 0)
}
