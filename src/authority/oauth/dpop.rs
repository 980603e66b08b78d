//! Proofs of possession (RFC 9449): whoever shows one has the key that a token is bound to.
//!
//! Every proof must hold a nonce that this authority gave out not long ago, so that none can be made
//! in advance. Nonces are derived from the time: nothing is stored for one, and every instance
//! knows those of the others.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, Method};

use crate::authority::app::Authority;
use crate::crypto::digest::{constant_time_eq, sha256};
use crate::crypto::sign::{Jws, JwsError};
use crate::domain::{Timestamp, TokenDigest};
use crate::protocol::oauth::dpop::{DPOP, DPOP_TYPE, ProofClaims, names_url};
use crate::store::{StoreError, Tx, used_jtis};

/// How long a nonce is the newest; it counts for as long again.
const NONCE_SECONDS: i64 = 300;
/// How old a proof may be, and how far ahead of its time: with a nonce, the client's clock is of
/// little weight.
const AGE: Duration = Duration::from_mins(10);
const AHEAD: Duration = Duration::from_mins(1);
const JTI_MAX: usize = 256;

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

impl From<JwsError> for DpopError {
    fn from(error: JwsError) -> Self {
        Self::Invalid(match error {
            JwsError::Malformed => "the proof is malformed",
            JwsError::Algorithm => "the proof's algorithm is not accepted",
            JwsError::Key => "the proof's key is not usable",
            JwsError::Signature => "the proof's signature is wrong",
        })
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
    let jws = Jws::parse(text)?;
    if !jws
        .typ()
        .is_some_and(|typ| typ.eq_ignore_ascii_case(DPOP_TYPE))
    {
        return Err(DpopError::Invalid("the proof's `typ` must be `dpop+jwt`"));
    }
    let key = jws.embedded_key()?;
    let claims: ProofClaims = jws.verify(&key)?;
    let now = authority.clock.now();
    check(authority, &claims, wanted, now)?;
    let named = format!("{} {}", key.thumbprint(), claims.jti);
    Ok(Some(ProvenKey {
        jkt: key.thumbprint().to_owned(),
        digest: TokenDigest::from_bytes(sha256(named.as_bytes())),
        purge_at: Timestamp::from_unix_seconds(claims.iat)
            .plus(AGE)
            .plus(AHEAD),
    }))
}

fn check(
    authority: &Authority,
    claims: &ProofClaims,
    wanted: Proved<'_>,
    now: Timestamp,
) -> Result<(), DpopError> {
    let invalid = |what| Err(DpopError::Invalid(what));
    if !(1..=JTI_MAX).contains(&claims.jti.len()) {
        return invalid("the proof's `jti` must have 1 to 256 bytes");
    }
    if claims.htm != wanted.method.as_str() {
        return invalid("the proof's `htm` is not the method of the request");
    }
    if !names_url(
        &claims.htu,
        &format!("{}{}", authority.config.issuer, wanted.path),
    ) {
        return invalid("the proof's `htu` is not the URL of the request");
    }
    let made = Timestamp::from_unix_seconds(claims.iat);
    if made > now.plus(AHEAD) || made < now.minus(AGE) {
        return invalid("the proof's `iat` is not of now");
    }
    let ath = wanted
        .token
        .map(|token| BASE64URL_NOPAD.encode(&sha256(token.as_bytes())));
    if ath.is_some() && ath != claims.ath {
        return invalid("the proof's `ath` is not of the access token");
    }
    let nonce = claims.nonce.as_deref().ok_or(DpopError::Nonce)?;
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
