//! One attempt to log in, from the provider's button to its answer. It lives in a sealed cookie of
//! its own, so that several tabs finish in any order and nothing is stored before anybody is known.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use http::HeaderMap;
use http::header::COOKIE;
use serde::{Deserialize, Serialize};

use crate::authority::app::Authority;
use crate::crypto::digest::{constant_time_eq, sha256};
use crate::crypto::seal::SealError;
use crate::domain::provider::ProviderKind;
use crate::domain::{Timestamp, provider::ProviderSettings};
use crate::protocol::cookies::cookie;
use crate::protocol::oidc::upstream::AuthorizationRequest;

use super::error::UpstreamError;
use super::provider::Provider;
use super::request::LoginRequest;
use super::{InvalidReturn, github};

/// What a transaction is sealed for.
const PURPOSE: &str = "login-transaction";
/// What the cookie's name begins with; the transaction's id follows.
const COOKIE_PREFIX: &str = "__Host-dw-login-";
/// How long people may take at their provider.
pub(super) const ATTEMPT: Duration = Duration::from_mins(15);
/// The longest cookie: browsers keep 4096 bytes of name, value and attributes.
const COOKIE_MAX: usize = 3900;
/// The most bytes of all transactions' cookies: with them a request still has room for its own
/// head.
const COOKIES_MAX: usize = 7 * 1024;

/// An attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    /// At which provider.
    pub(super) provider: String,
    /// For what.
    pub(super) request: LoginRequest,
    /// In the ID token.
    pub(super) nonce: String,
    /// Of PKCE.
    pub(super) verifier: String,
    /// The half of `state` that only this browser knows.
    secret: String,
    /// When it began, in microseconds.
    pub(super) started_at: i64,
}

/// What the browser is told to begin an attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Where it goes.
    pub location: String,
    /// `Set-Cookie` headers: the transaction's, and the ends of transactions given up.
    pub cookies: Vec<String>,
}

/// Why an attempt cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The provider cannot let people prove who they are again.
    #[error("the provider cannot authenticate again")]
    LoginRequired,
    /// The provider cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// What the browser would have to carry is too much.
    #[error("the request is too long to be carried")]
    TooLong,
    /// Where it would lead is not here.
    #[error(transparent)]
    Return(#[from] InvalidReturn),
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Begins an attempt at a provider.
pub async fn start(
    authority: &Authority,
    provider: &Provider,
    request: LoginRequest,
    headers: &HeaderMap,
) -> Result<Attempt, AttemptError> {
    if request.wants_fresh_proof() && !provider.reauthenticates() {
        return Err(AttemptError::LoginRequired);
    }
    let endpoint = match provider.kind {
        ProviderKind::Github => github::authorization_endpoint(provider),
        ProviderKind::Oidc | ProviderKind::Google | ProviderKind::Demo => authority
            .directory
            .look_up(authority, provider)
            .await?
            .metadata
            .authorization_endpoint
            .clone(),
    };
    let random = || BASE64URL_NOPAD.encode(authority.entropy.token_bits().as_slice());
    let id = HEXLOWER.encode(&authority.entropy.id_bits());
    let now = authority.clock.now();
    let transaction = Transaction {
        provider: provider.slug.clone(),
        request,
        nonce: random(),
        verifier: random(),
        secret: random(),
        started_at: now.unix_micros(),
    };
    let lifetime = authority.config.lifetimes.interaction.max(ATTEMPT);
    let sealed = authority
        .keys
        .sealer()
        .seal(PURPOSE, &transaction, now.plus(lifetime))?;
    let name = format!("{COOKIE_PREFIX}{id}");
    if name.len() + sealed.len() > COOKIE_MAX {
        return Err(AttemptError::TooLong);
    }
    let mut cookies = crowded_out(authority, headers, sealed.len());
    cookies.push(format!(
        "{name}={sealed}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        lifetime.as_secs()
    ));
    Ok(Attempt {
        location: location(authority, provider, &transaction, &id, &endpoint),
        cookies,
    })
}

fn location(
    authority: &Authority,
    provider: &Provider,
    transaction: &Transaction,
    id: &str,
    endpoint: &str,
) -> String {
    let request = &transaction.request;
    let acr_values = request.acr_values.join(" ");
    let speaks_oidc = provider.kind != ProviderKind::Github;
    AuthorizationRequest {
        client_id: &provider.client_id,
        redirect_uri: &provider.redirect_uri(authority),
        scope: &provider.scope(),
        state: &format!("{id}.{}", transaction.secret),
        nonce: speaks_oidc.then_some(transaction.nonce.as_str()),
        code_challenge: &BASE64URL_NOPAD.encode(&sha256(transaction.verifier.as_bytes())),
        prompt: match (request.force, request.choose) {
            (true, _) => Some("login"),
            (false, true) if speaks_oidc => Some("select_account"),
            (false, _) => None,
        },
        max_age: request.max_age,
        login_hint: request.login_hint.as_deref(),
        acr_values: (speaks_oidc && !acr_values.is_empty()).then_some(acr_values.as_str()),
        hd: hosted_domain(provider.kind, &provider.settings),
        resource: None,
    }
    .url(endpoint)
}

/// The one domain to offer accounts of. A wish only: the answer is checked.
fn hosted_domain(kind: ProviderKind, settings: &ProviderSettings) -> Option<&str> {
    match (kind, settings.domains.as_slice()) {
        (ProviderKind::Google, [domain]) => Some(domain),
        _ => None,
    }
}

/// An attempt that the browser brought back.
#[derive(Debug)]
pub(super) enum Found {
    /// This one, in time.
    Here(Box<Transaction>),
    /// This one, too late.
    Late(Box<Transaction>),
    /// None that this browser began at this provider, or one that is over.
    Nothing,
}

/// The attempt that a callback's `state` belongs to.
pub(super) fn find(
    authority: &Authority,
    headers: &HeaderMap,
    state: &str,
    provider: &str,
) -> Found {
    let now = authority.clock.now();
    let Some((id, secret)) = state.split_once('.').filter(|(id, _)| is_id(id)) else {
        return Found::Nothing;
    };
    let Some(sealed) = cookie(headers, &format!("{COOKIE_PREFIX}{id}")) else {
        return Found::Nothing;
    };
    let opened = authority
        .keys
        .sealer()
        .open::<Transaction>(PURPOSE, sealed, now);
    let Ok(transaction) = opened else {
        return Found::Nothing;
    };
    if !constant_time_eq(transaction.secret.as_bytes(), secret.as_bytes())
        || transaction.provider != provider
    {
        return Found::Nothing;
    }
    let began = Timestamp::from_unix_micros(transaction.started_at);
    let transaction = Box::new(transaction);
    if now.since(began) < ATTEMPT {
        Found::Here(transaction)
    } else {
        Found::Late(transaction)
    }
}

/// The `Set-Cookie` that ends the transaction of a `state`.
pub(super) fn clear(state: &str) -> Option<String> {
    let (id, _) = state.split_once('.')?;
    is_id(id).then(|| end_of(id))
}

fn end_of(id: &str) -> String {
    format!("{COOKIE_PREFIX}{id}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}

fn is_id(text: &str) -> bool {
    text.len() == 20
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Ends of the transactions that no longer fit beside a new one: what nobody can open first, then
/// the oldest.
fn crowded_out(authority: &Authority, headers: &HeaderMap, new: usize) -> Vec<String> {
    let now = authority.clock.now();
    let mut held: Vec<(i64, &str, usize)> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(name, value)| Some((name.strip_prefix(COOKIE_PREFIX)?, value)))
        .filter(|(id, _)| is_id(id))
        .map(|(id, value)| {
            let opened = authority
                .keys
                .sealer()
                .open::<Transaction>(PURPOSE, value, now);
            let began = opened.map_or(i64::MIN, |transaction| transaction.started_at);
            (began, id, value.len())
        })
        .collect();
    held.sort_unstable_by(|left, right| right.cmp(left));
    let mut room = COOKIES_MAX.saturating_sub(new);
    let mut gone = Vec::new();
    for (began, id, size) in held {
        if began == i64::MIN || size > room {
            room = if began == i64::MIN { room } else { 0 };
            gone.push(end_of(id));
        } else {
            room -= size;
        }
    }
    gone
}
