//! Signing keys as rows: made, sealed, sealed again.

use zeroize::Zeroizing;

use crate::crypto::seal::{KeyRing, Place};
use crate::crypto::sign::{FeedSigner, JwtAlgorithm, JwtSigner, KeyError};
use crate::domain::Timestamp;
use crate::protocol::jose::Jwk;
use crate::store::keys::{KeyPurpose, KeyState, SEALED_COLUMN, StoredKey, TABLE};
use crate::store::{Tx, keys};

use super::{KeysError, ring};

/// What a key signs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// Tokens.
    Token(KeyPurpose, JwtAlgorithm),
    /// Heads of the change feed: Ed25519.
    Feed,
}

/// Every kind that an installation has an active key of.
pub(super) const KINDS: &[KeyKind] = &[
    KeyKind::Token(KeyPurpose::AccessToken, JwtAlgorithm::Es256),
    KeyKind::Token(KeyPurpose::IdToken, JwtAlgorithm::Rs256),
    KeyKind::Token(KeyPurpose::IdToken, JwtAlgorithm::Es256),
    KeyKind::Feed,
];

impl KeyKind {
    pub(super) const fn purpose(self) -> KeyPurpose {
        match self {
            Self::Token(purpose, _) => purpose,
            Self::Feed => KeyPurpose::Feed,
        }
    }

    pub(super) const fn algorithm(self) -> &'static str {
        match self {
            Self::Token(_, algorithm) => algorithm.as_str(),
            Self::Feed => "EdDSA",
        }
    }

    /// Whether `key` is of this kind.
    pub(super) fn names(self, key: &StoredKey) -> bool {
        key.purpose == self.purpose() && key.algorithm == self.algorithm()
    }
}

/// Makes the first signing keys, sealed, ready to be stored.
pub fn generate(ring: &KeyRing, now: Timestamp) -> Result<Vec<StoredKey>, KeysError> {
    KINDS
        .iter()
        .map(|kind| make(ring, *kind, KeyState::Active, (now, now)))
        .collect()
}

/// Makes the keys of kinds that `stored` has no active one of: an installation of an earlier
/// version signs other things.
pub fn missing(
    ring: &KeyRing,
    stored: &[StoredKey],
    now: Timestamp,
) -> Result<Vec<StoredKey>, KeysError> {
    KINDS
        .iter()
        .filter(|kind| !has_active(stored, **kind))
        .map(|kind| make(ring, *kind, KeyState::Active, (now, now)))
        .collect()
}

/// Stores those of `made` whose kind has no active key yet: of two instances that start at once,
/// one stores its own.
pub fn insert_missing(tx: &mut dyn Tx, made: &[StoredKey]) -> Result<(), KeysError> {
    let stored = keys::list(tx)?;
    for kind in KINDS.iter().filter(|kind| !has_active(&stored, **kind)) {
        for key in made.iter().filter(|key| kind.names(key)) {
            keys::insert(tx, key)?;
        }
    }
    Ok(())
}

fn has_active(stored: &[StoredKey], kind: KeyKind) -> bool {
    stored
        .iter()
        .any(|key| key.state == KeyState::Active && kind.names(key))
}

/// A new key of a kind, sealed; `times` are when it was made and when it signs first.
pub(super) fn make(
    ring: &KeyRing,
    kind: KeyKind,
    state: KeyState,
    times: (Timestamp, Timestamp),
) -> Result<StoredKey, KeysError> {
    let (jwk, pkcs8): (Jwk, _) = match kind {
        KeyKind::Token(_, algorithm) => {
            let signer = JwtSigner::generate(algorithm)?;
            (signer.jwk().clone(), signer.to_pkcs8()?)
        }
        KeyKind::Feed => {
            let signer = FeedSigner::generate()?;
            (signer.public().jwk(), signer.to_pkcs8()?)
        }
    };
    Ok(StoredKey {
        sealed_private: ring.seal(&pkcs8, key_place(&jwk.kid))?,
        purpose: kind.purpose(),
        algorithm: jwk.alg.clone(),
        public_jwk: serde_json::to_string(&jwk).map_err(|_| KeyError::Failed)?,
        kid: jwk.kid,
        state,
        created_at: times.0,
        activates_at: times.1,
        retires_at: None,
        purge_at: None,
    })
}

const fn key_place(kid: &str) -> Place<'_> {
    Place {
        table: TABLE,
        row: kid,
        column: SEALED_COLUMN,
    }
}

/// The private half of a key.
pub(super) fn open(ring: &KeyRing, key: &StoredKey) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    ring.open(&key.sealed_private, key_place(&key.kid))
        .map_err(|source| KeysError::Sealed {
            kid: key.kid.clone(),
            source,
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
    Ok(changed + ring::reseal(tx, ring)?)
}
