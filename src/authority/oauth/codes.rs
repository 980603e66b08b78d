//! Authorization codes: given out in one transaction with the grant they stand for.

use std::sync::Arc;

use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::apps::documents::{self, Kept};
use crate::authority::apps::registration::keep_alive;
use crate::crypto::digest::token_digest;
use crate::domain::app::{GrantType, RefreshBinding};
use crate::domain::user::UserState;
use crate::domain::{GrantId, OrganizationId, PlainToken, Scopes, Timestamp, TokenDigest};
use crate::protocol::oauth::authorize::{AuthorizeError, AuthorizeErrorCode};
use crate::store::apps::App;
use crate::store::audit::{self, AuditEntry};
use crate::store::authorization_codes::{self, NewCode};
use crate::store::clients::{self, ClientState};
use crate::store::grants::{self, Grant};
use crate::store::sessions::{self, Session};
use crate::store::{Lock, StoreError, Tx, consents, members, pushed_requests, users};

use super::interaction::Interaction;

/// What secret scanners and people know a code by.
pub(super) const PREFIX: &str = "dwa_";

/// A code to be given out.
pub(super) struct Issue<'a> {
    pub(super) interaction: &'a Interaction,
    pub(super) session: &'a Session,
    pub(super) app: &'a App,
    pub(super) scope: &'a Scopes,
    pub(super) organization: Option<OrganizationId>,
    /// Whether the user has just agreed to the scopes, so that it is remembered.
    pub(super) consented: bool,
    /// The session's cookie, where it was not looked up for this request: then it must still be its.
    pub(super) cookie: Option<TokenDigest>,
}

/// Everything that one transaction writes. Minted before it: it may run twice.
struct Rows {
    grant: Grant,
    code: NewCode,
    entry: AuditEntry,
    pushed: Option<TokenDigest>,
    consented: bool,
    cookie: Option<TokenDigest>,
    /// An app that ends when nobody uses it.
    kept_alive: Option<App>,
    /// An app whose row is what its document says.
    fetched: Option<Kept>,
}

/// Gives out a code.
///
/// # Errors
///
/// The inner one is for the client: what was looked at before the transaction is no longer so.
pub(super) async fn issue(
    authority: &Authority,
    issue: Issue<'_>,
) -> Result<Result<PlainToken, AuthorizeError>, StoreError> {
    let grant = GrantId::mint(authority.clock.now(), authority.entropy.id_bits());
    let bits = authority.entropy.token_bits();
    let code = PlainToken::from_random_of(PREFIX, grant.as_uuid(), bits);
    let rows = Arc::new(rows(authority, &issue, grant, &code));
    let written = match write(authority, Arc::clone(&rows)).await {
        // The first two who agree to an app at a URL at once: its row is there now.
        Err(NotIssued::Store(StoreError::Unique { .. })) if rows.fetched.is_some() => {
            write(authority, rows).await
        }
        written => written,
    };
    match written {
        Ok(()) => Ok(Ok(code)),
        Err(NotIssued::Stale(error)) => Ok(Err(error)),
        Err(NotIssued::Store(error)) => Err(error),
    }
}

async fn write(authority: &Authority, rows: Arc<Rows>) -> Result<(), NotIssued> {
    let written = authority.store.write::<_, NotIssued>(move |tx| {
        if let Some(kept) = &rows.fetched
            && !documents::keep(tx, kept, rows.grant.user_id)?
        {
            return Err(NotIssued::Stale(TOO_MANY_APPS));
        }
        if let Some(error) = stale(tx, &rows)? {
            return Err(NotIssued::Stale(error));
        }
        if let Some(app) = &rows.kept_alive {
            keep_alive(tx, app, rows.grant.created_at)?;
        }
        grants::insert(tx, &rows.grant)?;
        authorization_codes::insert(tx, &rows.code)?;
        // A consent names no organization: a yes for one must not count for others, or for none.
        if rows.consented && rows.grant.organization_id.is_none() {
            let grant = &rows.grant;
            let now = grant.created_at;
            consents::grant(tx, grant.user_id, grant.client_id, &grant.scope, now)?;
        }
        audit::record(tx, &rows.entry)?;
        Ok(())
    });
    written.await.map(|_| ())
}

const TOO_MANY_APPS: AuthorizeError = AuthorizeError::new(
    AuthorizeErrorCode::AccessDenied,
    "the user has agreed to as many apps known by a URL as one may",
);

/// Rolls the transaction back.
enum NotIssued {
    Stale(AuthorizeError),
    Store(StoreError),
}

impl From<StoreError> for NotIssued {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn rows(authority: &Authority, issue: &Issue<'_>, id: GrantId, code: &PlainToken) -> Rows {
    let now = authority.clock.now();
    let (app, session, request) = (issue.app, issue.session, &issue.interaction.request);
    let grant = Grant {
        id,
        client_id: app.id,
        user_id: session.user_id,
        session_id: Some(session.id),
        binding: app.spec.refresh_binding,
        organization_id: issue.organization,
        scope: issue.scope.clone(),
        resources: request.resources.clone(),
        authenticated_at: session.authenticated_at,
        amr: session.amr.clone(),
        acr: session.acr.clone(),
        nonce: request.nonce.clone(),
        dpop_jkt: request.dpop_jkt.clone(),
        created_at: now,
        last_used_at: now,
        expires_at: expiry(authority, app, session, now),
        revoked_at: None,
    };
    let new_code = NewCode {
        grant_id: grant.id,
        digest: token_digest(code),
        client_id: app.id,
        user_id: session.user_id,
        redirect_uri: request.redirect_uri.clone(),
        code_challenge: request.code_challenge.clone(),
        expires_at: now.plus(authority.config.lifetimes.code),
        created_at: now,
    };
    let entry = authority.audit(
        format!("user:{}", session.user_id),
        "grant.created",
        format!("grant:{}", grant.id),
        json!({
            "client": app.spec.identifier,
            "scope": grant.scope.to_string(),
            "session": session.id,
            "organization": grant.organization_id,
            "consented": issue.consented,
        }),
    );
    Rows {
        grant,
        code: new_code,
        entry,
        pushed: issue.interaction.pushed_digest(),
        consented: issue.consented,
        cookie: issue.cookie,
        kept_alive: app.expires_at.map(|_| app.clone()),
        fetched: Kept::new(authority, app),
    }
}

/// A grant ends with the session it came from, unless its refresh tokens are to outlive it. It lives
/// as long as that also when there are none: who is told of the session's end is known by it.
fn expiry(authority: &Authority, app: &App, session: &Session, now: Timestamp) -> Timestamp {
    let refreshes = app.spec.grant_types.contains(GrantType::RefreshToken);
    if refreshes && app.spec.refresh_binding == RefreshBinding::Standalone {
        let refresh = now.plus(authority.config.lifetimes.refresh);
        session.expires_at.max(refresh)
    } else {
        session.expires_at
    }
}

/// What has changed since the request was looked at.
fn stale(tx: &mut dyn Tx, rows: &Rows) -> Result<Option<AuthorizeError>, StoreError> {
    let (grant, now) = (&rows.grant, rows.grant.created_at);
    let error = |code, description| Ok(Some(AuthorizeError::new(code, description)));
    let client = clients::find(tx, grant.client_id)?;
    if client.is_none_or(|client| client.state != ClientState::Active) {
        return error(
            AuthorizeErrorCode::UnauthorizedClient,
            "the app may not act any more",
        );
    }
    // Whoever signs out everywhere meanwhile deletes the session first: they wait, and find the grant.
    if let Some(id) = grant.session_id {
        tx.lock(Lock::Session(id))?;
    }
    let lives = match (grant.session_id, rows.cookie) {
        (Some(id), Some(cookie)) => sessions::lives_behind(tx, id, cookie, now)?,
        (Some(id), None) => sessions::lives(tx, id, grant.user_id, now)?,
        (None, _) => false,
    };
    let active = matches!(
        users::find_state(tx, grant.user_id)?,
        Some((UserState::Active, _))
    );
    if !lives || !active {
        return error(
            AuthorizeErrorCode::LoginRequired,
            "the login has ended meanwhile",
        );
    }
    if let Some(organization) = grant.organization_id
        && members::find(tx, organization, grant.user_id)?.is_none()
    {
        return error(
            AuthorizeErrorCode::AccessDenied,
            "the user is not a member of `organization`",
        );
    }
    if let Some(pushed) = rows.pushed
        && !pushed_requests::consume(tx, pushed)?
    {
        return error(
            AuthorizeErrorCode::InvalidRequest,
            "`request_uri` was used before",
        );
    }
    Ok(None)
}
