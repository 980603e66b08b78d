//! Rows that count until a time and are of no use after it.

use std::time::Duration;

use crate::domain::{ClientId, Timestamp};

use super::{StoreError, Tx};

/// A table of such rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transient {
    /// The table that loses rows.
    pub table: &'static str,
    key: &'static str,
    /// The table that says when: the same one, or a companion.
    pub watched: &'static str,
    watched_key: &'static str,
    /// Its column.
    pub until: &'static str,
    /// How much longer a row stays.
    grace: Duration,
    /// A table, and its column, whose rows go with those of this one in the same transaction.
    with: Option<(&'static str, &'static str)>,
}

/// How long a client that has ended is still there, retired: longer than any token of it, so that
/// every copy refuses those by the client's state.
const CLIENT_GRACE: Duration = Duration::from_hours(48);

/// Every table whose rows end by time. A row whose time is NULL stays.
///
/// `revoked_sessions` and `revoked_grants` are replicated: what is purged here leaves the copies too.
pub const TRANSIENT: &[Transient] = &[
    Transient::new("join_tokens", "id", "expires_at"),
    Transient::new("client_secrets", "id", "expires_at"),
    Transient::new("revoked_sessions", "session_id", "expires_at"),
    Transient::new("revoked_grants", "grant_id", "expires_at"),
    Transient::new("sessions", "id", "expires_at"),
    Transient::new("authorization_codes", "id", "expires_at"),
    Transient::new("refresh_tokens", "id", "expires_at"),
    Transient::new("refresh_token_tombstones", "token_hash", "purge_at"),
    Transient::new("grants", "id", "expires_at"),
    Transient::new("used_jtis", "issuer, jti_hash", "purge_at"),
    Transient::new("pushed_requests", "uri_hash", "expires_at"),
    Transient::new("device_codes", "device_code_hash", "expires_at"),
    Transient::new("logout_outbox", "id", "expires_at"),
    Transient::new("failed_attempts", "bucket", "expires_at"),
    Transient::new("organization_invitations", "id", "expires_at"),
    Transient::new("registration_tokens", "id", "expires_at"),
    Transient::new("leases", "name", "expires_at"),
    Transient::new("sessions", "id", "").when("session_details", "session_id", "idle_expires_at"),
    // Nothing cascades to the state: sidecars keep it in a table of its own.
    Transient::new("oauth_clients", "id", "")
        .when("client_details", "client_id", "expires_at")
        .later(CLIENT_GRACE)
        .with("client_states", "client_id"),
];

impl Transient {
    const fn new(table: &'static str, key: &'static str, until: &'static str) -> Self {
        Self {
            table,
            key,
            watched: table,
            watched_key: key,
            until,
            grace: Duration::ZERO,
            with: None,
        }
    }

    const fn when(self, table: &'static str, key: &'static str, until: &'static str) -> Self {
        Self {
            watched: table,
            watched_key: key,
            until,
            ..self
        }
    }

    const fn later(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    const fn with(self, table: &'static str, key: &'static str) -> Self {
        Self {
            with: Some((table, key)),
            ..self
        }
    }
}

/// Deletes at most `most` rows whose time has come by `now`, and tells how many.
pub fn purge(
    tx: &mut dyn Tx,
    what: Transient,
    now: Timestamp,
    most: u32,
) -> Result<u64, StoreError> {
    let Transient {
        table,
        key,
        watched,
        watched_key,
        until,
        grace,
        with,
    } = what;
    // A companion's row names rows that are gone already only where nothing cascades: those are
    // passed over, or they would fill the limit.
    let there = if table == watched {
        String::new()
    } else {
        format!(" AND EXISTS (SELECT 1 FROM {table} t WHERE t.{key} = w.{watched_key})")
    };
    let delete = format!(
        "DELETE FROM {table} WHERE ({key}) IN (SELECT {watched_key} FROM {watched} w \
         WHERE {until} <= ?1{there} ORDER BY {until} LIMIT ?2)"
    );
    let bounds = [now.minus(grace).into(), i64::from(most).into()];
    let Some((beside, beside_key)) = with else {
        return tx.exec(&delete, &bounds);
    };
    // In this order: whoever writes to the other table has this one's row locked, so that what they
    // write is there when the second statement looks, or finds the row gone (`clients::retire`).
    let gone = tx.rows(&format!("{delete} RETURNING {key}"), &bounds)?;
    for row in &gone {
        let id = row.uuid(0)?;
        tx.exec(
            &format!("DELETE FROM {beside} WHERE {beside_key} = ?1"),
            &[id.into()],
        )?;
    }
    Ok(gone.len() as u64)
}

/// Clients whose time is over and that are not retired yet.
pub fn ended_clients(
    tx: &mut dyn Tx,
    now: Timestamp,
    most: u32,
) -> Result<Vec<ClientId>, StoreError> {
    tx.rows(
        "SELECT d.client_id FROM client_details d \
         LEFT JOIN client_states s ON s.client_id = d.client_id \
         WHERE d.expires_at <= ?1 AND COALESCE(s.state, 'active') = 'active' \
         ORDER BY d.expires_at LIMIT ?2",
        &[now.into(), i64::from(most).into()],
    )?
    .iter()
    .map(|row| row.uuid(0).map(ClientId::from_uuid))
    .collect()
}
