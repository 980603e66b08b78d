//! The keys in use, swapped whole when they change.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;

use crate::crypto::seal::KeyRing;
use crate::crypto::sign::{
    AccessTokenSigner, AccessTokenVerifier, Expected, FeedSigner, JwtAlgorithm, JwtSigner,
    JwtVerifier, KeyError, TokenError,
};
use crate::domain::Timestamp;
use crate::protocol::jose::{AccessTokenClaims, ID_TOKEN_TYPE, IdTokenHint, Jwk, JwkSet};
use crate::store::keys::{KeyPurpose, KeyState, StoredKey};
use crate::store::{Tx, keys};

use super::super::sealer::Sealer;
use super::ring::{check_canary, derivation_secret, read_ring};
use super::verified::RememberingVerifier;
use super::{KeysError, stored};

/// How long whoever fetched the key set may keep it: a key is published at least that long before
/// it signs.
pub const JWKS_CACHE_CONTROL: &str = "public, max-age=300";
/// The same, in seconds.
pub(super) const JWKS_MAX_AGE: u64 = 300;

/// The keys in use. What signs and verifies tokens can be swapped while requests run; the feed's
/// key cannot, since sidecars have pinned it.
#[derive(Debug)]
pub struct Keys {
    feed: Arc<FeedSigner>,
    sealer: Sealer,
    current: ArcSwap<KeySet>,
}

/// What tokens are signed and verified with, of one moment.
#[derive(Debug)]
struct KeySet {
    access: AccessTokenSigner,
    verifier: RememberingVerifier,
    rs256: JwtSigner,
    es256: JwtSigner,
    hints: JwtVerifier,
    public: Arc<JwkSet>,
    body: Bytes,
    /// Names and states of the rows that it was made of.
    made_of: Vec<(String, KeyState)>,
}

impl Keys {
    /// Checks the canary, opens the active keys and publishes all.
    pub fn load(tx: &mut dyn Tx, ring: &Arc<KeyRing>) -> Result<Self, KeysError> {
        check_canary(tx, ring)?;
        let derivation = derivation_secret(tx, ring)?;
        let rows = keys::list(tx)?;
        let feed = rows
            .iter()
            .find(|key| key.purpose == KeyPurpose::Feed && key.state == KeyState::Active)
            .ok_or(KeysError::Missing("the feed"))?;
        let feed = FeedSigner::from_pkcs8(&stored::open(ring, feed)?)?;
        Ok(Self {
            feed: Arc::new(feed),
            sealer: Sealer::new(Arc::clone(ring), &derivation),
            current: ArcSwap::from_pointee(KeySet::open(ring, &rows)?),
        })
    }

    /// Reads the rows again, and swaps the keys if they have changed. Tells whether.
    ///
    /// # Errors
    ///
    /// [`KeysError`]; the keys stay as they are.
    pub fn reload(&self, tx: &mut dyn Tx) -> Result<bool, KeysError> {
        let rows = keys::list(tx)?;
        if self.current.load().made_of == made_of(&rows) {
            return Ok(false);
        }
        let fresh = KeySet::open(self.sealer.ring(), &rows)?;
        self.current.store(Arc::new(fresh));
        Ok(true)
    }

    /// Takes over the keys of the key file, if somebody changed it. An unusable file is told in the
    /// log, and the keys stay as they are.
    pub fn take_over(&self, file: &Path) {
        match read_ring(file) {
            Ok(ring) if ring.same_as(self.sealer.ring()) => {}
            Ok(ring) => {
                self.sealer.ring().replace(&ring);
                tracing::info!(newest = ring.newest_id(), "the key file has changed");
            }
            Err(error) => tracing::warn!(%error, "the key file cannot be read again"),
        }
    }

    /// Seals what travels, and derives.
    pub const fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What `/.well-known/jwks.json` shows: the keys of access and ID tokens, whatever their state,
    /// so that a token stays verifiable while keys change.
    pub fn public(&self) -> Arc<JwkSet> {
        Arc::clone(&self.current.load().public)
    }

    /// The same, as the body of an answer.
    pub fn jwks(&self) -> Bytes {
        self.current.load().body.clone()
    }

    /// Signs heads of the feed.
    pub const fn feed(&self) -> &Arc<FeedSigner> {
        &self.feed
    }

    /// Signs an access token.
    pub fn sign(&self, claims: &AccessTokenClaims) -> Result<String, KeyError> {
        self.current.load().access.sign(claims)
    }

    /// Signs another token with the active key of an algorithm. `typ` is a word of the code:
    /// `JWT` for ID tokens, `logout+jwt` for logout tokens; never that of access tokens.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the claims are not JSON or the library refuses.
    pub fn sign_jwt(
        &self,
        algorithm: impl Into<JwtAlgorithm>,
        typ: &str,
        claims: &impl Serialize,
    ) -> Result<String, KeyError> {
        let current = self.current.load();
        match algorithm.into() {
            JwtAlgorithm::Rs256 => current.rs256.sign(typ, claims),
            JwtAlgorithm::Es256 => current.es256.sign(typ, claims),
        }
    }

    /// Checks an access token, revocation apart.
    pub fn verify(
        &self,
        token: &str,
        expected: Expected<'_>,
    ) -> Result<AccessTokenClaims, TokenError> {
        self.current.load().verifier.verify(token, expected)
    }

    /// The same for a token of ours that may be meant for anybody.
    ///
    /// # Errors
    ///
    /// The first reason to refuse.
    pub fn verify_for_any(
        &self,
        token: &str,
        issuer: &str,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, TokenError> {
        self.current
            .load()
            .verifier
            .verify_for_any(token, issuer, now)
    }

    /// Reads an ID token that `issuer`, this authority, once signed, whatever its age. Who shows it
    /// proves nothing by it: it is a hint.
    ///
    /// # Errors
    ///
    /// The first reason to refuse.
    pub fn verify_id_token_hint(
        &self,
        token: &str,
        issuer: &str,
    ) -> Result<IdTokenHint, TokenError> {
        let hint: IdTokenHint = self.current.load().hints.verify(token, ID_TOKEN_TYPE)?;
        if hint.iss == issuer {
            Ok(hint)
        } else {
            Err(TokenError::Issuer)
        }
    }
}

impl KeySet {
    fn open(ring: &KeyRing, rows: &[StoredKey]) -> Result<Self, KeysError> {
        let access = active(ring, rows, KeyPurpose::AccessToken, JwtAlgorithm::Es256)?;
        let id_tokens = JwkSet {
            keys: public(rows, KeyPurpose::IdToken)?,
        };
        let access_tokens = JwkSet {
            keys: public(rows, KeyPurpose::AccessToken)?,
        };
        let verifier = RememberingVerifier::new(AccessTokenVerifier::new(&access_tokens)?);
        let hints = JwtVerifier::new(&id_tokens)?;
        let mut all = access_tokens;
        all.keys.extend(id_tokens.keys);
        Ok(Self {
            access: AccessTokenSigner::from_signer(access)?,
            rs256: active(ring, rows, KeyPurpose::IdToken, JwtAlgorithm::Rs256)?,
            es256: active(ring, rows, KeyPurpose::IdToken, JwtAlgorithm::Es256)?,
            verifier,
            hints,
            body: serde_json::to_vec(&all)
                .map_err(|_| KeyError::Failed)?
                .into(),
            public: Arc::new(all),
            made_of: made_of(rows),
        })
    }
}

fn made_of(rows: &[StoredKey]) -> Vec<(String, KeyState)> {
    rows.iter()
        .map(|key| (key.kid.clone(), key.state))
        .collect()
}

fn public(rows: &[StoredKey], purpose: KeyPurpose) -> Result<Vec<Jwk>, KeysError> {
    rows.iter()
        .filter(|key| key.purpose == purpose)
        .map(|key| serde_json::from_str(&key.public_jwk).map_err(|_| KeyError::Public.into()))
        .collect()
}

/// The active key of a purpose and algorithm.
fn active(
    ring: &KeyRing,
    rows: &[StoredKey],
    purpose: KeyPurpose,
    algorithm: JwtAlgorithm,
) -> Result<JwtSigner, KeysError> {
    let kind = stored::KeyKind::Token(purpose, algorithm);
    let key = rows
        .iter()
        .find(|key| key.state == KeyState::Active && kind.names(key))
        .ok_or(KeysError::Missing(match purpose {
            KeyPurpose::AccessToken => "access tokens",
            KeyPurpose::IdToken => "ID tokens",
            KeyPurpose::Feed => "the feed",
        }))?;
    Ok(JwtSigner::from_pkcs8(algorithm, &stored::open(ring, key)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_set_may_be_kept_for_as_long_as_rotation_reckons_with() {
        assert!(JWKS_CACHE_CONTROL.ends_with(&format!("max-age={JWKS_MAX_AGE}")));
    }
}
