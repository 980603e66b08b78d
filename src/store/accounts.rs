//! Rows of users' accounts at identity providers, and of what those accounts gave them.
//!
//! The key is (provider, subject), never the e-mail.

use crate::domain::{AccountId, OrganizationId, RoleId, Timestamp, UserId};

use super::{Row, StoreError, Tx};

/// The table's name, as seals of its tokens bind to it.
pub const TABLE: &str = "oauth_accounts";

/// An account at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its row.
    pub id: AccountId,
    /// Whose it is.
    pub user_id: UserId,
    /// The provider.
    pub provider: String,
    /// The account's name there.
    pub subject: String,
    /// The address that the provider tells, verified or not.
    pub email: Option<String>,
    /// Whether the provider says that it is verified.
    pub email_verified: bool,
    /// When it was linked.
    pub created_at: Timestamp,
    /// The last login through it; the time of linking when there was none.
    pub last_login_at: Timestamp,
}

/// What a login tells of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDetails {
    /// The address.
    pub email: Option<String>,
    /// Whether the provider says that it is verified.
    pub email_verified: bool,
    /// When.
    pub last_login_at: Timestamp,
}

/// A provider's tokens, each sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealedTokens {
    /// To call the provider's API.
    pub access: Option<String>,
    /// To get a new one.
    pub refresh: Option<String>,
    /// What they are good for, in the provider's words.
    pub scope: Option<String>,
    /// When the access token ends, if the provider said.
    pub expires_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT a.id, a.user_id, a.provider, a.provider_account_id, d.email, \
     COALESCE(d.email_verified, ?1), a.created_at, COALESCE(d.last_login_at, a.created_at) \
     FROM oauth_accounts a LEFT JOIN account_details d ON d.account_id = a.id";

fn from_row(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        id: AccountId::from_uuid(row.uuid(0)?),
        user_id: UserId::from_uuid(row.uuid(1)?),
        provider: row.text(2)?.to_owned(),
        subject: row.text(3)?.to_owned(),
        email: row.optional_text(4)?.map(str::to_owned),
        email_verified: row.bool(5)?,
        created_at: row.time(6)?,
        last_login_at: row.time(7)?,
    })
}

/// The account that the provider knows by this name.
pub fn find(tx: &mut dyn Tx, provider: &str, subject: &str) -> Result<Option<Account>, StoreError> {
    let sql = format!("{SELECT} WHERE a.provider = ?2 AND a.provider_account_id = ?3");
    tx.rows(&sql, &[false.into(), provider.into(), subject.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// A user's accounts, the oldest first.
pub fn of_user(tx: &mut dyn Tx, user: UserId) -> Result<Vec<Account>, StoreError> {
    let sql = format!("{SELECT} WHERE a.user_id = ?2 ORDER BY a.created_at, a.id");
    tx.rows(&sql, &[false.into(), user.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// Links an account to a user.
///
/// # Errors
///
/// [`StoreError::Unique`] when it is linked already.
pub fn insert(tx: &mut dyn Tx, account: &Account) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO oauth_accounts \
         (id, user_id, provider, provider_account_id, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        &[
            account.id.into(),
            account.user_id.into(),
            account.provider.as_str().into(),
            account.subject.as_str().into(),
            account.created_at.into(),
        ],
    )?;
    put_details(
        tx,
        account.id,
        &AccountDetails {
            email: account.email.clone(),
            email_verified: account.email_verified,
            last_login_at: account.last_login_at,
        },
    )
}

/// Notes a login.
pub fn put_details(
    tx: &mut dyn Tx,
    id: AccountId,
    details: &AccountDetails,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO account_details (account_id, email, email_verified, last_login_at) \
         VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (account_id) DO UPDATE SET email = excluded.email, \
         email_verified = excluded.email_verified, last_login_at = excluded.last_login_at",
        &[
            id.into(),
            details.email.as_deref().into(),
            details.email_verified.into(),
            details.last_login_at.into(),
        ],
    )?;
    Ok(())
}

/// Unlinks an account; what it gave goes with it, membership roles apart.
pub fn delete(tx: &mut dyn Tx, id: AccountId) -> Result<bool, StoreError> {
    Ok(tx.exec("DELETE FROM oauth_accounts WHERE id = ?1", &[id.into()])? > 0)
}

/// The provider's tokens of an account.
pub fn tokens(tx: &mut dyn Tx, id: AccountId) -> Result<SealedTokens, StoreError> {
    let rows = tx.rows(
        "SELECT a.access_token, a.refresh_token, d.scope, d.token_expires_at \
         FROM oauth_accounts a LEFT JOIN account_details d ON d.account_id = a.id \
         WHERE a.id = ?1",
        &[id.into()],
    )?;
    let Some(row) = rows.first() else {
        return Ok(SealedTokens::default());
    };
    let text = |index| Ok::<_, StoreError>(row.optional_text(index)?.map(str::to_owned));
    Ok(SealedTokens {
        access: text(0)?,
        refresh: text(1)?,
        scope: text(2)?,
        expires_at: row.optional_time(3)?,
    })
}

/// Keeps the provider's tokens of an account, or none. Call after [`put_details`].
pub fn put_tokens(
    tx: &mut dyn Tx,
    id: AccountId,
    tokens: &SealedTokens,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE oauth_accounts SET access_token = ?2, refresh_token = ?3, updated_at = ?4 \
         WHERE id = ?1",
        &[
            id.into(),
            tokens.access.as_deref().into(),
            tokens.refresh.as_deref().into(),
            now.into(),
        ],
    )?;
    tx.exec(
        "UPDATE account_details SET scope = ?2, token_expires_at = ?3 WHERE account_id = ?1",
        &[
            id.into(),
            tokens.scope.as_deref().into(),
            tokens.expires_at.into(),
        ],
    )?;
    Ok(())
}

/// Every account that keeps tokens, for sealing them again under a new key.
pub fn with_tokens(tx: &mut dyn Tx) -> Result<Vec<(AccountId, SealedTokens)>, StoreError> {
    let rows = tx.rows(
        "SELECT id FROM oauth_accounts \
         WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL ORDER BY id",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            let id = AccountId::from_uuid(row.uuid(0)?);
            Ok((id, tokens(tx, id)?))
        })
        .collect()
}

/// The roles that an account's groups gave.
pub fn roles(tx: &mut dyn Tx, id: AccountId) -> Result<Vec<(OrganizationId, RoleId)>, StoreError> {
    let rows = tx.rows(
        "SELECT organization_id, role_id FROM account_roles WHERE account_id = ?1 \
         ORDER BY organization_id, role_id",
        &[id.into()],
    )?;
    rows.iter()
        .map(|row| {
            Ok((
                OrganizationId::from_uuid(row.uuid(0)?),
                RoleId::from_uuid(row.uuid(1)?),
            ))
        })
        .collect()
}

/// Notes that an account's group gave a role.
pub fn add_role(
    tx: &mut dyn Tx,
    id: AccountId,
    (organization, role): (OrganizationId, RoleId),
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO account_roles (account_id, organization_id, role_id) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO NOTHING",
        &[id.into(), organization.into(), role.into()],
    )?;
    Ok(())
}

/// Notes that an account gives a role no more.
pub fn remove_role(
    tx: &mut dyn Tx,
    id: AccountId,
    (organization, role): (OrganizationId, RoleId),
) -> Result<(), StoreError> {
    tx.exec(
        "DELETE FROM account_roles \
         WHERE account_id = ?1 AND organization_id = ?2 AND role_id = ?3",
        &[id.into(), organization.into(), role.into()],
    )?;
    Ok(())
}

/// Whether another account of the same user gives the role too.
pub fn role_given_by_another(
    tx: &mut dyn Tx,
    id: AccountId,
    user: UserId,
    (organization, role): (OrganizationId, RoleId),
) -> Result<bool, StoreError> {
    let rows = tx.rows(
        "SELECT 1 FROM account_roles r JOIN oauth_accounts a ON a.id = r.account_id \
         WHERE a.user_id = ?1 AND r.account_id <> ?2 AND r.organization_id = ?3 \
         AND r.role_id = ?4 LIMIT 1",
        &[user.into(), id.into(), organization.into(), role.into()],
    )?;
    Ok(!rows.is_empty())
}
