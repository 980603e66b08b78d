//! The token endpoint: whichever way a client asks, who it is comes first.

use http::{HeaderMap, Method};

use crate::authority::app::Authority;
use crate::authority::credentials::tokens;
use crate::authority::proxies::ClientAddress;
use crate::domain::ClientKind;
use crate::domain::app::GrantType;
use crate::protocol::oauth::{
    DEVICE_CODE, OAuthError, OAuthErrorCode, TokenGrant, TokenRequest, TokenResponse,
};
use crate::store::StoreError;

use super::client_auth::{AuthenticatedClient, authenticate_client};
use super::dpop::{self, DpopError, Proved, ProvenKey};
use super::exchange::{Redeemed, exchange};
use super::poll::{Polled, poll};
use super::refresh::{Refreshed, refresh};
use super::{Refused, unauthorized_client, used_proof};

/// The path of the token endpoint, below the issuer.
pub const TOKEN_PATH: &str = "/oauth2/token";

/// The `grant_type`s that work.
pub const GRANT_TYPES: &[&str] = &[
    "authorization_code",
    "client_credentials",
    "refresh_token",
    DEVICE_CODE,
];

/// Answers a token request.
///
/// # Errors
///
/// [`Refused`] in the words of RFC 6749 §5.2.
pub async fn grant(
    authority: &Authority,
    headers: &HeaderMap,
    request: TokenRequest,
    from: ClientAddress,
) -> Result<TokenResponse, Refused> {
    // Before the client's own proof: an assertion is not used up by a request that is to be tried
    // again with a nonce.
    let key = proven_key(authority, headers, TOKEN_PATH)?;
    let client = authenticate_client(authority, &request.client, from).await?;
    let (scope, resources) = (request.scope, request.resources);
    match request.grant {
        TokenGrant::ClientCredentials => {
            own_token_allowed(&client)?;
            if let Some(key) = key.clone() {
                use_up(authority, key).await?;
            }
            tokens::client_credentials(authority, &client, scope, &resources, key)
        }
        TokenGrant::AuthorizationCode {
            code,
            redirect_uri,
            code_verifier,
        } => {
            let redeemed = Redeemed {
                code,
                redirect_uri,
                code_verifier,
                scope,
                resources,
            };
            exchange(authority, &client, redeemed, key).await
        }
        TokenGrant::RefreshToken { refresh_token } => {
            let refreshed = Refreshed {
                refresh_token,
                scope,
                resources,
            };
            refresh(authority, &client, refreshed, key).await
        }
        TokenGrant::DeviceCode { device_code } => {
            let polled = Polled {
                device_code,
                scope,
                resources,
            };
            poll(authority, &client, polled, key).await
        }
    }
}

/// The key that a request to `path` proves.
///
/// # Errors
///
/// [`Refused::Nonce`] when it is to be tried again.
pub fn proven_key(
    authority: &Authority,
    headers: &HeaderMap,
    path: &str,
) -> Result<Option<ProvenKey>, Refused> {
    let wanted = Proved {
        method: &Method::POST,
        path,
        token: None,
    };
    dpop::proof(authority, headers, wanted).map_err(|error| match error {
        DpopError::Nonce => Refused::Nonce(dpop::nonce(authority)),
        DpopError::Invalid(what) => OAuthError::new(OAuthErrorCode::InvalidDpopProof, what).into(),
    })
}

async fn use_up(authority: &Authority, key: ProvenKey) -> Result<(), Refused> {
    let new = authority
        .store
        .write::<_, StoreError>(move |tx| key.use_up(tx))
        .await?
        .value;
    if new {
        Ok(())
    } else {
        Err(used_proof().into())
    }
}

/// An app's tokens are its users', unless its registration says that it has some of its own.
fn own_token_allowed(client: &AuthenticatedClient) -> Result<(), OAuthError> {
    let app_may = client
        .app
        .as_ref()
        .is_some_and(|app| app.spec.grant_types.contains(GrantType::ClientCredentials));
    if client.confidential && (client.client.kind != ClientKind::App || app_may) {
        Ok(())
    } else {
        Err(unauthorized_client())
    }
}
