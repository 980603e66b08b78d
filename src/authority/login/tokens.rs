//! Providers' tokens, kept for clients that call providers' APIs: sealed in their rows, refreshed
//! when due, given out under audit.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::authority::app::Authority;
use crate::crypto::seal::{KeyRing, Place, SealError};
use crate::domain::provider::ProviderKind;
use crate::domain::user::UserState;
use crate::domain::{AccountId, Secret, Timestamp, UserId};
use crate::store::accounts::{self, Account, SealedTokens, TABLE};
use crate::store::{StoreError, Tx, audit, users};

use super::error::UpstreamError;
use super::identity::UpstreamTokens;
use super::provider::{Provider, ProviderError};
use super::{github, oidc};

/// An access token is refreshed when it lives no longer than this.
const REFRESH_BEFORE: Duration = Duration::from_mins(1);

/// Why no token is given out.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The user has no account there, no token of it is kept, or the user may not act.
    #[error("no token of this provider is kept for this user")]
    None,
    /// The token is over, and the provider gives no other one: the user has to log in again.
    #[error("the token is over and cannot be refreshed")]
    Over(#[source] UpstreamError),
    /// The provider cannot be reached just now.
    #[error("the provider cannot be asked")]
    Upstream(#[source] UpstreamError),
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A kept token does not open.
    #[error("a kept token cannot be opened")]
    Seal(#[from] SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const fn place<'a>(row: &'a str, column: &'a str) -> Place<'a> {
    Place {
        table: TABLE,
        row,
        column,
    }
}

const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";

/// Seals tokens for an account's row.
pub(super) fn seal(
    ring: &KeyRing,
    account: AccountId,
    tokens: &UpstreamTokens,
) -> Result<SealedTokens, SealError> {
    let row = account.to_string();
    let seal = |column, token: &Secret<String>| {
        ring.seal(token.expose().as_bytes(), place(&row, column))
            .map(|sealed| BASE64URL_NOPAD.encode(&sealed))
    };
    Ok(SealedTokens {
        access: Some(seal(ACCESS, &tokens.access)?),
        refresh: tokens
            .refresh
            .as_ref()
            .map(|token| seal(REFRESH, token))
            .transpose()?,
        scope: Some(tokens.scope.clone()),
        expires_at: tokens.expires_at,
    })
}

fn open(
    ring: &KeyRing,
    account: AccountId,
    column: &str,
    sealed: &str,
) -> Result<Secret<String>, SealError> {
    let bytes = BASE64URL_NOPAD
        .decode(sealed.as_bytes())
        .map_err(|_| SealError::Damaged)?;
    let opened = ring.open(&bytes, place(&account.to_string(), column))?;
    String::from_utf8(opened.to_vec())
        .map(Secret::new)
        .map_err(|_| SealError::Damaged)
}

/// Seals every kept token again under the newest key, and tells how many rows changed.
pub fn reseal(tx: &mut dyn Tx, ring: &KeyRing, now: Timestamp) -> Result<usize, TokensError> {
    let mut changed = 0;
    for (account, held) in accounts::with_tokens(tx)? {
        let row = account.to_string();
        let again = |column, sealed: &Option<String>| -> Result<Option<String>, SealError> {
            let Some(text) = sealed else {
                return Ok(None);
            };
            let bytes = BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| SealError::Damaged)?;
            let resealed = ring.reseal(&bytes, place(&row, column))?;
            Ok(Some(resealed.map_or_else(
                || text.clone(),
                |bytes| BASE64URL_NOPAD.encode(&bytes),
            )))
        };
        let new = SealedTokens {
            access: again(ACCESS, &held.access)?,
            refresh: again(REFRESH, &held.refresh)?,
            ..held.clone()
        };
        if new != held {
            accounts::put_tokens(tx, account, &new, now)?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// A provider's access token of a user's, refreshed if it is due. `actor` is named in the audit
/// row, which is written before anything is given out.
///
/// # Errors
///
/// [`TokensError`]
pub async fn give(
    authority: &Authority,
    actor: String,
    user: UserId,
    slug: &str,
) -> Result<UpstreamTokens, TokensError> {
    let provider = Provider::find(authority, slug)
        .await?
        .filter(|provider| provider.settings.keep_tokens)
        .ok_or(TokensError::None)?;
    let (account, held) = held(authority, user, slug).await?;
    let now = authority.clock.now();
    let due = held
        .expires_at
        .is_some_and(|end| end <= now.plus(REFRESH_BEFORE));
    let (given, refreshed) = if due {
        refresh(authority, &provider, &account, &held).await?
    } else {
        (opened(authority, account.id, &held)?, None)
    };
    let entry = authority.audit(
        actor,
        "provider_token.given",
        format!("user:{user}"),
        json!({ "provider": slug, "refreshed": refreshed.is_some() }),
    );
    authority
        .store
        .write::<_, StoreError>(move |tx| {
            if let Some(tokens) = &refreshed {
                accounts::put_tokens(tx, account.id, tokens, now)?;
            }
            audit::record(tx, &entry)
        })
        .await?;
    Ok(given)
}

/// The user's account there that keeps a token: the one logged in with last. Of who may not act
/// nothing is given to anybody.
async fn held(
    authority: &Authority,
    user: UserId,
    slug: &str,
) -> Result<(Account, SealedTokens), TokensError> {
    let name = slug.to_owned();
    let found = authority
        .store
        .read::<_, StoreError>(move |tx| {
            let state = users::find_state(tx, user)?.map(|(state, _)| state);
            if state != Some(UserState::Active) {
                return Ok(None);
            }
            let mut of_provider: Vec<Account> = accounts::of_user(tx, user)?
                .into_iter()
                .filter(|account| account.provider == name)
                .collect();
            of_provider.sort_by_key(|account| std::cmp::Reverse(account.last_login_at));
            for account in of_provider {
                let held = accounts::tokens(tx, account.id)?;
                if held.access.is_some() {
                    return Ok(Some((account, held)));
                }
            }
            Ok(None)
        })
        .await?;
    found.ok_or(TokensError::None)
}

fn opened(
    authority: &Authority,
    account: AccountId,
    held: &SealedTokens,
) -> Result<UpstreamTokens, TokensError> {
    let ring = authority.keys.sealer().ring();
    let access = held.access.as_deref().ok_or(TokensError::None)?;
    Ok(UpstreamTokens {
        access: open(ring, account, ACCESS, access)?,
        refresh: held
            .refresh
            .as_deref()
            .map(|sealed| open(ring, account, REFRESH, sealed))
            .transpose()?,
        scope: held.scope.clone().unwrap_or_default(),
        expires_at: held.expires_at,
    })
}

async fn refresh(
    authority: &Authority,
    provider: &Provider,
    account: &Account,
    held: &SealedTokens,
) -> Result<(UpstreamTokens, Option<SealedTokens>), TokensError> {
    let old = opened(authority, account.id, held)?;
    let Some(token) = &old.refresh else {
        let why = UpstreamError::Answer("it gave no refresh token");
        return Err(TokensError::Over(why));
    };
    let endpoint = match provider.kind {
        ProviderKind::Github => github::token_endpoint(provider),
        ProviderKind::Oidc | ProviderKind::Google | ProviderKind::Demo => authority
            .directory
            .look_up(authority, provider)
            .await
            .map_err(TokensError::Upstream)?
            .metadata
            .token_endpoint
            .clone(),
    };
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.expose().as_str()),
    ];
    let answer = oidc::ask_token_endpoint(authority, provider, &endpoint, &form)
        .await
        .map_err(|error| match error {
            UpstreamError::Refused(_) => TokensError::Over(error),
            other => TokensError::Upstream(other),
        })?;
    let said_scope = answer.scope.is_some();
    let mut new = oidc::tokens(provider, answer, authority.clock.now());
    if !said_scope {
        new.scope.clone_from(&old.scope);
    }
    if new.refresh.is_none() {
        new.refresh.clone_from(&old.refresh);
    }
    let sealed = seal(authority.keys.sealer().ring(), account.id, &new)?;
    Ok((new, Some(sealed)))
}
