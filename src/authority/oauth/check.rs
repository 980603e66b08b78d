//! What an app may ask for.

use crate::authority::app::Authority;
use crate::authority::apps::documents;
use crate::domain::app::{ApplicationType, GrantType};
use crate::domain::{OrganizationId, Scopes, UserId};
use crate::protocol::oauth::authorize::{
    AuthorizationRequest, AuthorizeError, AuthorizeErrorCode, Parameters,
};
use crate::protocol::oauth::redirect::redirect_allowed;
use crate::store::apps::App;
use crate::store::clients::ClientState;
use crate::store::{StoreError, Tx, members, organizations};

use super::interaction::Checked;

/// Whether the app may act.
pub(super) fn is_active(authority: &Authority, app: &App) -> bool {
    let now = authority.clock.now();
    app.state == ClientState::Active
        && app.expires_at.is_none_or(|end| now < end)
        && documents::counts(authority, app)
}

/// The redirect URI of a request, if it is one of the app's.
pub(super) fn redirect_uri(app: &App, parameters: &Parameters) -> Option<String> {
    let native = app.spec.application_type == ApplicationType::Native;
    parameters
        .sole("redirect_uri")
        .filter(|uri| redirect_allowed(&app.spec.redirect_uris, uri, native))
        .map(str::to_owned)
}

/// The most bytes of what is kept of a request: it travels sealed, in URLs.
const REQUEST_MAX: usize = 2_000;

/// Everything that can be said of a request of this app before anybody logs in.
pub(super) fn check(
    authority: &Authority,
    app: &App,
    parameters: &Parameters,
    redirect_uri: String,
) -> Result<Checked, AuthorizeError> {
    let mut request =
        AuthorizationRequest::read(parameters, app.spec.identifier.clone(), redirect_uri)?;
    if !app.spec.grant_types.contains(GrantType::AuthorizationCode) {
        return Err(AuthorizeError::new(
            AuthorizeErrorCode::UnauthorizedClient,
            "the app may not use the authorization code grant",
        ));
    }
    grantable(app, &request)?;
    let issuer = authority.config.issuer.as_str();
    let known = |resource: &String| resource == issuer || app.spec.resources.contains(resource);
    if !request.resources.iter().all(known) {
        return Err(AuthorizeError::new(
            AuthorizeErrorCode::InvalidTarget,
            "the app gets no tokens for this `resource`",
        ));
    }
    let user = match request.id_token_hint.take() {
        Some(hint) => Some(hinted(authority, app, &hint)?),
        None => None,
    };
    let size = serde_json::to_string(&request).map_or(usize::MAX, |json| json.len());
    if size > REQUEST_MAX {
        return Err(AuthorizeError::new(
            AuthorizeErrorCode::InvalidRequest,
            "the request is too large",
        ));
    }
    Ok(Checked { request, user })
}

/// The user of an ID token that this app was once given. It may have expired long ago.
fn hinted(authority: &Authority, app: &App, hint: &str) -> Result<UserId, AuthorizeError> {
    let issuer = authority.config.issuer.as_str();
    authority
        .keys
        .verify_id_token_hint(hint, issuer)
        .ok()
        .filter(|hint| hint.aud.names(app.spec.identifier.as_str()))
        .and_then(|hint| hint.sub.parse().ok())
        .ok_or(AuthorizeError::new(
            AuthorizeErrorCode::InvalidRequest,
            "`id_token_hint` is not an ID token of this app",
        ))
}

/// The scopes that the app asks for and may have. Others are passed over: OpenID Connect Core
/// §3.1.2.1 wants unknown ones ignored, and the token response tells what was granted.
pub(super) fn grantable(
    app: &App,
    request: &AuthorizationRequest,
) -> Result<Scopes, AuthorizeError> {
    let asked = request.scopes();
    let refreshes = app.spec.grant_types.contains(GrantType::RefreshToken);
    let scope: Scopes = app
        .spec
        .scopes
        .iter()
        .filter(|scope| match &asked {
            Some(asked) => asked.contains(scope.as_str()),
            // To act when nobody is there has to be asked for.
            None => scope.as_str() != OFFLINE_ACCESS,
        })
        .filter(|scope| scope.as_str() != OFFLINE_ACCESS || refreshes)
        .cloned()
        .collect();
    if scope.is_empty() {
        return Err(AuthorizeError::new(
            AuthorizeErrorCode::InvalidScope,
            "the app may have none of the scopes",
        ));
    }
    Ok(scope)
}

/// The scope that asks for refresh tokens (OpenID Connect Core §11).
pub(super) const OFFLINE_ACCESS: &str = "offline_access";

/// The organization that tokens are bound to. One that is not there and one that the user does not
/// belong to look alike.
pub(super) fn membership(
    tx: &mut dyn Tx,
    named: Option<&str>,
    user: UserId,
) -> Result<Result<Option<OrganizationId>, AuthorizeError>, StoreError> {
    let Some(named) = named else {
        return Ok(Ok(None));
    };
    let organization = match (named.parse::<OrganizationId>(), named.parse()) {
        (Ok(id), _) => Some(id),
        (Err(_), Ok(slug)) => organizations::find_by_slug(tx, &slug)?.map(|found| found.id),
        (Err(_), Err(_)) => None,
    };
    if let Some(organization) = organization
        && members::find(tx, organization, user)?.is_some()
    {
        return Ok(Ok(Some(organization)));
    }
    Ok(Err(AuthorizeError::new(
        AuthorizeErrorCode::AccessDenied,
        "the user is not a member of `organization`",
    )))
}
