//! Access tokens: for clients by their secret, for users on the host.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::init::LOCAL_CLIENT;
use crate::authority::oauth::dpop::ProvenKey;
use crate::authority::oauth::{AuthenticatedClient, Refused};
use crate::crypto::sign::KeyError;
use crate::domain::user::UserState;
use crate::domain::{ClientIdentifier, ClientKind, Scope, Scopes, UserId};
use crate::protocol::jose::{AccessTokenClaims, Audience, Confirmation};
use crate::protocol::oauth::{OAuthError, OAuthErrorCode, TokenResponse};
use crate::store::clients::{Client, ClientState};
use crate::store::{StoreError, clients, users};

use super::Doer;

/// Why the host gives no token out.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    /// No such user, or one who may not act.
    #[error("there is no active user `{0}`")]
    User(UserId),
    /// The client through which the host acts for users is gone.
    #[error("client `{LOCAL_CLIENT}` is retired")]
    LocalClient,
    /// The token cannot be signed.
    #[error("the token cannot be signed")]
    Key(#[from] KeyError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A client's own token (RFC 6749 §4.4).
///
/// # Errors
///
/// `invalid_scope` and `invalid_target` for what the client may not have.
pub(in crate::authority) fn client_credentials(
    authority: &Authority,
    AuthenticatedClient { client, .. }: &AuthenticatedClient,
    scope: Option<Scopes>,
    resources: &[String],
    key: Option<ProvenKey>,
) -> Result<TokenResponse, Refused> {
    let scopes = granted(client, scope)?;
    let audience = audience(authority, resources)?;
    let lifetime = authority.config.lifetimes.access;
    let claims = AccessTokenClaims {
        sub: client.identifier.to_string(),
        dw_epoch: client.token_epoch,
        dw_client_epoch: None,
        cnf: key.map(|key| Confirmation { jkt: key.jkt }),
        ..claims(authority, client, audience, &scopes, lifetime)
    };
    Ok(respond(authority, &claims, lifetime)?)
}

/// Mints a token for a user, on the host: how an operator's command acts for a person without a
/// browser.
///
/// # Errors
///
/// [`TokenRefused::User`] when there is no such active user.
pub async fn for_user(
    authority: &Authority,
    doer: &Doer,
    user: UserId,
    scopes: Scopes,
) -> Result<TokenResponse, TokenRefused> {
    let lifetime = authority.config.lifetimes.user;
    let issuer = authority.config.issuer.to_string();
    let entry = authority.audit(
        doer.audit_name(),
        "token.minted",
        format!("user:{user}"),
        json!({ "client": LOCAL_CLIENT, "scope": scopes.to_string() }),
    );
    let (client, epoch) = authority
        .store
        .write(move |tx| {
            let local: ClientIdentifier = LOCAL_CLIENT
                .parse()
                .map_err(|_| TokenRefused::LocalClient)?;
            let client = clients::find_by_identifier(tx, &local)?
                .filter(|client| client.state == ClientState::Active)
                .ok_or(TokenRefused::LocalClient)?;
            let Some((UserState::Active, epoch)) = users::find_state(tx, user)? else {
                return Err(TokenRefused::User(user));
            };
            crate::store::audit::record(tx, &entry)?;
            Ok((client, epoch))
        })
        .await?
        .value;
    let claims = AccessTokenClaims {
        sub: user.to_string(),
        dw_epoch: epoch,
        dw_client_epoch: Some(client.token_epoch),
        ..claims(authority, &client, issuer, &scopes, lifetime)
    };
    Ok(respond(authority, &claims, lifetime)?)
}

fn granted(client: &Client, asked: Option<Scopes>) -> Result<Scopes, OAuthError> {
    let own = own_scopes(client);
    let scopes = asked.unwrap_or_else(|| own.clone());
    if scopes.is_subset(&own) {
        Ok(scopes)
    } else {
        Err(OAuthError::new(
            OAuthErrorCode::InvalidScope,
            "`scope` names a scope that the client may not have",
        ))
    }
}

/// What a client may have without anybody: of an app's scopes, those that are about no user.
fn own_scopes(client: &Client) -> Scopes {
    const OF_USERS: [&str; 5] = ["openid", "profile", "email", "offline_access", "doorward:"];
    let of_user = |scope: &Scope| {
        client.kind == ClientKind::App
            && OF_USERS.iter().any(|word| {
                scope.as_str() == *word || (word.ends_with(':') && scope.as_str().starts_with(word))
            })
    };
    client
        .scopes
        .iter()
        .filter(|scope| !of_user(scope))
        .cloned()
        .collect()
}

fn audience(authority: &Authority, resources: &[String]) -> Result<String, OAuthError> {
    let issuer = authority.config.issuer.as_str();
    let refused = |description| OAuthError::new(OAuthErrorCode::InvalidTarget, description);
    match resources {
        [] => Ok(issuer.to_owned()),
        [one] if one == issuer || authority.config.resources.contains(one) => Ok(one.clone()),
        [_] => Err(refused("no tokens are issued for this `resource`")),
        _ => Err(refused("a token is for one `resource`")),
    }
}

fn claims(
    authority: &Authority,
    client: &Client,
    audience: String,
    scopes: &Scopes,
    lifetime: Duration,
) -> AccessTokenClaims {
    let now = authority.clock.now();
    AccessTokenClaims {
        iss: authority.config.issuer.to_string(),
        sub: String::new(),
        aud: Audience::One(audience),
        exp: now.plus(lifetime).unix_seconds(),
        iat: now.unix_seconds(),
        nbf: None,
        jti: BASE64URL_NOPAD.encode(&authority.entropy.id_bits()),
        client_id: client.identifier.clone(),
        scope: scopes.to_string(),
        dw_epoch: 0,
        dw_client_epoch: None,
        dw_client: Some(client.id),
        dw_org: None,
        sid: None,
        gid: None,
        cnf: None,
    }
}

fn respond(
    authority: &Authority,
    claims: &AccessTokenClaims,
    lifetime: Duration,
) -> Result<TokenResponse, KeyError> {
    let bound = claims.cnf.is_some();
    Ok(TokenResponse {
        access_token: authority.keys.sign(claims)?,
        token_type: if bound { "DPoP" } else { "Bearer" }.to_owned(),
        expires_in: lifetime.as_secs(),
        scope: claims.scope.clone(),
        refresh_token: None,
        id_token: None,
    })
}

/// The scopes a user's token gets unless it asks for less.
pub fn user_scopes() -> Scopes {
    "doorward:organizations"
        .parse::<Scope>()
        .into_iter()
        .collect()
}
