//! Access tokens: for clients by their secret, for users on the host.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::init::LOCAL_CLIENT;
use crate::crypto::digest::{sha256, token_digest};
use crate::crypto::sign::KeyError;
use crate::domain::user::UserState;
use crate::domain::{ClientIdentifier, ClientKind, Scope, Scopes, Timestamp, TokenDigest, UserId};
use crate::protocol::jose::{AccessTokenClaims, Audience};
use crate::protocol::oauth::{
    Grant, OAuthError, OAuthErrorCode, PresentedCredentials, TokenRequest, TokenResponse,
};
use crate::store::clients::{Client, ClientState, StoredSecret};
use crate::store::{StoreError, clients, users};

use super::Doer;

/// Why no token is given out.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    /// What the client is told.
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    /// Too many wrong secrets for this name.
    #[error("too many failed attempts")]
    TooMany(Duration),
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

/// Answers a request to the token endpoint.
///
/// # Errors
///
/// [`TokenRefused::OAuth`] in the words of RFC 6749: an unknown client, a wrong or expired secret
/// and a retired client look the same and take the same time.
pub async fn grant(
    authority: &Authority,
    request: TokenRequest,
) -> Result<TokenResponse, TokenRefused> {
    let Grant::ClientCredentials = request.grant;
    let Some(client) = prove(authority, &request.credentials).await? else {
        metrics::counter!("doorward_authority_failed_authentications_total").increment(1);
        authority
            .failures
            .failed(&request.credentials.client_id)
            .map_err(TokenRefused::TooMany)?;
        return Err(OAuthError::invalid_client().into());
    };
    if client.kind == ClientKind::App {
        let description = "the client may not ask for tokens of its own";
        return Err(OAuthError::new(OAuthErrorCode::UnauthorizedClient, description).into());
    }
    let scopes = granted(&client, request.scope)?;
    let audience = audience(authority, &request.resources)?;
    let lifetime = authority.config.lifetimes.access;
    let claims = AccessTokenClaims {
        sub: client.identifier.to_string(),
        dw_epoch: client.token_epoch,
        dw_client_epoch: None,
        ..claims(authority, &client, audience, &scopes, lifetime)
    };
    respond(authority, &claims, lifetime)
}

/// Mints a token for a user, on the host: until login exists, this is how a person gets one.
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
    respond(authority, &claims, lifetime)
}

/// The client whose credentials these are, if they are right.
async fn prove(
    authority: &Authority,
    presented: &PresentedCredentials,
) -> Result<Option<Client>, StoreError> {
    let now = authority.clock.now();
    let digest = token_digest(&presented.secret);
    let identifier = presented.client_id.parse::<ClientIdentifier>().ok();
    let named = identifier.is_some();
    let (client, secrets) = authority
        .store
        .read(move |tx| {
            // A name that cannot be one is looked up all the same: it takes the same time.
            let looked_up = match &identifier {
                Some(identifier) => identifier,
                None => &nobody()?,
            };
            let client = clients::find_by_identifier(tx, looked_up)?;
            let id = client
                .as_ref()
                .map_or(crate::domain::ClientId::from_u128(0), |client| client.id);
            Ok::<_, StoreError>((client, clients::secrets(tx, id)?))
        })
        .await?;
    let right = matches_one(&digest, &secrets, now) & named;
    Ok(client.filter(|client| right && client.state == ClientState::Active))
}

fn nobody() -> Result<ClientIdentifier, StoreError> {
    "nobody"
        .parse()
        .map_err(|_| StoreError::Other("`nobody` is a client id".to_owned()))
}

/// Compares with as many hashes as a client can have, each in constant time.
fn matches_one(digest: &TokenDigest, secrets: &[StoredSecret], now: Timestamp) -> bool {
    let none = StoredSecret {
        digest: TokenDigest::from_bytes(sha256(b"")),
        expires_at: Some(Timestamp::EPOCH),
    };
    let mut right = false;
    for index in 0..secrets.len().max(2) {
        let secret = secrets.get(index).unwrap_or(&none);
        let live = secret.expires_at.is_none_or(|until| now < until);
        right |= (secret.digest == *digest) & live;
    }
    right
}

fn granted(client: &Client, asked: Option<Scopes>) -> Result<Scopes, OAuthError> {
    let scopes = asked.unwrap_or_else(|| client.scopes.clone());
    if scopes.is_subset(&client.scopes) {
        Ok(scopes)
    } else {
        Err(OAuthError::new(
            OAuthErrorCode::InvalidScope,
            "`scope` names a scope that the client may not have",
        ))
    }
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
) -> Result<TokenResponse, TokenRefused> {
    Ok(TokenResponse {
        access_token: authority.keys.sign(claims)?,
        token_type: "Bearer".to_owned(),
        expires_in: lifetime.as_secs(),
        scope: claims.scope.clone(),
    })
}

/// The scopes a user's token gets unless it asks for less.
pub fn user_scopes() -> Scopes {
    "doorward:organizations"
        .parse::<Scope>()
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_counts_until_its_end_and_no_other_counts() {
        let digest = |byte| TokenDigest::from_bytes([byte; 32]);
        let now = Timestamp::from_unix_seconds(100);
        let secrets = [
            StoredSecret {
                digest: digest(1),
                expires_at: None,
            },
            StoredSecret {
                digest: digest(2),
                expires_at: Some(Timestamp::from_unix_seconds(101)),
            },
            StoredSecret {
                digest: digest(3),
                expires_at: Some(now),
            },
        ];
        assert!(matches_one(&digest(1), &secrets, now));
        assert!(matches_one(&digest(2), &secrets, now));
        assert!(!matches_one(&digest(3), &secrets, now));
        assert!(!matches_one(&digest(4), &secrets, now));
        let empty = TokenDigest::from_bytes(sha256(b""));
        assert!(!matches_one(&empty, &[], now), "no secret opens nothing");
    }
}
