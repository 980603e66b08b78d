//! Rows of devices that wait to be let in.

use std::time::Duration;

use crate::domain::{ClientId, GrantId, Scopes, Timestamp, TokenDigest};

use super::{Row, StoreError, Tx};

/// How far a device has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// Nobody has decided.
    Pending,
    /// Let in.
    Approved(GrantId),
    /// Sent away.
    Denied,
}

/// A device that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Of the code that the device has.
    pub device_digest: TokenDigest,
    /// Keyed, of the code that the person types.
    pub user_digest: TokenDigest,
    /// The app on it.
    pub client_id: ClientId,
    /// What it asks for.
    pub scope: Scopes,
    /// For whom.
    pub resources: Vec<String>,
    /// How far it is.
    pub state: DeviceState,
    /// How long it must wait between two polls.
    pub interval: Duration,
    /// When it last did.
    pub last_polled_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// Refused from then on.
    pub expires_at: Timestamp,
}

const SELECT: &str = "SELECT device_code_hash, user_code_hash, client_id, scope, resources, state, \
     grant_id, interval_seconds, last_polled_at, created_at, expires_at FROM device_codes";

fn from_row(row: &Row) -> Result<Device, StoreError> {
    let wrong = |column, wanted| StoreError::Inconsistent { column, wanted };
    let digest = |column| {
        TokenDigest::from_hex(row.text(column)?).ok_or_else(|| wrong(column, "a SHA-256 in hex"))
    };
    let state = match row.text(5)? {
        "pending" => DeviceState::Pending,
        "approved" => DeviceState::Approved(GrantId::from_uuid(row.uuid(6)?)),
        "denied" => DeviceState::Denied,
        _ => return Err(wrong(5, "a device's state")),
    };
    Ok(Device {
        device_digest: digest(0)?,
        user_digest: digest(1)?,
        client_id: ClientId::from_uuid(row.uuid(2)?),
        scope: Scopes::parse(row.text(3)?).map_err(|_| wrong(3, "scopes"))?,
        resources: row.text_array(4)?,
        state,
        interval: Duration::from_secs(u64::try_from(row.int(7)?).map_err(|_| wrong(7, "seconds"))?),
        last_polled_at: row.optional_time(8)?,
        created_at: row.time(9)?,
        expires_at: row.time(10)?,
    })
}

/// Adds a device that waits.
///
/// # Errors
///
/// [`StoreError::Unique`] when another waits with the same user code.
pub fn insert(tx: &mut dyn Tx, device: &Device) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO device_codes (device_code_hash, user_code_hash, client_id, scope, resources, \
         state, grant_id, interval_seconds, last_polled_at, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'pending', NULL, ?6, NULL, ?7, ?8)",
        &[
            device.device_digest.into(),
            device.user_digest.into(),
            device.client_id.into(),
            device.scope.to_string().into(),
            device.resources.clone().into(),
            seconds(device.interval).into(),
            device.created_at.into(),
            device.expires_at.into(),
        ],
    )?;
    Ok(())
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// The device that has this code.
pub fn find(tx: &mut dyn Tx, device: TokenDigest) -> Result<Option<Device>, StoreError> {
    let sql = format!("{SELECT} WHERE device_code_hash = ?1");
    tx.rows(&sql, &[device.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// The device that nobody has decided on, and whose person types this code.
pub fn find_pending(
    tx: &mut dyn Tx,
    user: TokenDigest,
    now: Timestamp,
) -> Result<Option<Device>, StoreError> {
    let sql =
        format!("{SELECT} WHERE user_code_hash = ?1 AND state = 'pending' AND expires_at > ?2");
    tx.rows(&sql, &[user.into(), now.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// How many of the client's devices nobody has decided on.
pub fn waiting(tx: &mut dyn Tx, client: ClientId, now: Timestamp) -> Result<i64, StoreError> {
    let rows = tx.rows(
        "SELECT count(*) FROM device_codes \
         WHERE client_id = ?1 AND state = 'pending' AND expires_at > ?2",
        &[client.into(), now.into()],
    )?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Decides on a device, once. `false` when somebody did before.
pub fn decide(
    tx: &mut dyn Tx,
    device: TokenDigest,
    grant: Option<GrantId>,
) -> Result<bool, StoreError> {
    let state = if grant.is_some() {
        "approved"
    } else {
        "denied"
    };
    let changed = tx.exec(
        "UPDATE device_codes SET state = ?1, grant_id = ?2 \
         WHERE device_code_hash = ?3 AND state = 'pending'",
        &[state.into(), grant.into(), device.into()],
    )?;
    Ok(changed > 0)
}

/// Notes that the device asked, and how long it must wait now.
pub fn polled(
    tx: &mut dyn Tx,
    device: TokenDigest,
    interval: Duration,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE device_codes SET last_polled_at = ?1, interval_seconds = ?2 \
         WHERE device_code_hash = ?3",
        &[now.into(), seconds(interval).into(), device.into()],
    )?;
    Ok(())
}

/// Takes a device's row, once: of any number of transactions only one sees `true`.
pub fn take(tx: &mut dyn Tx, device: TokenDigest) -> Result<bool, StoreError> {
    let taken = tx.rows(
        "DELETE FROM device_codes WHERE device_code_hash = ?1 RETURNING device_code_hash",
        &[device.into()],
    )?;
    Ok(taken.len() == 1)
}
