//! Whether whoever shows a token has the key that it is bound to (RFC 9449 §7).

use uuid::Uuid;

use super::proofs::{PROOF_AGE, PROOF_SKEW, Shown};
use crate::crypto::digest::sha256;
use crate::crypto::sign::{Proof, ProofError, Wanted};
use crate::sidecar::decide::Worker;
use crate::sidecar::view::State;

/// A proof as it was sent, and what it must be of.
#[derive(Debug, Clone, Copy)]
pub struct Possession<'r> {
    /// The value of the one `DPoP` header.
    pub proof: &'r str,
    /// The request's method, case kept.
    pub method: &'r str,
    /// The request's URL as its client knows it.
    pub url: &'r str,
    /// The access token.
    pub token: &'r str,
    /// The thumbprint of the key that it is bound to.
    pub jkt: &'r str,
    /// The user that it speaks for, or its client: who has a share of what is remembered.
    pub holder: Uuid,
}

/// Why a token's key was not proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// Not a proof, or not of this request.
    #[error(transparent)]
    Invalid(#[from] ProofError),
    /// Of another key.
    #[error("the proof's key is not the one that the token is bound to")]
    OtherKey,
    /// It was used before.
    #[error("the proof was used before")]
    Replayed,
    /// There is no room to remember it.
    #[error("too many proofs are remembered")]
    Full,
}

impl Possession<'_> {
    /// Checks the proof, and that it is shown for the first time or by a retry.
    ///
    /// # Errors
    ///
    /// [`Unproved`]; counted by the worker.
    pub fn prove(&self, state: &State, worker: &mut Worker) -> Result<(), Unproved> {
        let proof = Proof::verify(
            self.proof,
            &Wanted {
                method: self.method,
                url: self.url,
                token: Some(self.token),
                now: state.clock().now(),
                age: PROOF_AGE + PROOF_SKEW,
                ahead: PROOF_SKEW,
            },
        );
        let proof = match proof {
            Ok(proof) if proof.jkt == self.jkt => proof,
            other => {
                worker.counts.proofs_invalid += 1;
                return Err(other.err().map_or(Unproved::OtherKey, Unproved::Invalid));
            }
        };
        let bytes = sha256(self.proof.as_bytes());
        let now = state.clock().since_boot();
        let shown = state.proofs.show(self.holder, proof.digest, bytes, now);
        worker.counts.count_proof(shown);
        match shown {
            Shown::First | Shown::Retry => Ok(()),
            Shown::Replay => Err(Unproved::Replayed),
            Shown::Full => Err(Unproved::Full),
        }
    }
}
