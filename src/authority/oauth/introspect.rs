//! What a token is (RFC 7662), for those whom it concerns: the client that has it, the service that
//! owns what it is for, and operators. Everybody else learns that it is not active, whether or not it
//! is.

use crate::authority::app::Authority;
use crate::authority::credentials::AuthError;
use crate::authority::credentials::authenticate::standing;
use crate::authority::proxies::ClientAddress;
use crate::authority::resource_servers::ResourceServers;
use crate::crypto::digest::token_digest;
use crate::domain::{ClientKind, PlainToken, Timestamp, TokenDigest};
use crate::protocol::jose::{AccessTokenClaims, Audience};
use crate::protocol::oauth::{Introspection, OAuthError, TokenQuery};
use crate::store::clients::Client;
use crate::store::{StoreError, Tx, grants, refresh_tokens};

use super::Refused;
use super::client_auth::authenticate_client;
use super::issue::{self, REFRESH_PREFIX};

/// The path of the introspection endpoint, below the issuer.
pub const INTROSPECT_PATH: &str = "/oauth2/introspect";

/// Answers what a token is.
///
/// # Errors
///
/// `invalid_client` for a client that has nothing to prove itself by.
pub async fn introspect(
    authority: &Authority,
    query: &TokenQuery,
    from: ClientAddress,
) -> Result<Introspection, Refused> {
    let asking = authenticate_client(authority, &query.client, from).await?;
    if !asking.confidential {
        return Err(OAuthError::invalid_client().into());
    }
    let now = authority.clock.now();
    let issuer = authority.config.issuer.to_string();
    if query.token.expose().starts_with(REFRESH_PREFIX) {
        let digest = token_digest(&query.token);
        let told = authority
            .store
            .look::<_, StoreError>(move |tx| {
                refresh_token(tx, &asking.client, digest, &issuer, now)
            })
            .await?;
        return Ok(told.unwrap_or_default());
    }
    let Some(claims) = verified(authority, &query.token, now) else {
        return Ok(Introspection::default());
    };
    if !concerns(&authority.config.resource_servers, &asking.client, &claims) {
        return Ok(Introspection::default());
    }
    let told = authority
        .store
        .look(move |tx| {
            let subject = claims.subject().ok_or(AuthError::Revoked)?;
            standing(tx, &claims, &subject, now)?;
            Ok(access_token(claims.clone()))
        })
        .await;
    match told {
        Ok(told) => Ok(told),
        Err(AuthError::Store(error)) => Err(error.into()),
        Err(_) => Ok(Introspection::default()),
    }
}

/// The claims of an access token of ours, whoever it is for.
pub(super) fn verified(
    authority: &Authority,
    token: &PlainToken,
    now: Timestamp,
) -> Option<AccessTokenClaims> {
    let issuer = authority.config.issuer.as_str();
    authority
        .keys
        .verify_for_any(token.expose(), issuer, now)
        .ok()
}

fn concerns(servers: &ResourceServers, asking: &Client, claims: &AccessTokenClaims) -> bool {
    claims.client_id == asking.identifier
        || match &asking.kind {
            ClientKind::Operator => true,
            ClientKind::Service(service) => servers.is_for(service, &claims.aud),
            ClientKind::Sidecar | ClientKind::App => false,
        }
}

fn access_token(claims: AccessTokenClaims) -> Introspection {
    Introspection {
        active: true,
        scope: Some(claims.scope),
        client_id: Some(claims.client_id),
        token_type: Some(issue::token_type(
            claims.cnf.as_ref().map(|cnf| cnf.jkt.as_str()),
        )),
        exp: Some(claims.exp),
        iat: Some(claims.iat),
        sub: Some(claims.sub),
        aud: Some(claims.aud),
        iss: Some(claims.iss),
        jti: Some(claims.jti),
        dw_org: claims.dw_org,
        sid: claims.sid,
        gid: claims.gid,
        cnf: claims.cnf,
    }
}

fn refresh_token(
    tx: &mut dyn Tx,
    asking: &Client,
    digest: TokenDigest,
    issuer: &str,
    now: Timestamp,
) -> Result<Option<Introspection>, StoreError> {
    let Some(token) = refresh_tokens::find(tx, digest)?
        .filter(|token| token.client_id == asking.id && now < token.idle_expires_at)
    else {
        return Ok(None);
    };
    let Some(grant) = grants::find(tx, token.grant_id)? else {
        return Ok(None);
    };
    if issue::standing(tx, &grant, now)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Introspection {
        active: true,
        scope: Some(grant.scope.to_string()),
        client_id: Some(asking.identifier.clone()),
        token_type: Some("refresh_token".to_owned()),
        exp: Some(token.idle_expires_at.unix_seconds()),
        sub: Some(grant.user_id.to_string()),
        aud: Some(Audience::One(issuer.to_owned())),
        iss: Some(issuer.to_owned()),
        dw_org: grant.organization_id,
        sid: grant.bound_session(),
        gid: Some(grant.id),
        ..Introspection::default()
    }))
}
