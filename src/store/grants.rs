//! Rows of grants: what a user granted to a client, once. Codes and refresh tokens hang on them.

use std::time::Duration;

use crate::domain::app::RefreshBinding;
use crate::domain::{ClientId, GrantId, OrganizationId, Scopes, SessionId, Timestamp, UserId};

use super::{Row, StoreError, Tx};

/// How far the time of a grant's last use may be behind: people read it, nothing decides by it.
const USE_ACCURACY: Duration = Duration::from_mins(1);

/// A grant as the store tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its row.
    pub id: GrantId,
    /// To whom.
    pub client_id: ClientId,
    /// By whom.
    pub user_id: UserId,
    /// The login it came from; it may be gone. `None` for a grant from another device.
    pub session_id: Option<SessionId>,
    /// Whether it ends with that login.
    pub binding: RefreshBinding,
    /// The one organization its tokens may act in, if they are bound.
    pub organization_id: Option<OrganizationId>,
    /// The most its tokens may be used for.
    pub scope: Scopes,
    /// For whom its tokens may be (RFC 8707); empty means the authority itself.
    pub resources: Vec<String>,
    /// When the user proved who they are.
    pub authenticated_at: Timestamp,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// How strongly.
    pub acr: Option<String>,
    /// What the request wanted to find in the ID token.
    pub nonce: Option<String>,
    /// The thumbprint of the key that its tokens are bound to (RFC 9449).
    pub dpop_jkt: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a token was last issued from it, to the minute.
    pub last_used_at: Timestamp,
    /// Nothing of it lives longer.
    pub expires_at: Timestamp,
    /// Since when it counts no more.
    pub revoked_at: Option<Timestamp>,
}

impl Grant {
    /// Whether tokens may be issued from it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// The login session whose end ends it.
    pub const fn bound_session(&self) -> Option<SessionId> {
        match self.binding {
            RefreshBinding::Session => self.session_id,
            RefreshBinding::Standalone => None,
        }
    }
}

const SELECT: &str = "SELECT id, client_id, user_id, session_id, binding, organization_id, scope, \
     resources, authenticated_at, amr, acr, dpop_jkt, created_at, last_used_at, expires_at, \
     revoked_at, nonce FROM grants";

fn from_row(row: &Row) -> Result<Grant, StoreError> {
    let wrong = |column, wanted| StoreError::Inconsistent { column, wanted };
    Ok(Grant {
        id: GrantId::from_uuid(row.uuid(0)?),
        client_id: ClientId::from_uuid(row.uuid(1)?),
        user_id: UserId::from_uuid(row.uuid(2)?),
        session_id: optional(row, 3, SessionId::from_uuid)?,
        binding: RefreshBinding::parse(row.text(4)?).ok_or_else(|| wrong(4, "a binding"))?,
        organization_id: optional(row, 5, OrganizationId::from_uuid)?,
        scope: Scopes::parse(row.text(6)?).map_err(|_| wrong(6, "scopes"))?,
        resources: row.text_array(7)?,
        authenticated_at: row.time(8)?,
        amr: words(row.text(9)?),
        acr: row.optional_text(10)?.map(str::to_owned),
        dpop_jkt: row.optional_text(11)?.map(str::to_owned),
        created_at: row.time(12)?,
        last_used_at: row.time(13)?,
        expires_at: row.time(14)?,
        revoked_at: row.optional_time(15)?,
        nonce: row.optional_text(16)?.map(str::to_owned),
    })
}

fn optional<T>(
    row: &Row,
    column: usize,
    make: impl FnOnce(uuid::Uuid) -> T,
) -> Result<Option<T>, StoreError> {
    if row.is_null(column) {
        Ok(None)
    } else {
        row.uuid(column).map(make).map(Some)
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Adds a grant.
pub fn insert(tx: &mut dyn Tx, grant: &Grant) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO grants (id, client_id, user_id, session_id, binding, organization_id, scope, \
         resources, authenticated_at, amr, acr, dpop_jkt, created_at, last_used_at, expires_at, \
         revoked_at, nonce) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        &[
            grant.id.into(),
            grant.client_id.into(),
            grant.user_id.into(),
            grant.session_id.into(),
            grant.binding.as_str().into(),
            grant.organization_id.into(),
            grant.scope.to_string().into(),
            grant.resources.clone().into(),
            grant.authenticated_at.into(),
            grant.amr.join(" ").into(),
            grant.acr.clone().into(),
            grant.dpop_jkt.clone().into(),
            grant.created_at.into(),
            grant.last_used_at.into(),
            grant.expires_at.into(),
            grant.revoked_at.into(),
            grant.nonce.clone().into(),
        ],
    )?;
    Ok(())
}

/// The grant of this id, whether or not it still counts.
pub fn find(tx: &mut dyn Tx, id: GrantId) -> Result<Option<Grant>, StoreError> {
    let sql = format!("{SELECT} WHERE id = ?1");
    tx.rows(&sql, &[id.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// A user's grants that still count, the newest first.
pub fn of_user(tx: &mut dyn Tx, user: UserId, now: Timestamp) -> Result<Vec<Grant>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2 ORDER BY id DESC"
    );
    tx.rows(&sql, &[user.into(), now.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// The grants that came from a session of the user's and are not revoked, whatever their binding.
pub fn of_session(
    tx: &mut dyn Tx,
    user: UserId,
    session: SessionId,
) -> Result<Vec<Grant>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE user_id = ?1 AND session_id = ?2 AND revoked_at IS NULL ORDER BY id"
    );
    tx.rows(&sql, &[user.into(), session.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// Marks a grant revoked and deletes its code and its refresh tokens. `false` when it was before, or
/// is not there. The marks of used codes and tokens stay, so that a replay is still known for one.
///
/// Access tokens end by [`super::revocations`]; callers go through `authority::revocation`.
pub fn revoke(
    tx: &mut dyn Tx,
    id: GrantId,
    now: Timestamp,
    reason: &str,
) -> Result<bool, StoreError> {
    let changed = tx.exec(
        "UPDATE grants SET revoked_at = ?1, revoke_reason = ?2 WHERE id = ?3 AND revoked_at IS NULL",
        &[now.into(), reason.into(), id.into()],
    )?;
    tx.exec(
        "DELETE FROM authorization_codes WHERE id = ?1",
        &[id.into()],
    )?;
    tx.exec("DELETE FROM refresh_tokens WHERE id = ?1", &[id.into()])?;
    Ok(changed > 0)
}

/// Notes that a token was issued from the grant, unless that is known to the minute.
pub fn touch(tx: &mut dyn Tx, grant: &Grant, now: Timestamp) -> Result<(), StoreError> {
    if now < grant.last_used_at.plus(USE_ACCURACY) {
        return Ok(());
    }
    tx.exec(
        "UPDATE grants SET last_used_at = ?1 WHERE id = ?2 AND last_used_at < ?1",
        &[now.into(), grant.id.into()],
    )?;
    Ok(())
}

/// Binds the grant to a key, once.
pub fn bind_key(tx: &mut dyn Tx, id: GrantId, jkt: &str) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE grants SET dpop_jkt = ?1 WHERE id = ?2 AND dpop_jkt IS NULL",
        &[jkt.into(), id.into()],
    )?;
    Ok(())
}
