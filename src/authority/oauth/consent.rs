//! Consent: what a third party's app is allowed, by the person whom it concerns.

use crate::authority::account::explained;
use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::domain::organization::Organization;
use crate::domain::user::User;
use crate::domain::{Scope, Scopes};
use crate::protocol::oauth::authorize::{AuthorizeError, AuthorizeErrorCode};
use crate::store::apps::App;
use crate::store::scopes::Meaning;
use crate::store::sessions::Session;
use crate::store::{StoreError, organizations, users};

use super::authorize::{Judged, Known, Outcome, Ready, Refusal, ask, grant, judge, log_in, reopen};
use super::interaction::{Interaction, Shown};

/// What a person is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// What the form sends back: the request, sealed with what the page shows. The answer counts for
    /// that and no more.
    pub sealed: String,
    /// Whom it is about.
    pub app: App,
    /// Who is asked.
    pub user: User,
    /// In which session: the answer must come from there.
    pub session: Session,
    /// What the app asks for, with what that means in the words of services.
    pub scope: Vec<(Scope, Meaning)>,
    /// What it was allowed before.
    pub agreed: Scopes,
    /// The organization that its tokens are bound to.
    pub organization: Option<Organization>,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// The languages that the app asks for.
    pub ui_locales: Option<String>,
    /// A path to log in as somebody else.
    pub switch_account: Option<String>,
}

/// What comes of looking at the question.
#[derive(Debug)]
pub enum Asked {
    /// It is to be asked.
    Ask(Box<Question>),
    /// There is nothing to ask, or something else comes first.
    Go(Outcome),
}

/// The question behind a sealed interaction. Nothing is written.
///
/// # Errors
///
/// [`Refusal`]: show a page, redirect nowhere.
pub async fn question(
    authority: &Authority,
    request: (&str, ClientAddress),
    session: Option<Session>,
) -> Result<Asked, Refusal> {
    let (known, interaction) = reopen(authority, request).await?;
    let ready = match judge(authority, &known, &interaction, session).await? {
        Judged::Outcome(outcome) => return Ok(Asked::Go(outcome)),
        // Agreed to in another tab meanwhile.
        Judged::Grant(ready) => {
            let outcome = grant(authority, &known, &interaction, &ready, false).await?;
            return Ok(Asked::Go(outcome));
        }
        Judged::Ask(ready) => ready,
    };
    let switch_account = switch_account(authority, &known, &interaction)?;
    let shown = Interaction {
        shown: Some(shown(&known, &ready)),
        ..interaction.clone()
    };
    let sealed = shown.seal(authority)?;
    let (user, organization) = (ready.session.user_id, ready.organization);
    let asked = ready.scope.clone();
    let (user, organization, scope) = authority
        .store
        .read::<_, StoreError>(move |tx| {
            let organization = match organization {
                Some(id) => organizations::find(tx, id)?,
                None => None,
            };
            let scope = explained(tx, &asked)?;
            Ok((users::find(tx, user)?, organization, scope))
        })
        .await?;
    let Some(user) = user else {
        // Erased since the session was looked up: the session is gone too.
        return log_in(authority, &known, &interaction, false).map(Asked::Go);
    };
    Ok(Asked::Ask(Box::new(Question {
        sealed,
        app: known.app,
        user,
        session: ready.session,
        scope,
        agreed: ready.agreed,
        organization,
        redirect_uri: interaction.request.redirect_uri,
        ui_locales: interaction.request.ui_locales,
        switch_account,
    })))
}

fn shown(known: &Known, ready: &Ready) -> Shown {
    Shown {
        scope: ready.scope.clone(),
        organization: ready.organization,
        app_name: known.app.spec.name.clone(),
    }
}

/// Whether a yes to what was shown is one to what would be granted now.
fn covers(shown: &Shown, now: &Shown) -> bool {
    now.scope.is_subset(&shown.scope)
        && now.organization == shown.organization
        && now.app_name == shown.app_name
}

fn switch_account(
    authority: &Authority,
    known: &Known,
    interaction: &Interaction,
) -> Result<Option<String>, Refusal> {
    match log_in(authority, known, interaction, true)? {
        Outcome::Page(path) => Ok(Some(path)),
        Outcome::Answer(_) => Ok(None),
    }
}

/// The person has answered. The caller has made sure that a page of ours asked, in this session. A yes
/// counts for what that page showed: where the app would get more by now, they are asked again.
///
/// # Errors
///
/// [`Refusal`]: show a page, redirect nowhere.
pub async fn decide(
    authority: &Authority,
    request: (&str, ClientAddress),
    session: Session,
    allow: bool,
) -> Result<Outcome, Refusal> {
    let (known, interaction) = reopen(authority, request).await?;
    match judge(authority, &known, &interaction, Some(session)).await? {
        Judged::Outcome(outcome) => Ok(outcome),
        Judged::Ask(ready) if allow => match &interaction.shown {
            Some(read) if covers(read, &shown(&known, &ready)) => {
                grant(authority, &known, &interaction, &ready, true).await
            }
            // What they said yes to is not what they would get: they are shown that.
            _ => Ok(Outcome::Page(ask(authority, &interaction)?)),
        },
        // Agreed to in another tab meanwhile.
        Judged::Grant(ready) if allow => grant(authority, &known, &interaction, &ready, true).await,
        Judged::Ask(_) | Judged::Grant(_) => Ok(Outcome::Answer(known.recipient.refuse(
            &AuthorizeError::new(AuthorizeErrorCode::AccessDenied, "the user said no"),
        ))),
    }
}
