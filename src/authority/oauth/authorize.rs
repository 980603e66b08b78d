//! The authorization endpoint: from a request, over login and consent, to an answer.

use crate::authority::app::Authority;
use crate::authority::apps::documents::{self, Asker, DocumentError};
use crate::authority::login::{self, LoginError, LoginRequest, Remembered};
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::token_digest;
use crate::crypto::seal::SealError;
use crate::domain::app::{ApplicationType, ClientSource};
use crate::domain::{ClientIdentifier, OrganizationId, PlainToken, Scopes};
use crate::protocol::oauth::authorize::{
    AuthorizeError, AuthorizeErrorCode, PUSHED_PREFIX, Parameters,
};
use crate::protocol::oauth::redirect::redirect_allowed;
use crate::store::apps::App;
use crate::store::sessions::Session;
use crate::store::{StoreError, consents, pushed_requests};

use super::answer::{Answer, Recipient, UNAVAILABLE};
use super::check::{check, grantable, is_active, membership, redirect_uri};
use super::codes;
use super::interaction::{Interaction, Returned};
use super::standing::{Standing, standing};

/// The endpoint.
pub const AUTHORIZE: &str = "/oauth2/authorize";
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
    /// The document that describes the client cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The store.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A request whose client and redirect URI are right.
pub(super) struct Known {
    pub(super) app: App,
    pub(super) recipient: Recipient,
}

/// A request comes in. `session` is the one of its cookie.
///
/// # Errors
///
/// [`Refusal`]: show a page, redirect nowhere.
pub async fn start(
    authority: &Authority,
    (parameters, from): (&Parameters, ClientAddress),
    session: Option<Session>,
) -> Result<Outcome, Refusal> {
    match receive(authority, parameters, from).await? {
        Ok((known, interaction)) => proceed_or_tell(authority, known, interaction, session).await,
        Err(answer) => Ok(Outcome::Answer(answer)),
    }
}

/// A request comes in with a session that was read a moment ago. Tells what becomes of it unless that
/// depends on more than a look: `None` means that nothing was done, and [`start`] is for it.
///
/// # Errors
///
/// [`Refusal`]: show a page, redirect nowhere.
pub async fn start_remembered(
    authority: &Authority,
    (parameters, from): (&Parameters, ClientAddress),
    remembered: Remembered,
) -> Result<Option<Outcome>, Refusal> {
    let (known, interaction) = match receive(authority, parameters, from).await? {
        Ok(received) => received,
        Err(answer) => return Ok(Some(Outcome::Answer(answer))),
    };
    let session = Session::clone(&remembered.session);
    // Only a code is given out by it: any other answer is for the session as it is now.
    let Ok(Judged::Grant(ready)) = judge(authority, &known, &interaction, Some(session)).await
    else {
        return Ok(None);
    };
    let issue = codes::Issue {
        cookie: Some(remembered.cookie),
        ..issue_of(&known, &interaction, &ready, false)
    };
    Ok(match codes::issue(authority, issue).await {
        Ok(Ok(code)) => Some(Outcome::Answer(known.recipient.grant(code.expose()))),
        Ok(Err(_)) | Err(_) => None,
    })
}

/// A request comes in by a form, without cookies: it is checked and sealed, to be gone on with by
/// [`resume`]. The inner error is what the client is told at once.
///
/// # Errors
///
/// [`Refusal`]: show a page, redirect nowhere.
pub async fn carry_over(
    authority: &Authority,
    (parameters, from): (&Parameters, ClientAddress),
) -> Result<Result<String, Outcome>, Refusal> {
    match receive(authority, parameters, from).await? {
        Ok((_, interaction)) => Ok(Ok(interaction.seal(authority)?)),
        Err(answer) => Ok(Err(Outcome::Answer(answer))),
    }
}

/// Establishes who asks and where the answer goes, then what is asked for.
async fn receive(
    authority: &Authority,
    parameters: &Parameters,
    from: ClientAddress,
) -> Result<Result<(Known, Interaction), Answer>, Refusal> {
    let app = app_of(authority, parameters, from).await?;
    let issuer = authority.config.issuer.as_str();
    let pushed = parameters
        .sole("request_uri")
        .filter(|uri| uri.starts_with(PUSHED_PREFIX));
    if let Some(uri) = pushed {
        let interaction = pushed_interaction(authority, &app, uri).await?;
        redirects_still(&app, &interaction)?;
        let recipient = Recipient::of_request(&interaction.request, issuer);
        return Ok(Ok((Known { app, recipient }, interaction)));
    }
    let redirect_uri = redirect_uri(&app, parameters).ok_or(Refusal::RedirectUri)?;
    let recipient = Recipient::of_parameters(parameters, redirect_uri.clone(), issuer);
    match check(authority, &app, parameters, redirect_uri) {
        Err(error) => Ok(Err(recipient.refuse(&error))),
        Ok(_) if app.spec.require_par => Ok(Err(recipient.refuse(&AuthorizeError::new(
            AuthorizeErrorCode::InvalidRequest,
            "the app must push its requests",
        )))),
        Ok(checked) => {
            let interaction = Interaction::begin(authority, checked);
            Ok(Ok((Known { app, recipient }, interaction)))
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
    (sealed, from): (&str, ClientAddress),
    login_error: Option<&str>,
    session: Option<Session>,
) -> Result<Outcome, Refusal> {
    let (known, interaction) = reopen(authority, (sealed, from)).await?;
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
        return Ok(Outcome::Answer(known.recipient.refuse(&error)));
    }
    proceed_or_tell(authority, known, interaction, session).await
}

/// Opens what the browser brought back, and looks at its client again.
pub(super) async fn reopen(
    authority: &Authority,
    (sealed, from): (&str, ClientAddress),
) -> Result<(Known, Interaction), Refusal> {
    let interaction = match Interaction::open(authority, sealed) {
        Ok(Returned::InTime(interaction)) => interaction,
        Ok(Returned::Late(checked, shown)) => Interaction {
            shown,
            ..Interaction::begin(authority, checked)
        },
        Ok(Returned::Lost) => return Err(Refusal::Expired),
        Err(_) => return Err(Refusal::Foreign),
    };
    let app = find_app(authority, interaction.request.client_id.clone(), from).await?;
    redirects_still(&app, &interaction)?;
    let recipient = Recipient::of_request(&interaction.request, authority.config.issuer.as_str());
    Ok((Known { app, recipient }, interaction))
}

/// The registration may have changed since the request came.
fn redirects_still(app: &App, interaction: &Interaction) -> Result<(), Refusal> {
    let native = app.spec.application_type == ApplicationType::Native;
    let uri = &interaction.request.redirect_uri;
    if redirect_allowed(&app.spec.redirect_uris, uri, native) {
        Ok(())
    } else {
        Err(Refusal::RedirectUri)
    }
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

/// What is to be done about a request now.
pub(super) enum Judged {
    /// Something else first, or nothing any more.
    Outcome(Outcome),
    /// The user is asked whether they agree.
    Ask(Ready),
    /// A code is given out.
    Grant(Ready),
}

/// A request of a user who has proved enough.
pub(super) struct Ready {
    pub(super) session: Session,
    pub(super) scope: Scopes,
    /// What the user agreed to before.
    pub(super) agreed: Scopes,
    pub(super) organization: Option<OrganizationId>,
}

async fn proceed(
    authority: &Authority,
    known: Known,
    interaction: Interaction,
    session: Option<Session>,
) -> Result<Outcome, Refusal> {
    match judge(authority, &known, &interaction, session).await? {
        Judged::Outcome(outcome) => Ok(outcome),
        Judged::Ask(_) => Ok(Outcome::Page(ask(authority, &interaction)?)),
        Judged::Grant(ready) => grant(authority, &known, &interaction, &ready, false).await,
    }
}

/// The path of the page that asks, which has shown nothing yet.
pub(super) fn ask(authority: &Authority, interaction: &Interaction) -> Result<String, SealError> {
    let interaction = Interaction {
        shown: None,
        ..interaction.clone()
    };
    let sealed = interaction.seal(authority)?;
    Ok(format!("{CONSENT}?request={sealed}"))
}

/// Looks at everything that decides about a request.
pub(super) async fn judge(
    authority: &Authority,
    known: &Known,
    interaction: &Interaction,
    session: Option<Session>,
) -> Result<Judged, Refusal> {
    let Known { app, recipient } = known;
    let refuse =
        |error: &AuthorizeError| Ok(Judged::Outcome(Outcome::Answer(recipient.refuse(error))));
    let session = match (standing(interaction, session.as_ref()), session) {
        (Standing::Proven, Some(session)) => session,
        (Standing::Refused(error), _) => return refuse(&error),
        _ => {
            // Who is logged in already is not who is wanted, or not yet known to be.
            let choose = interaction.request.prompt.select_account || interaction.user.is_some();
            return log_in(authority, known, interaction, choose).map(Judged::Outcome);
        }
    };
    let request = &interaction.request;
    let scope = match grantable(app, request) {
        Ok(scope) => scope,
        Err(error) => return refuse(&error),
    };
    let agreement = agreement(authority, app, interaction, &session).await?;
    let organization = match agreement.organization {
        Ok(organization) => organization,
        Err(error) => return refuse(&error),
    };
    // Nobody here knows an app by its URL, and what stands there may be another today.
    let foreign = app.source == ClientSource::Metadata;
    let new = foreign || request.prompt.consent || !scope.is_subset(&agreement.scope);
    let ready = Ready {
        session,
        scope,
        agreed: agreement.scope,
        organization,
    };
    if app.spec.first_party || !new {
        return Ok(Judged::Grant(ready));
    }
    if request.prompt.none {
        return refuse(&AuthorizeError::new(
            AuthorizeErrorCode::ConsentRequired,
            "the user has not agreed to what is asked for",
        ));
    }
    Ok(Judged::Ask(ready))
}

/// Gives out a code. `consented` tells whether the user has just agreed.
pub(super) async fn grant(
    authority: &Authority,
    known: &Known,
    interaction: &Interaction,
    ready: &Ready,
    consented: bool,
) -> Result<Outcome, Refusal> {
    let issue = issue_of(known, interaction, ready, consented);
    Ok(Outcome::Answer(
        match codes::issue(authority, issue).await? {
            Ok(code) => known.recipient.grant(code.expose()),
            Err(error) => known.recipient.refuse(&error),
        },
    ))
}

fn issue_of<'a>(
    known: &'a Known,
    interaction: &'a Interaction,
    ready: &'a Ready,
    consented: bool,
) -> codes::Issue<'a> {
    codes::Issue {
        interaction,
        session: &ready.session,
        app: &known.app,
        scope: &ready.scope,
        organization: ready.organization,
        consented,
        cookie: None,
    }
}

/// Sends the browser to log in, and has it come back with what the request asked for. With `choose`,
/// a session that is there does not count.
pub(super) fn log_in(
    authority: &Authority,
    Known { app, recipient }: &Known,
    interaction: &Interaction,
    choose: bool,
) -> Result<Outcome, Refusal> {
    let interaction = Interaction {
        sent_to_login: true,
        shown: None,
        ..interaction.clone()
    };
    let sealed = interaction.seal(authority)?;
    let request = &interaction.request;
    let login = LoginRequest {
        force: request.prompt.login,
        choose,
        max_age: request.max_age(),
        login_hint: request.login_hint.clone(),
        provider: request.provider.clone(),
        acr_values: request.acr_values.clone(),
        client_name: Some(app.spec.name.clone()),
        ends_at: Some(request.redirect_uri.clone()),
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

async fn app_of(
    authority: &Authority,
    parameters: &Parameters,
    from: ClientAddress,
) -> Result<App, Refusal> {
    let identifier = parameters
        .sole("client_id")
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::UnknownClient)?;
    find_app(authority, identifier, from).await
}

/// The app of this name: by its row, or by the document at its name.
async fn find_app(
    authority: &Authority,
    identifier: ClientIdentifier,
    from: ClientAddress,
) -> Result<App, Refusal> {
    let mut known = authority.known.get(&authority.store, &identifier);
    if known.is_none() {
        let name = identifier.clone();
        known = authority.known.look_up(&authority.store, name).await?;
    }
    let found = known.and_then(|known| known.app.clone());
    let spec = if identifier.is_url() {
        let asker = Asker::new(found.is_some(), from);
        Some(documents::resolve(authority, &identifier, asker).await?)
    } else {
        None
    };
    match spec {
        Some(spec) => Some(documents::app(authority, found, spec)),
        None => found,
    }
    .filter(|app| is_active(authority, app))
    .ok_or(Refusal::UnknownClient)
}

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
        .look::<_, StoreError>(move |tx| pushed_requests::find(tx, digest))
        .await?
        .filter(|pushed| pushed.client_id == app.id)
        .filter(|pushed| now < pushed.created_at.plus(lifetime))
        .ok_or(Refusal::PushedRequest)?;
    let checked = serde_json::from_str(&pushed.parameters).map_err(|_| Refusal::PushedRequest)?;
    Ok(Interaction {
        pushed: Some(digest.to_hex()),
        ..Interaction::begin(authority, checked)
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
    if app.spec.first_party && organization.is_none() {
        return Ok(Agreement {
            scope: Scopes::default(),
            organization: Ok(None),
        });
    }
    let (user, client) = (session.user_id, app.id);
    authority
        .store
        .look::<_, StoreError>(move |tx| {
            Ok(Agreement {
                scope: consents::granted(tx, user, client)?,
                organization: membership(tx, organization.as_deref(), user)?,
            })
        })
        .await
}
