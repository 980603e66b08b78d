//! The authorization endpoint: from a request, over login and consent, to an answer.

use crate::authority::app::Authority;
use crate::authority::login::{self, LoginError, LoginRequest};
use crate::crypto::digest::token_digest;
use crate::crypto::seal::SealError;
use crate::domain::app::{ApplicationType, GrantType};
use crate::domain::{OrganizationId, PlainToken, Scopes, UserId};
use crate::protocol::oauth::authorize::{
    AuthorizationRequest, AuthorizeError, AuthorizeErrorCode, PUSHED_PREFIX, Parameters,
};
use crate::protocol::oauth::redirect::redirect_allowed;
use crate::store::apps::{self, App};
use crate::store::clients::ClientState;
use crate::store::sessions::Session;
use crate::store::{StoreError, Tx, consents, members, organizations, pushed_requests};

use super::answer::{Answer, Recipient, UNAVAILABLE};
use super::codes;
use super::interaction::{Interaction, Returned};
use super::standing::{Standing, standing};

/// Where a login comes back to.
pub const RESUME: &str = "/oauth2/authorize/resume";
/// Where a person is asked to agree.
pub const CONSENT: &str = "/consent";

/// Where the browser goes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To a page of ours.
    Page(String),
    /// Back to the client.
    Answer(Answer),
}

/// Why a request gets a page and no redirect: whoever sent it cannot be trusted with one.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `client_id` is missing, repeated or nobody's.
    #[error("`client_id` names no app that is registered here")]
    UnknownClient,
    /// `redirect_uri` is missing, repeated or not the client's.
    #[error("`redirect_uri` is not one that the app registered")]
    RedirectUri,
    /// There are more parameters, or longer ones, than any request has.
    #[error("the request is too large")]
    TooLarge,
    /// The pushed request is nobody's, another's, used or too old.
    #[error("`request_uri` is unknown, was used or has expired")]
    PushedRequest,
    /// What came back from the browser is not what was sent into it.
    #[error("`request` is not one that was made here")]
    Foreign,
    /// It took too long to be gone on with.
    #[error("this took too long")]
    Expired,
    /// The store.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A request whose client and redirect URI are right.
struct Known {
    app: App,
    recipient: Recipient,
}

/// A request comes in. `session` is the one of its cookie.
///
/// # Errors
///
/// [`Refusal`]: show a page, redirect nowhere.
pub async fn start(
    authority: &Authority,
    parameters: &Parameters,
    session: Option<Session>,
) -> Result<Outcome, Refusal> {
    let app = app_of(authority, parameters).await?;
    let issuer = authority.config.issuer.as_str();
    let pushed = parameters
        .sole("request_uri")
        .filter(|uri| uri.starts_with(PUSHED_PREFIX));
    if let Some(uri) = pushed {
        let interaction = pushed_interaction(authority, &app, uri).await?;
        let recipient = Recipient::of_request(&interaction.request, issuer);
        return proceed_or_tell(authority, Known { app, recipient }, interaction, session).await;
    }
    let redirect_uri = redirect_uri(&app, parameters)?;
    let recipient = Recipient::of_parameters(parameters, redirect_uri.clone(), issuer);
    let read = check(authority, &app, parameters, redirect_uri);
    match read {
        Err(error) => Ok(Outcome::Answer(recipient.refuse(&error))),
        Ok(_) if app.require_par => Ok(Outcome::Answer(recipient.refuse(&AuthorizeError::new(
            AuthorizeErrorCode::InvalidRequest,
            "the app must push its requests",
        )))),
        Ok(request) => {
            let interaction = Interaction::begin(authority, request);
            proceed_or_tell(authority, Known { app, recipient }, interaction, session).await
        }
    }
}

/// Somebody comes back from logging in; `login_error` is what the login says went wrong.
///
/// # Errors
///
/// [`Refusal`]: show a page, redirect nowhere.
pub async fn resume(
    authority: &Authority,
    sealed: &str,
    login_error: Option<&str>,
    session: Option<Session>,
) -> Result<Outcome, Refusal> {
    let (app, interaction) = reopen(authority, sealed).await?;
    let recipient = Recipient::of_request(&interaction.request, authority.config.issuer.as_str());
    let refused = match login_error {
        Some("access_denied") => Some(AuthorizeError::new(
            AuthorizeErrorCode::AccessDenied,
            "the user did not log in",
        )),
        Some(_) => Some(AuthorizeError::new(
            AuthorizeErrorCode::LoginRequired,
            "the user could not log in the way that was asked for",
        )),
        None => None,
    };
    if let Some(error) = refused {
        return Ok(Outcome::Answer(recipient.refuse(&error)));
    }
    proceed_or_tell(authority, Known { app, recipient }, interaction, session).await
}

/// Opens what the browser brought back, and looks at its client again.
pub(super) async fn reopen(
    authority: &Authority,
    sealed: &str,
) -> Result<(App, Interaction), Refusal> {
    let interaction = match Interaction::open(authority, sealed) {
        Ok(Returned::InTime(interaction)) => interaction,
        Ok(Returned::Late(request)) => Interaction::begin(authority, request),
        Ok(Returned::Lost) => return Err(Refusal::Expired),
        Err(_) => return Err(Refusal::Foreign),
    };
    let client = interaction.request.client_id.clone();
    let app = authority
        .store
        .read::<_, StoreError>(move |tx| apps::find_by_identifier(tx, &client))
        .await?
        .filter(|app| is_active(authority, app))
        .ok_or(Refusal::UnknownClient)?;
    // The registration may have changed since.
    let native = app.application_type == ApplicationType::Native;
    if !redirect_allowed(
        &app.redirect_uris,
        &interaction.request.redirect_uri,
        native,
    ) {
        return Err(Refusal::RedirectUri);
    }
    Ok((app, interaction))
}

/// A client that is told of a failing store can try again; a person cannot do anything about it.
async fn proceed_or_tell(
    authority: &Authority,
    known: Known,
    interaction: Interaction,
    session: Option<Session>,
) -> Result<Outcome, Refusal> {
    let recipient = known.recipient.clone();
    match proceed(authority, known, interaction, session).await {
        Err(Refusal::Store(error)) => {
            tracing::error!(%error, "the store failed an authorization request");
            Ok(Outcome::Answer(recipient.refuse(&UNAVAILABLE)))
        }
        done => done,
    }
}

async fn proceed(
    authority: &Authority,
    Known { app, recipient }: Known,
    interaction: Interaction,
    session: Option<Session>,
) -> Result<Outcome, Refusal> {
    let refuse = |error: &AuthorizeError| Ok(Outcome::Answer(recipient.refuse(error)));
    let session = match (standing(&interaction, session.as_ref()), session) {
        (Standing::Proven, Some(session)) => session,
        (Standing::Refused(error), _) => return refuse(&error),
        _ => return log_in(authority, &app, interaction, &recipient),
    };
    let request = &interaction.request;
    let scope = match grantable(&app, request) {
        Ok(scope) => scope,
        Err(error) => return refuse(&error),
    };
    let agreed = agreement(authority, &app, &interaction, &session).await?;
    let organization = match agreed.organization {
        Ok(organization) => organization,
        Err(error) => return refuse(&error),
    };
    let ask = !app.first_party && (request.prompt.consent || !scope.is_subset(&agreed.scope));
    if ask && request.prompt.none {
        return refuse(&AuthorizeError::new(
            AuthorizeErrorCode::ConsentRequired,
            "the user has not agreed to what is asked for",
        ));
    }
    if ask {
        let sealed = interaction.seal(authority)?;
        return Ok(Outcome::Page(format!("{CONSENT}?request={sealed}")));
    }
    let issue = codes::Issue {
        interaction: &interaction,
        session: &session,
        app: &app,
        scope,
        organization,
        consented: false,
    };
    match codes::issue(authority, issue).await? {
        Ok(code) => Ok(Outcome::Answer(recipient.grant(code.expose()))),
        Err(error) => refuse(&error),
    }
}

fn log_in(
    authority: &Authority,
    app: &App,
    mut interaction: Interaction,
    recipient: &Recipient,
) -> Result<Outcome, Refusal> {
    interaction.sent_to_login = true;
    let sealed = interaction.seal(authority)?;
    let request = &interaction.request;
    let login = LoginRequest {
        force: request.prompt.login,
        max_age: request.max_age(),
        login_hint: request.login_hint.clone(),
        provider: request.provider.clone(),
        acr_values: request.acr_values.clone(),
        client_name: Some(app.client.name.clone()),
        ends_at: Some(request.redirect_uri.to_string()),
        ..LoginRequest::to(format!("{RESUME}?request={sealed}"))
    };
    match login::begin(authority, &login) {
        Ok(path) => Ok(Outcome::Page(path)),
        // The path is ours: what is wrong with it is its length.
        Err(LoginError::Return(_)) => Ok(Outcome::Answer(recipient.refuse(&AuthorizeError::new(
            AuthorizeErrorCode::InvalidRequest,
            "the request is too large",
        )))),
        Err(LoginError::Seal(error)) => Err(error.into()),
    }
}

async fn app_of(authority: &Authority, parameters: &Parameters) -> Result<App, Refusal> {
    let identifier = parameters
        .sole("client_id")
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::UnknownClient)?;
    authority
        .store
        .read::<_, StoreError>(move |tx| apps::find_by_identifier(tx, &identifier))
        .await?
        .filter(|app| is_active(authority, app))
        .ok_or(Refusal::UnknownClient)
}

fn is_active(authority: &Authority, app: &App) -> bool {
    let now = authority.clock.now();
    app.client.state == ClientState::Active && app.expires_at.is_none_or(|end| now < end)
}

fn redirect_uri(app: &App, parameters: &Parameters) -> Result<String, Refusal> {
    let native = app.application_type == ApplicationType::Native;
    parameters
        .sole("redirect_uri")
        .filter(|uri| redirect_allowed(&app.redirect_uris, uri, native))
        .map(str::to_owned)
        .ok_or(Refusal::RedirectUri)
}

/// Everything that can be said of a request of this app before anybody logs in.
pub(super) fn check(
    authority: &Authority,
    app: &App,
    parameters: &Parameters,
    redirect_uri: String,
) -> Result<AuthorizationRequest, AuthorizeError> {
    let request =
        AuthorizationRequest::read(parameters, app.client.identifier.clone(), redirect_uri)?;
    if !app.grant_types.contains(GrantType::AuthorizationCode) {
        return Err(AuthorizeError::new(
            AuthorizeErrorCode::UnauthorizedClient,
            "the app may not use the authorization code grant",
        ));
    }
    grantable(app, &request)?;
    let issuer = authority.config.issuer.as_str();
    let known = |resource: &String| resource == issuer || app.resources.contains(resource);
    if !request.resources.iter().all(known) {
        return Err(AuthorizeError::new(
            AuthorizeErrorCode::InvalidTarget,
            "the app gets no tokens for this `resource`",
        ));
    }
    Ok(request)
}

/// The scopes that the app asks for and may have. Others are passed over: OpenID Connect Core
/// §3.1.2.1 wants unknown ones ignored, and the token response tells what was granted.
pub(super) fn grantable(
    app: &App,
    request: &AuthorizationRequest,
) -> Result<Scopes, AuthorizeError> {
    let asked = request.scopes();
    let refreshes = app.grant_types.contains(GrantType::RefreshToken);
    let scope: Scopes = app
        .client
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
pub const OFFLINE_ACCESS: &str = "offline_access";

async fn pushed_interaction(
    authority: &Authority,
    app: &App,
    uri: &str,
) -> Result<Interaction, Refusal> {
    let digest = token_digest(&PlainToken::presented(uri.to_owned()));
    let lifetime = authority.config.lifetimes.pushed_request;
    let now = authority.clock.now();
    let pushed = authority
        .store
        .read::<_, StoreError>(move |tx| pushed_requests::find(tx, digest))
        .await?
        .filter(|pushed| pushed.client_id == app.client.id)
        .filter(|pushed| now < pushed.created_at.plus(lifetime))
        .ok_or(Refusal::PushedRequest)?;
    let request = serde_json::from_str(&pushed.parameters).map_err(|_| Refusal::PushedRequest)?;
    Ok(Interaction {
        pushed: Some(digest.to_hex()),
        ..Interaction::begin(authority, request)
    })
}

/// What the store says about a request of a user.
struct Agreement {
    /// The scopes that the user agreed to before.
    scope: Scopes,
    organization: Result<Option<OrganizationId>, AuthorizeError>,
}

async fn agreement(
    authority: &Authority,
    app: &App,
    interaction: &Interaction,
    session: &Session,
) -> Result<Agreement, StoreError> {
    let organization = interaction.request.organization.clone();
    if app.first_party && organization.is_none() {
        return Ok(Agreement {
            scope: Scopes::default(),
            organization: Ok(None),
        });
    }
    let (user, client) = (session.user_id, app.client.id);
    authority
        .store
        .read::<_, StoreError>(move |tx| {
            Ok(Agreement {
                scope: consents::granted(tx, user, client)?,
                organization: membership(tx, organization.as_deref(), user)?,
            })
        })
        .await
}

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
