//! Proofs of possession (RFC 9449): whoever shows one has the key in it. Read here for the
//! authority's endpoints and for the sidecar's doors; whether a proof was used before is theirs.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

use super::{Jws, JwsError};
use crate::crypto::digest::sha256;
use crate::domain::Timestamp;
use crate::protocol::oauth::dpop::{DPOP_TYPE, ProofClaims, names_url};

/// The longest `jti`, in bytes.
const JTI_MAX: usize = 256;

/// Why a proof proves nothing. The words are for the client's developer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProofError(pub &'static str);

impl From<JwsError> for ProofError {
    fn from(error: JwsError) -> Self {
        Self(match error {
            JwsError::Malformed => "the proof is malformed",
            JwsError::Algorithm => "the proof's algorithm is not accepted",
            JwsError::Key => "the proof's key is not usable",
            JwsError::Signature => "the proof's signature is wrong",
        })
    }
}

/// What a proof must be of, and when it must have been made.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'r> {
    /// The request's method, case kept.
    pub method: &'r str,
    /// The request's URL as its sender knows it; query and fragment mean nothing.
    pub url: &'r str,
    /// The access token that it comes with, if it comes with one.
    pub token: Option<&'r str>,
    /// The present.
    pub now: Timestamp,
    /// How old a proof may be.
    pub age: Duration,
    /// How far ahead of its time.
    pub ahead: Duration,
}

/// A proof that holds for a request. It counts once: see [`Self::digest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint (RFC 7638) of the key that was proved.
    pub jkt: String,
    /// Which proof it is: key and `jti` in one, always 32 bytes.
    pub digest: [u8; 32],
    /// When it was made, by the clock of whoever made it.
    pub made: Timestamp,
    /// The nonce in it.
    pub nonce: Option<String>,
}

impl Proof {
    /// Reads a proof and checks all of RFC 9449 §4.3 but the number of headers, the nonce and whether
    /// it was used before.
    ///
    /// # Errors
    ///
    /// [`ProofError`] with the first thing that is wrong.
    pub fn verify(text: &str, wanted: &Wanted<'_>) -> Result<Self, ProofError> {
        let jws = Jws::parse(text)?;
        if !jws
            .typ()
            .is_some_and(|typ| typ.eq_ignore_ascii_case(DPOP_TYPE))
        {
            return Err(ProofError("the proof's `typ` must be `dpop+jwt`"));
        }
        let key = jws.embedded_key()?;
        let claims: ProofClaims = jws.verify(&key)?;
        wanted.check(&claims)?;
        let named = format!("{} {}", key.thumbprint(), claims.jti);
        Ok(Self {
            jkt: key.thumbprint().to_owned(),
            digest: sha256(named.as_bytes()),
            made: Timestamp::from_unix_seconds(claims.iat),
            nonce: claims.nonce,
        })
    }
}

impl Wanted<'_> {
    fn check(&self, claims: &ProofClaims) -> Result<(), ProofError> {
        let invalid = |what| Err(ProofError(what));
        if !(1..=JTI_MAX).contains(&claims.jti.len()) {
            return invalid("the proof's `jti` must have 1 to 256 bytes");
        }
        if claims.htm != self.method {
            return invalid("the proof's `htm` is not the method of the request");
        }
        if !names_url(&claims.htu, self.url) {
            return invalid("the proof's `htu` is not the URL of the request");
        }
        let made = Timestamp::from_unix_seconds(claims.iat);
        if made > self.now.plus(self.ahead) || made < self.now.minus(self.age) {
            return invalid("the proof's `iat` is not of now");
        }
        let ath = self
            .token
            .map(|token| BASE64URL_NOPAD.encode(&sha256(token.as_bytes())));
        if ath.is_some() && ath != claims.ath {
            return invalid("the proof's `ath` is not of the access token");
        }
        Ok(())
    }
}
