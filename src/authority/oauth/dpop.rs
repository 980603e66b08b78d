//! Proofs of possession (RFC 9449): whoever shows one has the key that a token is bound to.
//!
//! Every proof must hold a nonce that this authority gave out not long ago, so that none can be made
//! in advance. Nonces are derived from the time: nothing is stored for one, and every instance
//! knows those of the others.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, Method};

use crate::authority::app::Authority;
use crate::crypto::digest::constant_time_eq;
use crate::crypto::sign::{self, Proof, ProofError};
use crate::domain::{Timestamp, TokenDigest};
use crate::protocol::oauth::dpop::DPOP;
use crate::store::{StoreError, Tx, used_jtis};

/// How long a nonce is the newest; it counts for as long again.
const NONCE_SECONDS: i64 = 300;
/// How old a proof may be, and how far ahead of its time: with a nonce, the client's clock is of
/// little weight.
const AGE: Duration = Duration::from_mins(10);
const AHEAD: Duration = Duration::from_mins(1);

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// Not a proof, or not of this request. The words are for the client's developer.
    #[error("{0}")]
    Invalid(&'static str),
    /// It holds no nonce of now.
    #[error("the proof must hold the nonce that comes with this answer")]
    Nonce,
}

impl From<ProofError> for DpopError {
    fn from(error: ProofError) -> Self {
        Self::Invalid(error.0)
    }
}

/// A key that was proved to be the sender's, by a proof that has yet to be [used](Self::use_up).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenKey {
    /// The key's thumbprint (RFC 7638).
    pub jkt: String,
    digest: TokenDigest,
    purge_at: Timestamp,
}

impl ProvenKey {
    /// Marks the proof used. `false` when it was before: it counts no more.
    pub fn use_up(&self, tx: &mut dyn Tx) -> Result<bool, StoreError> {
        used_jtis::insert(tx, "dpop", self.digest, self.purge_at)
    }
}

/// What a proof must be of.
#[derive(Debug, Clone, Copy)]
pub struct Proved<'r> {
    /// The request's method.
    pub method: &'r Method,
    /// The request's path, below the issuer.
    pub path: &'r str,
    /// The access token that it comes with, if it comes with one.
    pub token: Option<&'r str>,
}

/// Checks the proof that a request brings; `None` when it brings none.
///
/// # Errors
///
/// [`DpopError::Nonce`] is answered with a [`nonce`], to be tried again.
pub fn proof(
    authority: &Authority,
    headers: &HeaderMap,
    wanted: Proved<'_>,
) -> Result<Option<ProvenKey>, DpopError> {
    let mut values = headers.get_all(DPOP).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(DpopError::Invalid("several `DPoP` headers"));
    }
    let text = value
        .to_str()
        .map_err(|_| DpopError::Invalid("the proof is malformed"))?;
    let now = authority.clock.now();
    let proof = Proof::verify(
        text,
        &sign::Wanted {
            method: wanted.method.as_str(),
            url: &format!("{}{}", authority.config.issuer, wanted.path),
            token: wanted.token,
            now,
            age: AGE,
            ahead: AHEAD,
        },
    )?;
    check_nonce(authority, proof.nonce.as_deref(), now)?;
    Ok(Some(ProvenKey {
        digest: TokenDigest::from_bytes(proof.digest),
        purge_at: proof.made.plus(AGE).plus(AHEAD),
        jkt: proof.jkt,
    }))
}

fn check_nonce(
    authority: &Authority,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<(), DpopError> {
    let nonce = nonce.ok_or(DpopError::Nonce)?;
    let window = now.unix_seconds().div_euclid(NONCE_SECONDS);
    let fresh = [window, window - 1]
        .into_iter()
        .any(|window| constant_time_eq(nonce_of(authority, window).as_bytes(), nonce.as_bytes()));
    if fresh { Ok(()) } else { Err(DpopError::Nonce) }
}

/// The nonce that proofs made now must hold.
pub fn nonce(authority: &Authority) -> String {
    let window = authority
        .clock
        .now()
        .unix_seconds()
        .div_euclid(NONCE_SECONDS);
    nonce_of(authority, window)
}

fn nonce_of(authority: &Authority, window: i64) -> String {
    let derived = authority
        .keys
        .sealer()
        .derive("dpop nonce", &[&window.to_be_bytes()]);
    BASE64URL_NOPAD.encode(derived.get(..16).unwrap_or_default())
}
