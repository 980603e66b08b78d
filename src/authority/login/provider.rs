//! Providers as a login needs them, and how those of the configuration get into the store.

use serde_json::json;
use uuid::Uuid;

use crate::authority::app::Authority;
use crate::crypto::digest::constant_time_eq;
use crate::crypto::seal::{KeyRing, Place, SealError};
use crate::domain::provider::{ProviderKind, ProviderSettings};
use crate::domain::{Secret, Timestamp};
use crate::store::audit::{self, AuditEntry};
use crate::store::providers::{self, ProviderSource, SEALED_COLUMN, StoredProvider, TABLE};
use crate::store::{StoreError, Tx};

/// A provider of the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredProvider {
    /// Its name in paths and rows.
    pub provider: String,
    /// How to speak with it.
    pub kind: ProviderKind,
    /// Who it says it is.
    pub issuer: String,
    /// Its name for people.
    pub name: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub secret: Option<Secret<String>>,
    /// The rest.
    pub settings: ProviderSettings,
}

/// A provider that people may log in through, with its secret at hand.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name in paths and rows.
    pub slug: String,
    /// How to speak with it.
    pub kind: ProviderKind,
    /// Who it says it is.
    pub issuer: String,
    /// Its name for people.
    pub name: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there.
    pub secret: Option<Secret<String>>,
    /// The rest.
    pub settings: ProviderSettings,
}

/// Why a provider is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Its secret does not open.
    #[error("the secret of provider `{provider}` cannot be opened")]
    Sealed {
        /// Which.
        provider: String,
        /// Why.
        source: SealError,
    },
    /// A name that stands for another issuer.
    #[error(
        "provider `{provider}` stands for the issuer `{issuer}` for ever: its accounts are keyed by \
         it; use another name for another issuer"
    )]
    Issuer {
        /// Which.
        provider: String,
        /// For whom it stands.
        issuer: String,
    },
    /// An issuer that has another name.
    #[error("the issuer `{issuer}` is provider `{provider}` already")]
    IssuerTaken {
        /// Who has it.
        provider: String,
        /// Which.
        issuer: String,
    },
    /// A secret cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const fn place(provider: &str) -> Place<'_> {
    Place {
        table: TABLE,
        row: provider,
        column: SEALED_COLUMN,
    }
}

/// Seals a provider's secret for its row.
pub fn seal_secret(
    ring: &KeyRing,
    provider: &str,
    secret: &Secret<String>,
) -> Result<Vec<u8>, SealError> {
    ring.seal(secret.expose().as_bytes(), place(provider))
}

/// Opens what [`seal_secret`] sealed.
pub fn open_secret(
    ring: &KeyRing,
    stored: &StoredProvider,
) -> Result<Option<Secret<String>>, SealError> {
    let Some(sealed) = &stored.sealed_secret else {
        return Ok(None);
    };
    let opened = ring.open(sealed, place(&stored.provider))?;
    String::from_utf8(opened.to_vec())
        .map(|text| Some(Secret::new(text)))
        .map_err(|_| SealError::Damaged)
}

/// Seals every provider's secret again under the newest key, and tells how many changed.
pub fn reseal(tx: &mut dyn Tx, ring: &KeyRing) -> Result<usize, ProviderError> {
    let mut changed = 0;
    for mut stored in providers::list(tx)? {
        let Some(sealed) = &stored.sealed_secret else {
            continue;
        };
        let resealed = ring
            .reseal(sealed, place(&stored.provider))
            .map_err(|source| ProviderError::Sealed {
                provider: stored.provider.clone(),
                source,
            })?;
        if let Some(sealed) = resealed {
            stored.sealed_secret = Some(sealed);
            providers::update(tx, &stored)?;
            changed += 1;
        }
    }
    Ok(changed)
}

impl Provider {
    /// The enabled provider of this name.
    pub async fn find(authority: &Authority, slug: &str) -> Result<Option<Self>, ProviderError> {
        let name = slug.to_owned();
        let stored = authority
            .store
            .read::<_, StoreError>(move |tx| providers::find(tx, &name))
            .await?;
        stored
            .filter(|stored| usable(authority, stored))
            .map(|stored| Self::of(authority, stored))
            .transpose()
    }

    fn of(authority: &Authority, stored: StoredProvider) -> Result<Self, ProviderError> {
        let secret = open_secret(authority.keys.sealer().ring(), &stored).map_err(|source| {
            ProviderError::Sealed {
                provider: stored.provider.clone(),
                source,
            }
        })?;
        Ok(Self {
            slug: stored.provider,
            kind: stored.kind,
            issuer: stored.issuer,
            name: stored.name,
            client_id: stored.client_id,
            secret,
            settings: stored.settings,
        })
    }

    /// Where its answers come back to.
    pub fn redirect_uri(&self, authority: &Authority) -> String {
        format!("{}/login/callback/{}", authority.config.issuer, self.slug)
    }

    /// Whether it can be asked to let the user prove who they are again. GitHub has no way to ask;
    /// Google refuses `prompt=login` and tells no `auth_time`.
    pub const fn reauthenticates(&self) -> bool {
        !matches!(self.kind, ProviderKind::Github | ProviderKind::Google)
    }

    /// What to ask for, space-delimited.
    pub fn scope(&self) -> String {
        let own: &[&str] = match self.kind {
            ProviderKind::Github => &["read:user", "user:email"],
            ProviderKind::Oidc | ProviderKind::Google | ProviderKind::Demo => {
                &["openid", "profile", "email"]
            }
        };
        if self.settings.scopes.is_empty() {
            return own.join(" ");
        }
        let mut scopes = self.settings.scopes.clone();
        let openid = "openid".to_owned();
        if self.kind != ProviderKind::Github && !scopes.contains(&openid) {
            scopes.insert(0, openid);
        }
        scopes.join(" ")
    }
}

/// Every provider that people may log in through, by name.
pub async fn enabled(authority: &Authority) -> Result<Vec<StoredProvider>, StoreError> {
    let mut found = authority
        .store
        .read::<_, StoreError>(|tx| providers::list(tx))
        .await?;
    found.retain(|stored| usable(authority, stored));
    Ok(found)
}

/// The demo provider lets anybody be anybody: a row of it counts only where it runs.
fn usable(authority: &Authority, stored: &StoredProvider) -> bool {
    stored.enabled && (stored.kind != ProviderKind::Demo || authority.config.demo_provider)
}

/// Brings the configuration's providers into the store, and disables those that it no longer
/// names. `ids` are for audit rows, one a provider and one more for each that may go.
///
/// # Errors
///
/// [`ProviderError::Issuer`] and [`ProviderError::IssuerTaken`]: nothing was changed.
pub fn sync_configured(
    tx: &mut dyn Tx,
    ring: &KeyRing,
    configured: &[ConfiguredProvider],
    now: Timestamp,
    ids: &mut dyn FnMut() -> Uuid,
) -> Result<(), ProviderError> {
    let live = providers::list(tx)?;
    for wanted in configured {
        let found = live.iter().find(|row| row.provider == wanted.provider);
        check_issuer(&live, wanted)?;
        let Some(row) = merged(ring, wanted, found, now)? else {
            continue;
        };
        let event = if found.is_some() {
            providers::update(tx, &row)?;
            "provider.changed"
        } else {
            providers::insert(tx, &row)?;
            "provider.created"
        };
        record(tx, ids(), event, &row)?;
    }
    for row in live {
        let named = configured
            .iter()
            .any(|wanted| wanted.provider == row.provider);
        if row.source == ProviderSource::Config && row.enabled && !named {
            let gone = StoredProvider {
                enabled: false,
                updated_at: now,
                ..row
            };
            providers::update(tx, &gone)?;
            record(tx, ids(), "provider.disabled", &gone)?;
        }
    }
    Ok(())
}

fn check_issuer(live: &[StoredProvider], wanted: &ConfiguredProvider) -> Result<(), ProviderError> {
    for row in live {
        // The demo's accounts are its own whatever its port.
        let demo = wanted.kind == ProviderKind::Demo && row.kind == ProviderKind::Demo;
        if row.provider == wanted.provider && row.issuer != wanted.issuer && !demo {
            return Err(ProviderError::Issuer {
                provider: row.provider.clone(),
                issuer: row.issuer.clone(),
            });
        }
        if row.provider != wanted.provider && row.issuer == wanted.issuer {
            return Err(ProviderError::IssuerTaken {
                provider: row.provider.clone(),
                issuer: row.issuer.clone(),
            });
        }
    }
    Ok(())
}

/// The row as it shall be; `None` when it is so already.
fn merged(
    ring: &KeyRing,
    wanted: &ConfiguredProvider,
    found: Option<&StoredProvider>,
    now: Timestamp,
) -> Result<Option<StoredProvider>, ProviderError> {
    let held = match found {
        Some(row) => open_secret(ring, row).map_err(|source| ProviderError::Sealed {
            provider: row.provider.clone(),
            source,
        })?,
        None => None,
    };
    let same_secret = match (&held, &wanted.secret) {
        (None, None) => true,
        (Some(held), Some(wanted)) => {
            constant_time_eq(held.expose().as_bytes(), wanted.expose().as_bytes())
        }
        _ => false,
    };
    let sealed_secret = match (found, &wanted.secret) {
        (Some(row), _) if same_secret => row.sealed_secret.clone(),
        (_, Some(secret)) => Some(seal_secret(ring, &wanted.provider, secret)?),
        (_, None) => None,
    };
    let row = StoredProvider {
        provider: wanted.provider.clone(),
        kind: wanted.kind,
        issuer: wanted.issuer.clone(),
        name: wanted.name.clone(),
        client_id: wanted.client_id.clone(),
        sealed_secret,
        settings: wanted.settings.clone(),
        source: ProviderSource::Config,
        enabled: true,
        created_at: found.map_or(now, |row| row.created_at),
        updated_at: found.map_or(now, |row| row.updated_at),
    };
    if found == Some(&row) {
        return Ok(None);
    }
    Ok(Some(StoredProvider {
        updated_at: now,
        ..row
    }))
}

fn record(
    tx: &mut dyn Tx,
    id: Uuid,
    event: &'static str,
    row: &StoredProvider,
) -> Result<(), StoreError> {
    audit::record(
        tx,
        &AuditEntry {
            id,
            at: row.updated_at,
            actor: "system".to_owned(),
            event,
            organization: None,
            target: Some(format!("provider:{}", row.provider)),
            details: json!({ "kind": row.kind, "issuer": row.issuer }),
        },
    )
}
