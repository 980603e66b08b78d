//! Providers as a login needs them.

use crate::authority::app::Authority;
use crate::crypto::seal::{KeyRing, Place, SealError};
use crate::domain::Secret;
use crate::domain::provider::{ProviderKind, ProviderSettings, ProviderSpec};
use crate::store::providers::{self, SEALED_COLUMN, StoredProvider, TABLE};
use crate::store::{StoreError, Tx};

/// A provider of the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredProvider {
    /// What it says.
    pub spec: ProviderSpec,
    /// Our secret there.
    pub secret: Option<Secret<String>>,
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
    /// A name that stands for accounts of another kind.
    #[error(
        "provider `{provider}` is of kind `{kind}` for ever: its accounts are known by the subjects \
         of that kind; use another name for another kind"
    )]
    Kind {
        /// Which.
        provider: String,
        /// Of which kind it is.
        kind: ProviderKind,
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
        let found = Self::stored(authority, slug).await?;
        found
            .filter(|stored| usable(authority, stored))
            .map(|stored| Self::of(authority, stored))
            .transpose()
    }

    /// The provider of this name, a retired one too: sessions that it opened go on, and it may still
    /// say that they are over.
    pub async fn known(authority: &Authority, slug: &str) -> Result<Option<Self>, ProviderError> {
        let found = Self::stored(authority, slug).await?;
        found
            .filter(|stored| runs(authority, stored))
            .map(|stored| Self::of(authority, stored))
            .transpose()
    }

    async fn stored(
        authority: &Authority,
        slug: &str,
    ) -> Result<Option<StoredProvider>, StoreError> {
        let name = slug.to_owned();
        authority
            .store
            .read(move |tx| providers::find(tx, &name))
            .await
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
        redirect_uri(authority, &self.slug)
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

/// Where answers of the provider of this name come back to.
pub fn redirect_uri(authority: &Authority, slug: &str) -> String {
    format!("{}/login/callback/{slug}", authority.config.issuer)
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

fn usable(authority: &Authority, stored: &StoredProvider) -> bool {
    stored.enabled && runs(authority, stored)
}

/// The demo provider lets anybody be anybody: a row of it counts only where it runs.
fn runs(authority: &Authority, stored: &StoredProvider) -> bool {
    stored.kind != ProviderKind::Demo || authority.config.demo_provider
}
