//! The authority's keys: the ring that seals, and what is sealed under it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::crypto::seal::{KeyRing, Place, SealError};
use crate::crypto::sign::{
    AccessTokenSigner, AccessTokenVerifier, Expected, FeedSigner, KeyError, TokenError,
};
use crate::domain::Timestamp;
use crate::protocol::jose::{AccessTokenClaims, Jwk, JwkSet};
use crate::runtime::files::{FileError, create_private, read_text};
use crate::runtime::{Entropy, Exit};
use crate::store::keys::{KeyPurpose, KeyState, SEALED_COLUMN, StoredKey, TABLE};
use crate::store::{StoreError, Tx, installation, keys};

use super::app::store_exit;
use super::sealer::Sealer;

const KEY_FILE_LIMIT: u64 = 64 * 1024;
const CANARY: &str = "seal_canary";
const DERIVATION: &str = "derivation_secret";
const CANARY_TEXT: &[u8] = b"doorward";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key file cannot be read or written.
    #[error("the key file is not usable")]
    File(#[from] FileError),
    /// Others than its owner may read the key file.
    #[error("`{path}` may be read by others (mode {mode:o}): run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// The key file is not the one that this database was sealed with.
    #[error("the key file does not belong to this database")]
    Foreign(#[source] SealError),
    /// The database was never set up.
    #[error("there is no installation here yet: run `doorward-authority init` first")]
    NotInitialized,
    /// A sealed value does not open.
    #[error("signing key `{kid}` cannot be opened")]
    Sealed {
        /// Which.
        kid: String,
        /// Why.
        source: SealError,
    },
    /// The key file or a seal is broken.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A stored key is none.
    #[error("a stored key is damaged")]
    Key(#[from] KeyError),
    /// No key signs this.
    #[error("no active key for {0}")]
    Missing(&'static str),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeysError {
    /// The exit code that goes with it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::File(_) => Exit::Io,
            Self::Exposed { .. } | Self::NotInitialized | Self::Foreign(_) | Self::Seal(_) => {
                Exit::Config
            }
            Self::Store(error) => store_exit(error),
            Self::Sealed { .. } | Self::Key(_) | Self::Missing(_) => Exit::Failed,
        }
    }
}

/// Reads the key file.
///
/// # Errors
///
/// [`KeysError::Exposed`] when it is not private; [`KeysError::File`] when it is not there.
pub fn read_ring(path: &Path) -> Result<KeyRing, KeysError> {
    let text = read_text(path, KEY_FILE_LIMIT)?;
    let mode = std::fs::metadata(path)
        .map_err(FileError::new("read", path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Exposed {
            path: path.display().to_string(),
            mode,
        });
    }
    Ok(KeyRing::from_text(&text)?)
}

/// Makes a key file with a new key.
pub fn create_ring(path: &Path, entropy: &dyn Entropy) -> Result<KeyRing, KeysError> {
    let ring = KeyRing::new(&entropy.token_bits());
    create_private(path, ring.to_text().as_bytes())?;
    Ok(ring)
}

const fn canary_place() -> Place<'static> {
    Place {
        table: "installation",
        row: CANARY,
        column: "value",
    }
}

const fn key_place(kid: &str) -> Place<'_> {
    Place {
        table: TABLE,
        row: kid,
        column: SEALED_COLUMN,
    }
}

/// Seals the canary by which a start tells whether it has the right key file.
pub fn plant_canary(tx: &mut dyn Tx, ring: &KeyRing) -> Result<(), KeysError> {
    let sealed = ring.seal(CANARY_TEXT, canary_place())?;
    Ok(installation::set(tx, CANARY, &sealed)?)
}

/// Opens the canary.
///
/// # Errors
///
/// [`KeysError::Foreign`] when it does not open; [`KeysError::NotInitialized`] without one.
pub fn check_canary(tx: &mut dyn Tx, ring: &KeyRing) -> Result<(), KeysError> {
    let sealed = installation::find(tx, CANARY)?.ok_or(KeysError::NotInitialized)?;
    ring.open(&sealed, canary_place())
        .map(|_| ())
        .map_err(KeysError::Foreign)
}

const fn derivation_place() -> Place<'static> {
    Place {
        table: "installation",
        row: DERIVATION,
        column: "value",
    }
}

/// Makes the secret that values are derived by, if there is none yet.
pub fn ensure_derivation_secret(
    tx: &mut dyn Tx,
    ring: &KeyRing,
    entropy: &dyn Entropy,
) -> Result<(), KeysError> {
    if installation::find(tx, DERIVATION)?.is_none() {
        let sealed = ring.seal(entropy.token_bits().as_slice(), derivation_place())?;
        installation::set(tx, DERIVATION, &sealed)?;
    }
    Ok(())
}

fn derivation_secret(tx: &mut dyn Tx, ring: &KeyRing) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let sealed = installation::find(tx, DERIVATION)?.ok_or(KeysError::NotInitialized)?;
    let opened = ring.open(&sealed, derivation_place())?;
    <[u8; 32]>::try_from(opened.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| KeysError::Seal(SealError::Damaged))
}

/// Makes the first signing keys, sealed, ready to be stored.
pub fn generate(ring: &KeyRing, now: Timestamp) -> Result<Vec<StoredKey>, KeysError> {
    let access = AccessTokenSigner::generate()?;
    let feed = FeedSigner::generate()?;
    Ok(vec![
        stored(
            ring,
            KeyPurpose::AccessToken,
            access.jwk(),
            &access.to_pkcs8(),
            now,
        )?,
        stored(
            ring,
            KeyPurpose::Feed,
            &feed.public().jwk(),
            &feed.to_pkcs8()?,
            now,
        )?,
    ])
}

fn stored(
    ring: &KeyRing,
    purpose: KeyPurpose,
    jwk: &Jwk,
    pkcs8: &[u8],
    now: Timestamp,
) -> Result<StoredKey, KeysError> {
    Ok(StoredKey {
        kid: jwk.kid.clone(),
        purpose,
        algorithm: jwk.alg.clone(),
        public_jwk: serde_json::to_string(jwk).map_err(|_| KeyError::Failed)?,
        sealed_private: ring.seal(pkcs8, key_place(&jwk.kid))?,
        state: KeyState::Active,
        created_at: now,
        activates_at: now,
    })
}

/// Seals every sealed value again under the newest key of the ring, and tells how many changed.
/// Afterwards older keys may be taken out of the key file.
pub fn reseal(tx: &mut dyn Tx, ring: &KeyRing) -> Result<usize, KeysError> {
    let mut changed = 0;
    for key in keys::list(tx)? {
        let resealed = ring
            .reseal(&key.sealed_private, key_place(&key.kid))
            .map_err(|source| KeysError::Sealed {
                kid: key.kid.clone(),
                source,
            })?;
        if let Some(sealed) = resealed {
            keys::set_sealed(tx, &key.kid, &sealed)?;
            changed += 1;
        }
    }
    check_canary(tx, ring)?;
    plant_canary(tx, ring)?;
    if let Some(sealed) = installation::find(tx, DERIVATION)?
        && let Some(sealed) = ring.reseal(&sealed, derivation_place())?
    {
        installation::set(tx, DERIVATION, &sealed)?;
        changed += 1;
    }
    Ok(changed)
}

/// The keys in use.
#[derive(Debug)]
pub struct Keys {
    access: AccessTokenSigner,
    verifier: AccessTokenVerifier,
    public: JwkSet,
    feed: Arc<FeedSigner>,
    sealer: Sealer,
}

impl Keys {
    /// Checks the canary, opens the active keys and publishes all.
    pub fn load(tx: &mut dyn Tx, ring: &Arc<KeyRing>) -> Result<Self, KeysError> {
        check_canary(tx, ring)?;
        let derivation = derivation_secret(tx, ring)?;
        let stored = keys::list(tx)?;
        let access = active(ring, &stored, KeyPurpose::AccessToken)?
            .ok_or(KeysError::Missing("access tokens"))?;
        let feed =
            active(ring, &stored, KeyPurpose::Feed)?.ok_or(KeysError::Missing("the feed"))?;
        let public = JwkSet {
            keys: stored
                .iter()
                .filter(|key| key.purpose == KeyPurpose::AccessToken)
                .map(|key| serde_json::from_str(&key.public_jwk).map_err(|_| KeyError::Public))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            access: AccessTokenSigner::from_pkcs8(&access)?,
            verifier: AccessTokenVerifier::new(&public)?,
            public,
            feed: Arc::new(FeedSigner::from_pkcs8(&feed)?),
            sealer: Sealer::new(Arc::clone(ring), &derivation),
        })
    }

    /// Seals what travels, and derives.
    pub const fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What `/.well-known/jwks.json` shows: keys of access tokens, whatever their state, so that a
    /// token stays verifiable while keys change.
    pub const fn public(&self) -> &JwkSet {
        &self.public
    }

    /// Signs heads of the feed.
    pub const fn feed(&self) -> &Arc<FeedSigner> {
        &self.feed
    }

    /// Signs an access token.
    pub fn sign(&self, claims: &AccessTokenClaims) -> Result<String, KeyError> {
        self.access.sign(claims)
    }

    /// Checks an access token, revocation apart.
    pub fn verify(
        &self,
        token: &str,
        expected: Expected<'_>,
    ) -> Result<AccessTokenClaims, TokenError> {
        self.verifier.verify(token, expected)
    }
}

/// The private half of the newest active key of a purpose.
fn active(
    ring: &KeyRing,
    stored: &[StoredKey],
    purpose: KeyPurpose,
) -> Result<Option<Zeroizing<Vec<u8>>>, KeysError> {
    stored
        .iter()
        .find(|key| key.purpose == purpose && key.state == KeyState::Active)
        .map(|key| {
            ring.open(&key.sealed_private, key_place(&key.kid))
                .map_err(|source| KeysError::Sealed {
                    kid: key.kid.clone(),
                    source,
                })
        })
        .transpose()
}
