//! Rows that count until a time and are of no use after it.

use crate::domain::Timestamp;

use super::{StoreError, Tx};

/// A table of such rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transient {
    /// The table.
    pub table: &'static str,
    key: &'static str,
    until: &'static str,
}

/// Every table whose rows end by time. A row whose time is NULL stays.
///
/// `revoked_sessions` and `revoked_grants` are replicated: what is purged here leaves the copies too.
pub const TRANSIENT: &[Transient] = &[
    Transient::new("join_tokens", "id", "expires_at"),
    Transient::new("client_secrets", "id", "expires_at"),
    Transient::new("revoked_sessions", "session_id", "expires_at"),
    Transient::new("revoked_grants", "grant_id", "expires_at"),
    Transient::new("sessions", "id", "expires_at"),
    // Without its details a session is over; the row itself follows at its absolute end.
    Transient::new("session_details", "session_id", "idle_expires_at"),
    Transient::new("authorization_codes", "id", "expires_at"),
    Transient::new("authorization_code_tombstones", "code_hash", "purge_at"),
    Transient::new("refresh_tokens", "id", "expires_at"),
    Transient::new("refresh_token_tombstones", "token_hash", "purge_at"),
    Transient::new("grants", "id", "expires_at"),
    // The hash covers the issuer too: it is a key of its own.
    Transient::new("used_jtis", "jti_hash", "purge_at"),
    Transient::new("pushed_requests", "uri_hash", "expires_at"),
    Transient::new("device_codes", "device_code_hash", "expires_at"),
    Transient::new("logout_outbox", "id", "expires_at"),
    Transient::new("failed_attempts", "bucket", "expires_at"),
    Transient::new("organization_invitations", "id", "expires_at"),
    Transient::new("registration_tokens", "id", "expires_at"),
];

impl Transient {
    const fn new(table: &'static str, key: &'static str, until: &'static str) -> Self {
        Self { table, key, until }
    }
}

/// Deletes at most `most` rows whose time has come by `now`, and tells how many.
pub fn purge(
    tx: &mut dyn Tx,
    what: Transient,
    now: Timestamp,
    most: u32,
) -> Result<u64, StoreError> {
    let Transient { table, key, until } = what;
    tx.exec(
        &format!(
            "DELETE FROM {table} WHERE {key} IN \
             (SELECT {key} FROM {table} WHERE {until} <= ?1 ORDER BY {until} LIMIT ?2)"
        ),
        &[now.into(), i64::from(most).into()],
    )
}
