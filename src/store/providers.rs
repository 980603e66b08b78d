//! Rows of upstream identity providers.
//!
//! A provider's name means one issuer for ever: accounts are keyed by it.

use crate::domain::Timestamp;
use crate::domain::provider::{ProviderKind, ProviderSettings, ProviderSpec};

use super::{Row, StoreError, Tx};

pub use crate::domain::provider::ProviderSource;

/// The table's name, as seals bind to it.
pub const TABLE: &str = "identity_providers";
/// The sealed column's name, as seals bind to it.
pub const SEALED_COLUMN: &str = "sealed_secret";

/// A provider as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProvider {
    /// Its name, in `oauth_accounts.provider` and in URLs.
    pub provider: String,
    /// How to speak with it.
    pub kind: ProviderKind,
    /// Who it says it is.
    pub issuer: String,
    /// Its name for people.
    pub name: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there, sealed at (table, provider, column).
    pub sealed_secret: Option<Vec<u8>>,
    /// The rest.
    pub settings: ProviderSettings,
    /// Who declared it.
    pub source: ProviderSource,
    /// Whether anybody may log in through it.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl StoredProvider {
    /// What its source declared.
    ///
    /// # Errors
    ///
    /// [`StoreError::Inconsistent`] when its name is none.
    pub fn spec(&self) -> Result<ProviderSpec, StoreError> {
        let provider = self
            .provider
            .parse()
            .map_err(|_| StoreError::Inconsistent {
                column: 0,
                wanted: "a provider's name",
            })?;
        Ok(ProviderSpec {
            provider,
            kind: self.kind,
            issuer: self.issuer.clone(),
            name: self.name.clone(),
            client_id: self.client_id.clone(),
            settings: self.settings.clone(),
        })
    }
}

const SELECT: &str = "SELECT provider, kind, issuer, name, client_id, sealed_secret, settings, \
     source, enabled, created_at, updated_at FROM identity_providers";

fn from_row(row: &Row) -> Result<StoredProvider, StoreError> {
    let unknown = |column, wanted| StoreError::Inconsistent { column, wanted };
    Ok(StoredProvider {
        provider: row.text(0)?.to_owned(),
        kind: row.parse(1)?,
        issuer: row.text(2)?.to_owned(),
        name: row.text(3)?.to_owned(),
        client_id: row.text(4)?.to_owned(),
        sealed_secret: if row.is_null(5) {
            None
        } else {
            Some(row.bytes(5)?.to_vec())
        },
        settings: serde_json::from_str(row.text(6)?)
            .map_err(|_| unknown(6, "a provider's settings"))?,
        source: match row.text(7)? {
            "config" => ProviderSource::Config,
            "api" => ProviderSource::Api,
            _ => return Err(unknown(7, "a provider's source")),
        },
        enabled: row.bool(8)?,
        created_at: row.time(9)?,
        updated_at: row.time(10)?,
    })
}

/// The provider of this name.
pub fn find(tx: &mut dyn Tx, provider: &str) -> Result<Option<StoredProvider>, StoreError> {
    let sql = format!("{SELECT} WHERE provider = ?1");
    tx.rows(&sql, &[provider.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// All of them, by name.
pub fn list(tx: &mut dyn Tx) -> Result<Vec<StoredProvider>, StoreError> {
    tx.rows(&format!("{SELECT} ORDER BY provider"), &[])?
        .iter()
        .map(from_row)
        .collect()
}

/// Adds a provider.
///
/// # Errors
///
/// [`StoreError::Unique`] when the name or the issuer is another's.
pub fn insert(tx: &mut dyn Tx, new: &StoredProvider) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO identity_providers (provider, kind, issuer, name, client_id, sealed_secret, \
         settings, source, enabled, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        &[
            new.provider.as_str().into(),
            new.kind.as_str().into(),
            new.issuer.as_str().into(),
            new.name.as_str().into(),
            new.client_id.as_str().into(),
            new.sealed_secret.clone().into(),
            settings(new)?.into(),
            new.source.as_str().into(),
            new.enabled.into(),
            new.created_at.into(),
            new.updated_at.into(),
        ],
    )?;
    Ok(())
}

/// Changes a provider: all but its name and when it was made. That the issuer stays is for the
/// caller to see to.
pub fn update(tx: &mut dyn Tx, changed: &StoredProvider) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE identity_providers SET kind = ?2, name = ?3, client_id = ?4, sealed_secret = ?5, \
         settings = ?6, source = ?7, enabled = ?8, updated_at = ?9, issuer = ?10 WHERE provider = ?1",
        &[
            changed.provider.as_str().into(),
            changed.kind.as_str().into(),
            changed.name.as_str().into(),
            changed.client_id.as_str().into(),
            changed.sealed_secret.clone().into(),
            settings(changed)?.into(),
            changed.source.as_str().into(),
            changed.enabled.into(),
            changed.updated_at.into(),
            changed.issuer.as_str().into(),
        ],
    )?;
    Ok(())
}

fn settings(of: &StoredProvider) -> Result<String, StoreError> {
    serde_json::to_string(&of.settings).map_err(|error| StoreError::Other(error.to_string()))
}

/// How many accounts are known by this provider.
pub fn accounts(tx: &mut dyn Tx, provider: &str) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM oauth_accounts WHERE provider = ?1";
    match tx.rows(sql, &[provider.into()])?.first() {
        Some(row) => row.int(0),
        None => Ok(0),
    }
}
