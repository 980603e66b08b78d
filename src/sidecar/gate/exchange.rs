//! A code for tokens, and whether these can be believed.

use std::sync::{Arc, PoisonError};

use serde::Deserialize;

use super::endpoint::Context;
use super::transaction::Transaction;
use crate::crypto::digest::at_hash_fits;
use crate::crypto::sign::{JwtVerifier, TokenError};
use crate::domain::Secret;
use crate::protocol::jose::{ID_TOKEN_TYPE, Jwk, JwkSet};
use crate::protocol::oidc::upstream::{
    ExpectedIdToken, IdTokenClaims, IdTokenError, TokenAnswer, TokenFailure,
};
use crate::replication::client::ClientError;
use crate::sidecar::refusal::Refusal;
use crate::sidecar::tokens::{self, Verified};
use crate::store::replica::{ReplicaReader, SigningKeyRow};

/// Where codes are redeemed.
const TOKEN: &str = "/oauth2/token";

/// What came of a code that was redeemed and believed.
pub(super) struct Exchanged {
    /// The access token.
    pub(super) verified: Arc<Verified>,
    /// For signing out.
    pub(super) id_token: Secret<String>,
}

/// Why there is nothing to believe.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// Too many are on the way.
    #[error("too many codes are being redeemed")]
    Busy,
    /// The authority cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It says no.
    #[error("the authority answered {status}: {error}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its code.
        error: String,
    },
    /// It gives what is not understood.
    #[error("the authority's answer is not understood: {0}")]
    Answer(&'static str),
    /// The access token is one that the doors would refuse.
    #[error("the access token is refused here: {}", .0.code())]
    AccessToken(Refusal),
    /// The ID token's signature is wrong.
    #[error("the ID token is refused: {0}")]
    IdToken(TokenError),
    /// The ID token says something else.
    #[error(transparent)]
    Claims(#[from] IdTokenError),
}

impl ExchangeError {
    /// Whether the same may work in a moment: the copy does not have the authority's newest key yet,
    /// clocks differ by a little, somebody cannot be reached.
    pub(super) const fn passes(&self) -> bool {
        match self {
            Self::Busy | Self::Client(_) => true,
            Self::Refused { status, .. } => *status >= 500 || *status == 429,
            Self::AccessToken(refusal) => matches!(
                refusal,
                Refusal::UnknownKey
                    | Refusal::NotYetValid
                    | Refusal::Expired
                    | Refusal::NoCopy
                    | Refusal::CopyUnreadable
            ),
            Self::IdToken(error) => matches!(error, TokenError::UnknownKey),
            Self::Claims(error) => matches!(error, IdTokenError::Time | IdTokenError::Expired),
            Self::Answer(_) => false,
        }
    }
}

impl ExchangeError {
    /// Whether only the code is wrong, which anybody can make up.
    pub(super) fn is_made_up(&self) -> bool {
        matches!(self, Self::Refused { status: 400, error } if error == "invalid_grant")
    }
}

/// Redeems a code and verifies what it gives, by the copy's keys.
pub(super) async fn exchange(
    cx: &Context<'_>,
    transaction: &Transaction,
    code: &str,
) -> Result<Exchanged, ExchangeError> {
    let answer = redeem(cx, transaction, code).await?;
    let Some(id_token) = answer.id_token.map(Secret::new) else {
        return Err(ExchangeError::Answer("no ID token"));
    };
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err(ExchangeError::Answer("the token is bound to a key"));
    }
    let access_token = Secret::new(answer.access_token);
    let verified = verified(cx, &access_token)?;
    let said = id_claims(cx, &id_token)?;
    said.check(ExpectedIdToken {
        issuer: &cx.rules.issuer,
        client_id: cx.site.gate().client_id.as_str(),
        nonce: &transaction.nonce(),
        now: cx.now(),
        max_age: None,
        proved_after: None,
    })?;
    let bound = said.at_hash.as_deref();
    if !bound.is_some_and(|hash| at_hash_fits(hash, access_token.expose())) {
        return Err(IdTokenError::AccessToken.into());
    }
    let same_user = verified
        .user()
        .is_some_and(|user| user.to_string() == said.sub);
    if !same_user || verified.client != cx.site.gate().client_id {
        return Err(IdTokenError::Subject.into());
    }
    Ok(Exchanged { verified, id_token })
}

async fn redeem(
    cx: &Context<'_>,
    transaction: &Transaction,
    code: &str,
) -> Result<TokenAnswer, ExchangeError> {
    let gate = cx.site.gate();
    let _slot = gate
        .exchanges
        .try_acquire()
        .map_err(|_| ExchangeError::Busy)?;
    let (redirect_uri, verifier) = (cx.site.url("callback"), Secret::new(transaction.verifier()));
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", verifier.expose()),
    ];
    let credentials = gate
        .client_secret
        .as_ref()
        .map(|secret| (&gate.client_id, secret));
    if credentials.is_none() {
        form.push(("client_id", gate.client_id.as_str()));
    }
    let (status, body) = gate.authority.post(TOKEN, credentials, &form).await?;
    if !status.is_success() {
        // Only the code: what stands beside it is for people, and could repeat what was sent.
        let failure: Option<TokenFailure> = parsed(&body);
        return Err(ExchangeError::Refused {
            status: status.as_u16(),
            error: failure.map_or_else(String::new, |failure| printable(&failure.error)),
        });
    }
    // The parser's message could quote a token.
    parsed(&body).ok_or(ExchangeError::Answer("no tokens"))
}

fn parsed<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

/// An error code as it may stand in a log or on a page: RFC 6749 §5.2 has letters and `_` only.
pub(super) fn printable(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(64)
        .collect()
}

/// Verified as each request will verify it, so that nobody is sent around in circles.
fn verified(cx: &Context<'_>, token: &Secret<String>) -> Result<Arc<Verified>, ExchangeError> {
    let mut worker = cx.worker.lock().unwrap_or_else(PoisonError::into_inner);
    let verified = tokens::verify(cx.state, &mut worker, cx.rules, token.expose())
        .map_err(ExchangeError::AccessToken)?;
    // It is used no more.
    tokens::evict(cx.state, token.expose());
    if verified.user().is_none() || verified.jkt.is_some() {
        return Err(ExchangeError::Answer("no bearer token of a person"));
    }
    Ok(verified)
}

fn id_claims(cx: &Context<'_>, token: &Secret<String>) -> Result<IdTokenClaims, ExchangeError> {
    let unreadable = || ExchangeError::AccessToken(Refusal::CopyUnreadable);
    let rows = {
        let mut worker = cx.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.read(cx.state, ReplicaReader::signing_keys)
    };
    let readable = |row: &SigningKeyRow| serde_json::from_str::<Jwk>(&row.public_jwk).ok();
    let keys = rows
        .map_err(|_| unreadable())?
        .iter()
        .filter(|row| row.purpose == "id_token")
        .filter_map(readable)
        .collect();
    JwtVerifier::new(&JwkSet { keys })
        .map_err(|_| unreadable())?
        .verify(token.expose(), ID_TOKEN_TYPE)
        .map_err(ExchangeError::IdToken)
}
