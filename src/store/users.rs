//! Rows of users, of their state and of their accounts at identity providers.

use crate::domain::user::{User, UserState};
use crate::domain::{Timestamp, UserId};

use super::{Row, StoreError, Tx};

const SELECT: &str = "SELECT u.id, u.email, u.display_name, u.avatar_url, \
     COALESCE(s.state, 'active'), COALESCE(s.token_epoch, 0), u.created_at, u.updated_at \
     FROM users u LEFT JOIN user_states s ON s.user_id = u.id";

fn state(text: &str, column: usize) -> Result<UserState, StoreError> {
    UserState::parse(text).ok_or(StoreError::Inconsistent {
        column,
        wanted: "a user's state",
    })
}

fn from_row(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: UserId::from_uuid(row.uuid(0)?),
        email: row.text(1)?.to_owned(),
        display_name: row.text(2)?.to_owned(),
        avatar_url: row.optional_text(3)?.map(str::to_owned),
        state: state(row.text(4)?, 4)?,
        token_epoch: row.int(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
    })
}

/// The user with this id.
pub fn find(tx: &mut dyn Tx, id: UserId) -> Result<Option<User>, StoreError> {
    let sql = format!("{SELECT} WHERE u.id = ?1");
    tx.rows(&sql, &[id.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// Users in order of id, from after `after` on.
pub fn page(tx: &mut dyn Tx, after: UserId, limit: i64) -> Result<Vec<User>, StoreError> {
    let sql = format!("{SELECT} WHERE u.id > ?1 ORDER BY u.id LIMIT ?2");
    tx.rows(&sql, &[after.into(), limit.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// Whether the user may act, and under which epoch tokens must have been minted. `None` when there
/// is no such user.
pub fn find_state(tx: &mut dyn Tx, id: UserId) -> Result<Option<(UserState, i64)>, StoreError> {
    let rows = tx.rows(
        "SELECT COALESCE(s.state, 'active'), COALESCE(s.token_epoch, 0) \
         FROM users u LEFT JOIN user_states s ON s.user_id = u.id WHERE u.id = ?1",
        &[id.into()],
    )?;
    rows.first()
        .map(|row| Ok((state(row.text(0)?, 0)?, row.int(1)?)))
        .transpose()
}

/// Sets whether the user may act, and the token epoch.
pub fn put_state(
    tx: &mut dyn Tx,
    id: UserId,
    state: UserState,
    token_epoch: i64,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO user_states (user_id, state, token_epoch) VALUES (?1, ?2, ?3) \
         ON CONFLICT (user_id) DO UPDATE SET state = excluded.state, \
         token_epoch = excluded.token_epoch",
        &[id.into(), state.as_str().into(), token_epoch.into()],
    )?;
    Ok(())
}

/// Adds a user, active.
///
/// # Errors
///
/// [`StoreError::Unique`] when the address is another's.
pub fn insert(tx: &mut dyn Tx, user: &User) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO users (id, email, display_name, avatar_url, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            user.id.into(),
            user.email.as_str().into(),
            user.display_name.as_str().into(),
            user.avatar_url.as_deref().into(),
            user.created_at.into(),
            user.updated_at.into(),
        ],
    )?;
    Ok(())
}

/// Whether a user has this address.
pub fn email_taken(tx: &mut dyn Tx, email: &str) -> Result<bool, StoreError> {
    let rows = tx.rows("SELECT id FROM users WHERE email = ?1", &[email.into()])?;
    Ok(!rows.is_empty())
}

/// The language that a user's provider told, in BCP 47.
pub fn find_locale(tx: &mut dyn Tx, id: UserId) -> Result<Option<String>, StoreError> {
    let rows = tx.rows(
        "SELECT locale FROM user_details WHERE user_id = ?1",
        &[id.into()],
    )?;
    match rows.first() {
        Some(row) => Ok(row.optional_text(0)?.map(str::to_owned)),
        None => Ok(None),
    }
}

/// The user whom an identity provider knows by this account.
pub fn find_by_account(
    tx: &mut dyn Tx,
    provider: &str,
    account_id: &str,
) -> Result<Option<UserId>, StoreError> {
    let rows = tx.rows(
        "SELECT user_id FROM oauth_accounts WHERE provider = ?1 AND provider_account_id = ?2",
        &[provider.into(), account_id.into()],
    )?;
    rows.first()
        .map(|row| row.uuid(0).map(UserId::from_uuid))
        .transpose()
}

/// Binds an account at an identity provider to a user. No provider tokens are kept.
///
/// # Errors
///
/// [`StoreError::Unique`] when the account is another user's.
pub fn link_account(
    tx: &mut dyn Tx,
    id: uuid::Uuid,
    user: UserId,
    (provider, account_id): (&str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO oauth_accounts \
         (id, user_id, provider, provider_account_id, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        &[
            id.into(),
            user.into(),
            provider.into(),
            account_id.into(),
            now.into(),
        ],
    )?;
    Ok(())
}

/// The user who has this address, in its one spelling.
pub fn find_by_email(tx: &mut dyn Tx, email: &str) -> Result<Option<User>, StoreError> {
    let sql = format!("{SELECT} WHERE u.email = ?1");
    tx.rows(&sql, &[email.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// Sets what providers tell of a user: address, name and picture, and when that changed.
///
/// # Errors
///
/// [`StoreError::Unique`] when the address is another's.
pub fn update_profile(tx: &mut dyn Tx, user: &User) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE users SET email = ?2, display_name = ?3, avatar_url = ?4, updated_at = ?5 \
         WHERE id = ?1",
        &[
            user.id.into(),
            user.email.as_str().into(),
            user.display_name.as_str().into(),
            user.avatar_url.as_deref().into(),
            user.updated_at.into(),
        ],
    )?;
    Ok(())
}

/// Notes a login, and the language if the provider tells one.
pub fn put_login(
    tx: &mut dyn Tx,
    id: UserId,
    locale: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO user_details (user_id, locale, last_login_at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (user_id) DO UPDATE SET last_login_at = excluded.last_login_at, \
         locale = COALESCE(excluded.locale, user_details.locale)",
        &[id.into(), locale.into(), now.into()],
    )?;
    Ok(())
}
