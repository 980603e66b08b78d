//! What providers publish: their endpoints and keys, fetched when needed and kept for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use serde::de::DeserializeOwned;

use crate::authority::app::Authority;
use crate::crypto::sign::{ForeignKeys, TokenError};
use crate::domain::Timestamp;
use crate::protocol::oidc::upstream::ProviderMetadata;

use super::error::UpstreamError;
use super::provider::Provider;

/// How long what was fetched counts as new.
const FRESH: Duration = Duration::from_hours(1);
/// How long it is used when it cannot be fetched again.
const USABLE: Duration = Duration::from_hours(24);
/// How often keys are fetched again because a token names an unknown one: anybody can make such
/// tokens up.
const KEYS_AGAIN: Duration = Duration::from_secs(30);
/// How long a provider that failed is left alone.
const FAILED: Duration = Duration::from_secs(5);

/// Endpoints and keys of providers, by name. As many as there are providers.
#[derive(Debug, Default)]
pub struct Directory(Mutex<BTreeMap<String, Arc<Slot>>>);

/// One fetch at a time: who comes meanwhile waits for its outcome.
type Slot = tokio::sync::Mutex<Entry>;

#[derive(Debug, Default)]
struct Entry {
    known: Option<Arc<Known>>,
    failed: Option<(Timestamp, UpstreamError)>,
}

/// What is known of a provider.
#[derive(Debug)]
pub struct Known {
    /// Its endpoints.
    pub metadata: ProviderMetadata,
    keys: ForeignKeys,
    fetched_at: Timestamp,
    keys_fetched_at: Timestamp,
}

impl Directory {
    fn slot(&self, provider: &str) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(provider.to_owned()).or_default())
    }

    /// What the provider publishes, fetched if it is not known or no longer new.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`] when it is not known and cannot be fetched.
    pub async fn look_up(
        &self,
        authority: &Authority,
        provider: &Provider,
    ) -> Result<Arc<Known>, UpstreamError> {
        let slot = self.slot(&provider.slug);
        let mut entry = slot.lock().await;
        let now = authority.clock.now();
        let known = entry
            .known
            .clone()
            .filter(|known| known.metadata.issuer == provider.issuer);
        if let Some(known) = &known
            && now.since(known.fetched_at) < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let usable = known.filter(|known| now.since(known.fetched_at) < USABLE);
        let failure = match &entry.failed {
            Some((at, error)) if now.since(*at) < FAILED => error.clone(),
            _ => match fetch(authority, provider, now).await {
                Ok(fetched) => {
                    let fetched = Arc::new(fetched);
                    *entry = Entry {
                        known: Some(Arc::clone(&fetched)),
                        failed: None,
                    };
                    return Ok(fetched);
                }
                Err(error) => {
                    tracing::warn!(provider = provider.slug, %error, "no discovery document");
                    entry.failed = Some((now, error.clone()));
                    error
                }
            },
        };
        usable.ok_or(failure)
    }

    /// Verifies a token's signature, and fetches the keys again when it names an unknown one.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Token`] when the token is not the provider's.
    pub async fn verify<T: DeserializeOwned>(
        &self,
        authority: &Authority,
        provider: &Provider,
        token: &str,
        types: &[&str],
    ) -> Result<T, UpstreamError> {
        let known = self.look_up(authority, provider).await?;
        match known.keys.verify(token, types) {
            Err(TokenError::UnknownKey) => {}
            verified => return Ok(verified?),
        }
        let known = self.keys_again(authority, provider, &known).await?;
        Ok(known.keys.verify(token, types)?)
    }

    async fn keys_again(
        &self,
        authority: &Authority,
        provider: &Provider,
        seen: &Arc<Known>,
    ) -> Result<Arc<Known>, UpstreamError> {
        let slot = self.slot(&provider.slug);
        let mut entry = slot.lock().await;
        let now = authority.clock.now();
        let held = entry.known.clone().unwrap_or_else(|| Arc::clone(seen));
        // Somebody fetched them while this one waited, or did so a moment ago.
        if held.keys_fetched_at > seen.keys_fetched_at
            || now.since(held.keys_fetched_at) < KEYS_AGAIN
        {
            return Ok(held);
        }
        let keys = fetch_keys(authority, &held.metadata.jwks_uri).await;
        let known = Arc::new(Known {
            metadata: held.metadata.clone(),
            // A failure counts as an attempt, or each made-up token would ask again.
            keys: keys.unwrap_or_else(|error| {
                tracing::warn!(provider = provider.slug, %error, "no keys");
                held.keys.clone()
            }),
            fetched_at: held.fetched_at,
            keys_fetched_at: now,
        });
        entry.known = Some(Arc::clone(&known));
        Ok(known)
    }
}

async fn fetch(
    authority: &Authority,
    provider: &Provider,
    now: Timestamp,
) -> Result<Known, UpstreamError> {
    let outbound = &authority.outbound;
    let metadata: ProviderMetadata = outbound
        .get_json(&ProviderMetadata::url(&provider.issuer), None)
        .await?;
    metadata.check(&provider.issuer)?;
    outbound.check_url(&metadata.authorization_endpoint)?;
    outbound.check_url(&metadata.token_endpoint)?;
    if let Some(userinfo) = &metadata.userinfo_endpoint {
        outbound.check_url(userinfo)?;
    }
    let keys = fetch_keys(authority, &metadata.jwks_uri).await?;
    Ok(Known {
        metadata,
        keys,
        fetched_at: now,
        keys_fetched_at: now,
    })
}

async fn fetch_keys(authority: &Authority, url: &str) -> Result<ForeignKeys, UpstreamError> {
    let answer = authority.outbound.get(url, HeaderMap::new()).await?;
    Ok(ForeignKeys::parse(&answer.success()?.body)?)
}
