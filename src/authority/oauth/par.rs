//! Pushed authorization requests (RFC 9126): a client says what it wants before the browser comes,
//! proves who it is, and gets a name for it.

use http::HeaderMap;

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::token_digest;
use crate::domain::PlainToken;
use crate::protocol::oauth::authorize::{AuthorizeError, PUSHED_PREFIX, Parameters};
use crate::protocol::oauth::{OAuthError, OAuthErrorCode, PresentedClient};
use crate::store::StoreError;
use crate::store::pushed_requests::{self, PushedRequest};

use super::check::{check, redirect_uri};
use super::client_auth::authenticate_client;
use super::dpop::ProvenKey;
use super::refused::Refused;
use super::token::proven_key;
use super::used_proof;

/// The endpoint.
pub const PAR_PATH: &str = "/oauth2/par";

/// How many requests of a client may wait to be begun at a time: anybody can say that they are a
/// public client.
const WAITING_MAX: i64 = 1_000;

/// A request that was pushed.
#[derive(Debug)]
pub struct Pushed {
    /// The name that it goes by.
    pub request_uri: PlainToken,
    /// Seconds.
    pub expires_in: u64,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotPushed {
    /// The client, its proof of possession, or us.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What is asked for.
    #[error(transparent)]
    Request(#[from] AuthorizeError),
}

impl From<OAuthError> for NotPushed {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<StoreError> for NotPushed {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// Takes a request.
///
/// # Errors
///
/// [`NotPushed`], in the words that the token endpoint or a redirect would use.
pub async fn push(
    authority: &Authority,
    headers: &HeaderMap,
    presented: &PresentedClient,
    parameters: &Parameters,
    from: ClientAddress,
) -> Result<Pushed, NotPushed> {
    let key = proven_key(authority, headers, PAR_PATH)?;
    let client = authenticate_client(authority, presented, from).await?;
    let app = client.app.ok_or_else(|| {
        let description = "the client is no app that people log in through";
        OAuthError::new(OAuthErrorCode::UnauthorizedClient, description)
    })?;
    let invalid = |description: &str| OAuthError::new(OAuthErrorCode::InvalidRequest, description);
    if parameters.has("request_uri") {
        return Err(invalid("`request_uri` cannot be pushed").into());
    }
    let redirect_uri = redirect_uri(&app, parameters)
        .ok_or_else(|| invalid("`redirect_uri` is not one that the app registered"))?;
    let mut checked = check(authority, &app, parameters, redirect_uri)?;
    if let Some(key) = &key {
        // RFC 9449 §10.1: the proof says the same as the parameter, and must.
        let named = checked
            .request
            .dpop_jkt
            .get_or_insert_with(|| key.jkt.clone());
        if *named != key.jkt {
            return Err(invalid("`dpop_jkt` is not the key of the `DPoP` proof").into());
        }
    }
    let jkt = checked.request.dpop_jkt.clone();
    let parameters = serde_json::to_string(&checked)
        .map_err(|_| StoreError::Other("a request is no JSON".to_owned()))?;
    let request_uri = PlainToken::from_random(PUSHED_PREFIX, authority.entropy.token_bits());
    let (now, lifetimes) = (authority.clock.now(), authority.config.lifetimes);
    let row = PushedRequest {
        digest: token_digest(&request_uri),
        client_id: app.id,
        parameters,
        dpop_jkt: jkt,
        created_at: now,
        // A login that began from it in time may still be under way when it can begin no more.
        expires_at: now
            .plus(lifetimes.pushed_request)
            .plus(lifetimes.interaction),
    };
    store(authority, row, key).await?;
    Ok(Pushed {
        request_uri,
        expires_in: lifetimes.pushed_request.as_secs(),
    })
}

async fn store(
    authority: &Authority,
    row: PushedRequest,
    key: Option<ProvenKey>,
) -> Result<(), NotPushed> {
    let lifetime = authority.config.lifetimes.pushed_request;
    let begun = row.created_at.minus(lifetime);
    let stored = authority
        .store
        .write::<_, StoreError>(move |tx| {
            if let Some(key) = &key
                && !key.use_up(tx)?
            {
                return Ok(Err(used_proof().into()));
            }
            if pushed_requests::since(tx, row.client_id, begun)? >= WAITING_MAX {
                let full = Refused::Full(OAuthErrorCode::TemporarilyUnavailable);
                return Ok(Err(full));
            }
            pushed_requests::insert(tx, &row)?;
            Ok(Ok(()))
        })
        .await?
        .value;
    Ok(stored?)
}
