//! From an access token to an actor.

use http::{HeaderMap, Method};

use crate::authority::app::Authority;
use crate::authority::oauth::dpop::{self, DpopError, Proved, ProvenKey};
use crate::crypto::sign::{Expected, TokenError};
use crate::domain::user::UserState;
use crate::domain::{ClientKind, Timestamp, UserId};
use crate::protocol::jose::{AccessTokenClaims, Subject};
use crate::store::clients::{Client, ClientState};
use crate::store::{StoreError, Tx, clients, grants, members, sessions, users};

use super::Actor;

/// Why a bearer is nobody. Whoever asks learns `invalid_token` and no more, but for what it takes to
/// make a better proof of possession; the reason is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The token itself is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Its client, its user, its session, its grant or its membership is gone, may not act any more, or has had its
    /// tokens revoked.
    #[error("the token was revoked")]
    Revoked,
    /// It is bound to a key, and whoever shows it does not prove to have that key; or it is shown
    /// with a proof and bound to none.
    #[error("the token is bound to a key that was not proved")]
    Bound,
    /// The proof of possession is wrong.
    #[error(transparent)]
    Proof(DpopError),
    /// The proof must hold this nonce.
    #[error("the proof holds no nonce of now")]
    Nonce(String),
    /// Whether it still counts cannot be read.
    #[error("the store cannot tell whether the token still counts")]
    Store(#[from] StoreError),
}

/// A token as it is shown.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'r> {
    /// `Authorization: Bearer …`.
    Bearer(&'r str),
    /// `Authorization: DPoP …`, in a request with a proof (RFC 9449 §7).
    Bound {
        /// The token.
        token: &'r str,
        /// Where the proof is.
        headers: &'r HeaderMap,
        /// The request's method.
        method: &'r Method,
        /// The request's path.
        path: &'r str,
    },
}

/// Checks a bearer token: the token itself, then whether its client and its user still may.
///
/// # Errors
///
/// [`AuthError::Store`] is answered 503, everything else 401 in the same words.
pub async fn authenticate(authority: &Authority, bearer: &str) -> Result<Actor, AuthError> {
    authenticate_shown(authority, Shown::Bearer(bearer))
        .await
        .map(|(actor, _)| actor)
}

/// [`authenticate`], for a token that may be bound to a key; with what the token says.
pub async fn authenticate_shown(
    authority: &Authority,
    shown: Shown<'_>,
) -> Result<(Actor, AccessTokenClaims), AuthError> {
    let issuer = authority.config.issuer.as_str();
    let now = authority.clock.now();
    let (Shown::Bearer(token) | Shown::Bound { token, .. }) = shown;
    let claims = authority.keys.verify(
        token,
        Expected {
            issuer,
            audience: issuer,
            now,
        },
    )?;
    let key = proven(authority, shown)?;
    if claims.cnf.as_ref().map(|cnf| &cnf.jkt) != key.as_ref().map(|key| &key.jkt) {
        return Err(AuthError::Bound);
    }
    let asked = claims.clone();
    let actor = match key {
        None => {
            let read = move |tx: &mut dyn Tx| actor(tx, &asked, now);
            authority.store.look(read).await?
        }
        Some(key) => {
            let write = move |tx: &mut dyn Tx| {
                if key.use_up(tx)? {
                    actor(tx, &asked, now)
                } else {
                    let what = "the proof was used before";
                    Err(AuthError::Proof(DpopError::Invalid(what)))
                }
            };
            authority.store.write(write).await?.value
        }
    };
    Ok((actor, claims))
}

fn proven(authority: &Authority, shown: Shown<'_>) -> Result<Option<ProvenKey>, AuthError> {
    let Shown::Bound {
        token,
        headers,
        method,
        path,
    } = shown
    else {
        return Ok(None);
    };
    let wanted = Proved {
        method,
        path,
        token: Some(token),
    };
    match dpop::proof(authority, headers, wanted) {
        Ok(Some(key)) => Ok(Some(key)),
        Ok(None) => Err(AuthError::Bound),
        Err(DpopError::Nonce) => Err(AuthError::Nonce(dpop::nonce(authority))),
        Err(error) => Err(AuthError::Proof(error)),
    }
}

/// Who the claims speak for, by what the store says now.
fn actor(tx: &mut dyn Tx, claims: &AccessTokenClaims, now: Timestamp) -> Result<Actor, AuthError> {
    let subject = claims.subject().ok_or(TokenError::Malformed)?;
    let scopes = claims.scopes().ok_or(TokenError::Malformed)?;
    let client = standing(tx, claims, &subject, now)?;
    match subject {
        Subject::Client if client.kind == ClientKind::App => Err(AuthError::Revoked),
        Subject::Client => Ok(Actor::Client {
            id: client.id,
            identifier: client.identifier,
            kind: client.kind,
            scopes,
        }),
        Subject::User(user_id) => Ok(Actor::User {
            user_id,
            client: client.identifier,
            scopes,
            organization: claims.dw_org,
        }),
    }
}

/// The client of a token that still counts: client, user, session and grant are there, may act, and
/// have had nothing revoked since.
///
/// # Errors
///
/// [`AuthError::Revoked`] when not.
pub(in crate::authority) fn standing(
    tx: &mut dyn Tx,
    claims: &AccessTokenClaims,
    subject: &Subject,
    now: Timestamp,
) -> Result<Client, AuthError> {
    let client = clients::find_by_identifier(tx, &claims.client_id)?
        .filter(|client| client.state == ClientState::Active)
        .filter(|client| claims.dw_client.is_none_or(|id| id == client.id))
        .ok_or(AuthError::Revoked)?;
    match subject {
        Subject::Client => {
            // Nothing issues a client's own token with a user's bounds.
            if claims.dw_org.is_some() || claims.sid.is_some() || claims.gid.is_some() {
                return Err(AuthError::Revoked);
            }
            current(claims.dw_epoch, client.token_epoch)?;
        }
        Subject::User(user) => {
            let client_epoch = claims.dw_client_epoch.ok_or(TokenError::Malformed)?;
            current(client_epoch, client.token_epoch)?;
            match users::find_state(tx, *user)? {
                Some((UserState::Active, epoch)) => current(claims.dw_epoch, epoch)?,
                _ => return Err(AuthError::Revoked),
            }
            bounds_hold(tx, claims, *user, now)?;
        }
    }
    Ok(client)
}

/// Whether the session and the grant that the token came from are still there, and the user is still a
/// member of its organization.
fn bounds_hold(
    tx: &mut dyn Tx,
    claims: &AccessTokenClaims,
    user: UserId,
    now: Timestamp,
) -> Result<(), AuthError> {
    if let Some(id) = claims.sid
        && !sessions::lives(tx, id, user, now)?
    {
        return Err(AuthError::Revoked);
    }
    if let Some(id) = claims.gid {
        grants::find(tx, id)?
            .filter(|grant| grant.user_id == user && grant.is_live(now))
            .ok_or(AuthError::Revoked)?;
    }
    if let Some(organization) = claims.dw_org {
        members::find(tx, organization, user)?.ok_or(AuthError::Revoked)?;
    }
    Ok(())
}

const fn current(minted_under: i64, epoch: i64) -> Result<(), AuthError> {
    if minted_under >= epoch {
        Ok(())
    } else {
        Err(AuthError::Revoked)
    }
}
