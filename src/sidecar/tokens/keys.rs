//! The public keys of the copy.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::crypto::sign::AccessTokenVerifier;
use crate::protocol::jose::{Jwk, JwkSet};
use crate::sidecar::refusal::Refusal;
use crate::store::replica::SigningKeyRow;

/// The public keys that access tokens are verified with, as last read.
#[derive(Debug, Default)]
pub(in crate::sidecar) struct Keys(ArcSwapOption<(u64, AccessTokenVerifier)>);

impl Keys {
    /// The keys as of `generation`, which was loaded before: from here, or by `read`.
    pub(super) fn current(
        &self,
        generation: u64,
        read: impl FnOnce() -> Result<Vec<SigningKeyRow>, Refusal>,
    ) -> Result<Arc<(u64, AccessTokenVerifier)>, Refusal> {
        if let Some(known) = self.0.load_full().filter(|known| known.0 == generation) {
            return Ok(known);
        }
        let mut set = JwkSet::default();
        for row in read()? {
            if row.purpose == "access_token" {
                // A damaged key is no key: what it signed is refused, what others signed is not.
                if let Some(jwk) = readable(&row) {
                    set.keys.push(jwk);
                } else {
                    tracing::error!(kid = row.kid, "a key of the copy cannot be read");
                }
            }
        }
        let verifier = AccessTokenVerifier::new(&set).map_err(|error| {
            tracing::error!(%error, "the keys for access tokens cannot be read");
            Refusal::CopyUnreadable
        })?;
        let known = Arc::new((generation, verifier));
        self.0.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}

fn readable(row: &SigningKeyRow) -> Option<Jwk> {
    let jwk: Jwk = serde_json::from_str(&row.public_jwk).ok()?;
    let alone = JwkSet {
        keys: vec![jwk.clone()],
    };
    AccessTokenVerifier::new(&alone).is_ok().then_some(jwk)
}
