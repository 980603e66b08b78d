//! RP-initiated logout: a client sends a person here to log out, and may want them back.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::authority::app::{Authority, mint_uuid};
use crate::authority::revocation;
use crate::authority::sealer::UnsealError;
use crate::crypto::seal::SealError;
use crate::domain::user::User;
use crate::domain::{ClientIdentifier, SessionId, UserId};
use crate::protocol::jose::IdTokenHint;
use crate::protocol::oauth::redirect::with_parameters;
use crate::protocol::oidc::logout::{LogoutRequest, LogoutRequestError};
use crate::store::apps::{self, App};
use crate::store::audit;
use crate::store::sessions::Session;
use crate::store::{StoreError, users};

use super::check::is_active;

const PURPOSE: &str = "logout";

/// The endpoint.
pub const LOGOUT: &str = "/oauth2/logout";
/// Where a person ends who is not sent elsewhere.
pub const SIGNED_OUT: &str = "/signed-out";

/// A checked request to log out. It travels sealed: through the form that asks the person, and
/// through the browser when its cookies did not come along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    client: Option<ClientIdentifier>,
    client_name: Option<String>,
    /// One of the client's.
    redirect_uri: Option<String>,
    state: Option<String>,
    /// Whom the hint names, and the session it came from.
    user: Option<UserId>,
    session: Option<SessionId>,
}

/// What the browser gets.
#[derive(Debug)]
pub enum Logout {
    /// The person is asked: anybody can send them here.
    Ask(Box<Question>),
    /// The person is logged out, and goes there.
    Done(String),
    /// The person stays logged in, and goes there.
    Stay(String),
}

/// What a person is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The plan, sealed.
    pub sealed: String,
    /// The client that wants it.
    pub client_name: Option<String>,
    /// Who is logged in.
    pub user: User,
    /// In which session: the answer must come from there.
    pub session: SessionId,
    /// Where it ends.
    pub redirect_uri: Option<String>,
}

/// Why nobody is logged out. Shown on a page, never in a redirect.
#[derive(Debug, thiserror::Error)]
pub enum LogoutRefused {
    /// The request cannot be read.
    #[error(transparent)]
    Request(#[from] LogoutRequestError),
    /// The hint is no ID token of ours.
    #[error("`id_token_hint` is not an ID token that was issued here")]
    Hint,
    /// The client is nobody's, or not the hint's.
    #[error(
        "`client_id` is not the app of `id_token_hint`, or names no app that is registered here"
    )]
    Client,
    /// The URI is not the client's, or nothing says whose it is.
    #[error("`post_logout_redirect_uri` is not one that the app registered")]
    RedirectUri,
    /// The form was not made here, or long ago.
    #[error("`request` is not one that was made here, or is too old")]
    Foreign(#[from] UnsealError),
    /// The store.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Plan {
    /// The text that goes through the browser.
    ///
    /// # Errors
    ///
    /// [`SealError`] if the library refuses.
    pub fn seal(&self, authority: &Authority) -> Result<String, SealError> {
        let until = authority
            .clock
            .now()
            .plus(authority.config.lifetimes.interaction);
        authority.keys.sealer().seal(PURPOSE, self, until)
    }

    /// The inverse of [`Self::seal`].
    ///
    /// # Errors
    ///
    /// [`UnsealError`].
    pub fn open(authority: &Authority, sealed: &str) -> Result<Self, UnsealError> {
        let now = authority.clock.now();
        authority.keys.sealer().open(PURPOSE, sealed, now)
    }

    /// Where it ends.
    fn end(&self) -> String {
        match (&self.redirect_uri, &self.state) {
            (Some(uri), Some(state)) => with_parameters(uri, &[("state", state)]),
            (Some(uri), None) => uri.clone(),
            (None, _) => SIGNED_OUT.to_owned(),
        }
    }

    /// Whether the hint is of this session: then the client knows whom it logs out.
    fn is_of(&self, session: &Session) -> bool {
        self.user == Some(session.user_id) && self.session.is_none_or(|id| id == session.id)
    }
}

/// Checks a request.
///
/// # Errors
///
/// [`LogoutRefused`].
pub async fn plan(authority: &Authority, request: LogoutRequest) -> Result<Plan, LogoutRefused> {
    let issuer = authority.config.issuer.as_str();
    let hint = match &request.id_token_hint {
        Some(text) => {
            let hint = authority.keys.verify_id_token_hint(text, issuer);
            Some(hint.map_err(|_| LogoutRefused::Hint)?)
        }
        None => None,
    };
    let app = match client(&request, hint.as_ref())? {
        Some(client) => Some(find_app(authority, client).await?),
        None => None,
    };
    let redirect_uri = match request.post_logout_redirect_uri {
        Some(uri) => {
            let registered = |app: &App| app.spec.post_logout_redirect_uris.contains(&uri);
            if !app.as_ref().is_some_and(registered) {
                return Err(LogoutRefused::RedirectUri);
            }
            Some(uri)
        }
        None => None,
    };
    Ok(Plan {
        client_name: app.as_ref().map(|app| app.spec.name.clone()),
        client: app.map(|app| app.spec.identifier),
        redirect_uri,
        state: request.state,
        user: hint.as_ref().and_then(|hint| hint.sub.parse().ok()),
        session: hint.and_then(|hint| hint.sid),
    })
}

/// The client that asks: the hint's audience, or the one that is named, which must be the same.
fn client(
    request: &LogoutRequest,
    hint: Option<&IdTokenHint>,
) -> Result<Option<ClientIdentifier>, LogoutRefused> {
    let named: Option<ClientIdentifier> = match &request.client_id {
        Some(text) => Some(text.parse().map_err(|_| LogoutRefused::Client)?),
        None => None,
    };
    match (named, hint) {
        (Some(named), Some(hint)) if !hint.aud.names(named.as_str()) => Err(LogoutRefused::Client),
        (Some(named), _) => Ok(Some(named)),
        (None, Some(hint)) => match &hint.aud {
            crate::protocol::jose::Audience::One(one) => {
                one.parse().map(Some).map_err(|_| LogoutRefused::Client)
            }
            crate::protocol::jose::Audience::Many(_) => Err(LogoutRefused::Client),
        },
        (None, None) => Ok(None),
    }
}

async fn find_app(authority: &Authority, client: ClientIdentifier) -> Result<App, LogoutRefused> {
    authority
        .store
        .read::<_, StoreError>(move |tx| apps::find_by_identifier(tx, &client))
        .await?
        .filter(|app| is_active(authority, app))
        .ok_or(LogoutRefused::Client)
}

/// Goes through with a plan as far as can be without asking.
///
/// # Errors
///
/// [`LogoutRefused`].
pub async fn begin(
    authority: &Authority,
    plan: &Plan,
    session: Option<Session>,
) -> Result<Logout, LogoutRefused> {
    let Some(session) = session else {
        return Ok(Logout::Done(plan.end()));
    };
    if plan.is_of(&session) {
        return end(authority, plan, &session).await;
    }
    let user = session.user_id;
    let user = authority
        .store
        .read::<_, StoreError>(move |tx| users::find(tx, user))
        .await?;
    let Some(user) = user else {
        return Ok(Logout::Done(plan.end()));
    };
    Ok(Logout::Ask(Box::new(Question {
        sealed: plan.seal(authority)?,
        client_name: plan.client_name.clone(),
        user,
        session: session.id,
        redirect_uri: plan.redirect_uri.clone(),
    })))
}

/// The person has answered. The caller has made sure that a page of ours asked, in this session.
///
/// # Errors
///
/// [`LogoutRefused`].
pub async fn decide(
    authority: &Authority,
    plan: &Plan,
    session: &Session,
    sign_out: bool,
) -> Result<Logout, LogoutRefused> {
    if sign_out {
        end(authority, plan, session).await
    } else {
        Ok(Logout::Stay("/account".to_owned()))
    }
}

async fn end(
    authority: &Authority,
    plan: &Plan,
    session: &Session,
) -> Result<Logout, LogoutRefused> {
    let entry = authority.audit(
        format!("user:{}", session.user_id),
        "session.ended",
        format!("session:{}", session.id),
        json!({ "reason": "logout", "client": plan.client }),
    );
    let (now, id, config) = (
        authority.clock.now(),
        session.id,
        std::sync::Arc::clone(&authority.config),
    );
    let entropy = std::sync::Arc::clone(&authority.entropy);
    authority
        .store
        .write::<_, StoreError>(move |tx| {
            let mut ids = || mint_uuid(now, &*entropy);
            let ended = revocation::end_session(tx, id, now, &config.lifetimes, &mut ids)?;
            if ended.is_some() {
                audit::record(tx, &entry)?;
            }
            Ok(())
        })
        .await?;
    Ok(Logout::Done(plan.end()))
}
