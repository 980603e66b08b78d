//! From a grant to the tokens that a client gets for it.

use data_encoding::BASE64URL_NOPAD;

use crate::authority::app::Authority;
use crate::crypto::digest::sha256;
use crate::crypto::sign::JwtAlgorithm;
use crate::domain::app::{GrantType, IdTokenAlg, RefreshBinding};
use crate::domain::user::UserState;
use crate::domain::{PlainToken, Scopes, Timestamp};
use crate::protocol::jose::{AccessTokenClaims, Audience, Confirmation};
use crate::protocol::oauth::{OAuthError, OAuthErrorCode, TokenResponse};
use crate::protocol::oidc::id_token::{ID_TOKEN_TYPE, IdTokenClaims};
use crate::store::apps::App;
use crate::store::clients::{Client, ClientState};
use crate::store::grants::Grant;
use crate::store::{StoreError, Tx, clients, members, sessions, users};

use super::Refused;

/// What refresh tokens begin with, for secret scanners and people.
pub const REFRESH_PREFIX: &str = "dwr_";

/// What is about to be issued from a grant.
#[derive(Debug)]
pub(super) struct Issued {
    /// The grant.
    pub grant: Grant,
    /// The client, as the transaction saw it.
    pub client: Client,
    /// The user's token epoch.
    pub user_epoch: i64,
    /// What the access token is for.
    pub scope: Scopes,
    /// Whom it is for.
    pub audience: String,
    /// The key that it is bound to.
    pub jkt: Option<String>,
    /// The refresh token that comes with it.
    pub refresh_token: Option<PlainToken>,
    /// For the ID token.
    pub nonce: Option<String>,
}

/// Who stands behind a grant, if all of them still may: its client, its user, and the session and the
/// membership that it is bound to. Call under the grant's lock.
pub(super) fn standing(
    tx: &mut dyn Tx,
    grant: &Grant,
    now: Timestamp,
) -> Result<Option<(Client, i64)>, StoreError> {
    if !grant.is_live(now) {
        return Ok(None);
    }
    if grant.binding == RefreshBinding::Session
        && let Some(id) = grant.session_id
        && !sessions::lives(tx, id, grant.user_id, now)?
    {
        return Ok(None);
    }
    let Some((UserState::Active, epoch)) = users::find_state(tx, grant.user_id)? else {
        return Ok(None);
    };
    if let Some(organization) = grant.organization_id
        && members::find(tx, organization, grant.user_id)?.is_none()
    {
        return Ok(None);
    }
    let client = clients::find(tx, grant.client_id)?;
    Ok(client
        .filter(|client| client.state == ClientState::Active)
        .map(|client| (client, epoch)))
}

/// Whether the grant's client gets refresh tokens for it.
pub(super) fn refreshes(app: &App, grant: &Grant) -> bool {
    app.spec.grant_types.contains(GrantType::RefreshToken)
        && (grant.scope.contains("offline_access") || grant.binding == RefreshBinding::Session)
}

/// The scope of the next access token: all that was granted and that the app still may have, or as
/// much of it as is asked for.
pub(super) fn narrowed(
    app: &App,
    grant: &Grant,
    asked: Option<&Scopes>,
) -> Result<Scopes, OAuthError> {
    let may = &app.spec.scopes;
    let left: Scopes = grant
        .scope
        .iter()
        .filter(|scope| may.contains(scope.as_str()))
        .cloned()
        .collect();
    if left.is_empty() && !grant.scope.is_empty() {
        return Err(OAuthError::invalid_grant());
    }
    match asked {
        None => Ok(left),
        Some(scope) if scope.is_subset(&left) => Ok(scope.clone()),
        Some(_) => Err(OAuthError::new(
            OAuthErrorCode::InvalidScope,
            "`scope` names a scope that was not granted",
        )),
    }
}

/// Whom the next access token is for: the one resource asked for, or the one that was granted. Either
/// must be one that the app still gets tokens for.
pub(super) fn audience(
    app: &App,
    issuer: &str,
    grant: &Grant,
    asked: &[String],
) -> Result<String, OAuthError> {
    let audience = granted_audience(issuer, grant, asked)?;
    if audience == issuer || app.spec.resources.contains(&audience) {
        Ok(audience)
    } else {
        Err(OAuthError::new(
            OAuthErrorCode::InvalidTarget,
            "no tokens are issued to the client for this `resource` any more",
        ))
    }
}

fn granted_audience(issuer: &str, grant: &Grant, asked: &[String]) -> Result<String, OAuthError> {
    let refused = |what: &str| Err(OAuthError::new(OAuthErrorCode::InvalidTarget, what));
    match (asked, grant.resources.as_slice()) {
        ([], []) => Ok(issuer.to_owned()),
        ([], [one]) => Ok(one.clone()),
        ([], _) => refused("`resource` must name one of those that were granted"),
        ([one], granted) if granted.contains(one) || (granted.is_empty() && one == issuer) => {
            Ok(one.clone())
        }
        ([_], _) => refused("`resource` is not among those that were granted"),
        _ => refused("a token is for one `resource`"),
    }
}

/// Signs what is issued.
pub(super) fn respond(
    authority: &Authority,
    app: &App,
    issued: Issued,
) -> Result<TokenResponse, Refused> {
    let lifetimes = &authority.config.lifetimes;
    let now = authority.clock.now();
    let end = now.plus(lifetimes.access).min(issued.grant.expires_at);
    let claims = access_claims(authority, &issued, now, end);
    let access_token = authority.keys.sign(&claims)?;
    let id_token = if issued.scope.contains("openid") {
        Some(id_token(authority, app, &issued, &access_token, now)?)
    } else {
        None
    };
    Ok(TokenResponse {
        access_token,
        token_type: token_type(issued.jkt.as_deref()),
        expires_in: end.since(now).as_secs(),
        scope: claims.scope,
        refresh_token: issued.refresh_token.map(|token| token.expose().to_owned()),
        id_token,
    })
}

/// RFC 9449 §5: a token bound to a key is no bearer token.
pub(super) fn token_type(jkt: Option<&str>) -> String {
    if jkt.is_some() { "DPoP" } else { "Bearer" }.to_owned()
}

fn access_claims(
    authority: &Authority,
    issued: &Issued,
    now: Timestamp,
    end: Timestamp,
) -> AccessTokenClaims {
    let Issued { grant, client, .. } = issued;
    AccessTokenClaims {
        iss: authority.config.issuer.to_string(),
        sub: grant.user_id.to_string(),
        aud: Audience::One(issued.audience.clone()),
        exp: end.unix_seconds(),
        iat: now.unix_seconds(),
        nbf: None,
        jti: BASE64URL_NOPAD.encode(&authority.entropy.id_bits()),
        client_id: client.identifier.clone(),
        scope: issued.scope.to_string(),
        dw_epoch: issued.user_epoch,
        dw_client_epoch: Some(client.token_epoch),
        dw_client: Some(client.id),
        dw_org: grant.organization_id,
        sid: grant.bound_session(),
        gid: Some(grant.id),
        cnf: issued.jkt.clone().map(|jkt| Confirmation { jkt }),
    }
}

fn id_token(
    authority: &Authority,
    app: &App,
    issued: &Issued,
    access_token: &str,
    now: Timestamp,
) -> Result<String, Refused> {
    let Issued { grant, client, .. } = issued;
    let hash = sha256(access_token.as_bytes());
    let claims = IdTokenClaims {
        iss: authority.config.issuer.to_string(),
        sub: grant.user_id,
        aud: client.identifier.clone(),
        exp: now.plus(authority.config.lifetimes.id_token).unix_seconds(),
        iat: now.unix_seconds(),
        auth_time: grant.authenticated_at.unix_seconds(),
        nonce: issued.nonce.clone(),
        acr: grant.acr.clone(),
        amr: grant.amr.clone(),
        sid: grant.session_id,
        at_hash: BASE64URL_NOPAD.encode(hash.get(..16).unwrap_or_default()),
    };
    let algorithm = match app.spec.id_token_alg {
        IdTokenAlg::RS256 => JwtAlgorithm::Rs256,
        IdTokenAlg::ES256 => JwtAlgorithm::Es256,
    };
    Ok(authority.keys.sign_jwt(algorithm, ID_TOKEN_TYPE, &claims)?)
}
