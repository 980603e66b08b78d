//! From a bearer token to an actor.

use crate::authority::app::Authority;
use crate::crypto::sign::{Expected, TokenError};
use crate::domain::ClientKind;
use crate::domain::user::UserState;
use crate::protocol::jose::{AccessTokenClaims, Subject};
use crate::store::clients::{Client, ClientState};
use crate::store::{StoreError, Tx, clients, users};

use super::Actor;

/// Why a bearer is nobody. Whoever asks learns `invalid_token` and no more; the reason is for the
/// log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The token itself is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Its client or its user is gone, may not act any more, or has had its tokens revoked.
    #[error("the token was revoked")]
    Revoked,
    /// It is bound to an organization, a session or a grant, which this API does not check.
    #[error("the token is bound to what this API does not check")]
    Bound,
    /// Whether it still counts cannot be read.
    #[error("the store cannot tell whether the token still counts")]
    Store(#[from] StoreError),
}

/// Checks a bearer token: the token itself, then whether its client and its user still may.
///
/// # Errors
///
/// [`AuthError::Store`] is answered 503, everything else 401 in the same words.
pub async fn authenticate(authority: &Authority, bearer: &str) -> Result<Actor, AuthError> {
    let issuer = authority.config.issuer.as_str();
    let claims = authority.keys.verify(
        bearer,
        Expected {
            issuer,
            audience: issuer,
            now: authority.clock.now(),
        },
    )?;
    authority.store.read(move |tx| actor(tx, &claims)).await
}

/// Who the claims speak for, by what the store says now.
fn actor(tx: &mut dyn Tx, claims: &AccessTokenClaims) -> Result<Actor, AuthError> {
    // Nothing issues such tokens yet. Whoever makes them teaches this API their bounds first: until
    // then one is refused, rather than taken for more than it is.
    if claims.dw_org.is_some() || claims.sid.is_some() || claims.gid.is_some() {
        return Err(AuthError::Bound);
    }
    let subject = claims.subject().ok_or(TokenError::Malformed)?;
    let scopes = claims.scopes().ok_or(TokenError::Malformed)?;
    let client = clients::find_by_identifier(tx, &claims.client_id)?
        .filter(|client| client.state == ClientState::Active)
        .ok_or(AuthError::Revoked)?;
    match subject {
        Subject::Client => {
            current(claims.dw_epoch, &client)?;
            if client.kind == ClientKind::App {
                return Err(AuthError::Revoked);
            }
            Ok(Actor::Client {
                id: client.id,
                identifier: client.identifier,
                kind: client.kind,
                scopes,
            })
        }
        Subject::User(user_id) => {
            let client_epoch = claims.dw_client_epoch.ok_or(TokenError::Malformed)?;
            current(client_epoch, &client)?;
            match users::find_state(tx, user_id)? {
                Some((UserState::Active, epoch)) if claims.dw_epoch >= epoch => Ok(Actor::User {
                    user_id,
                    client: client.identifier,
                    scopes,
                }),
                _ => Err(AuthError::Revoked),
            }
        }
    }
}

const fn current(epoch: i64, client: &Client) -> Result<(), AuthError> {
    if epoch >= client.token_epoch {
        Ok(())
    } else {
        Err(AuthError::Revoked)
    }
}
