//! `/account`: profile, sessions, linked providers, connected apps.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};

use crate::authority::account::{self, AccountError, ConnectedApp, Overview};
use crate::authority::app::Authority;
use crate::authority::http::pages::account::{
    AccountDone, AppLine, LinkedProvider, OrganizationLine, SessionLine,
};
use crate::authority::http::pages::consent::ScopeLine;
use crate::authority::http::pages::form::Fields;
use crate::authority::http::pages::sign_in::ProviderChoice;
use crate::authority::http::pages::{AccountPage, ErrorKind};
use crate::authority::login::{self, LoginPurpose, LoginRequest};
use crate::domain::Scopes;
use crate::domain::provider::ProviderKind;
use crate::store::StoreError;
use crate::store::sessions::Session;

use super::signed_out;
use super::visitor::{Visitor, card, see_other, see_other_with};

/// The page's path.
pub(super) const PATH: &str = "/account";

/// The most sessions that are listed.
const SESSIONS_MAX: usize = 100;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(PATH, get(show))
        .route("/account/sign-out", post(sign_out))
        .route("/account/sessions/end-others", post(end_others))
        .route("/account/sessions/end-all", post(end_all))
        .route("/account/sessions/{session}/end", post(end_session))
        .route("/account/apps/{client}/revoke", post(revoke_app))
        .route("/account/providers/{provider}/add", post(add_provider))
        .route("/account/accounts/{account}/remove", post(remove_account))
}

/// `GET /account`
async fn show(visitor: Visitor) -> Response {
    let session = match visitor.signed_in(PATH).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let (user, now) = (session.user_id, visitor.authority.clock.now());
    let store = &visitor.authority.store;
    // What is no number, or far beyond any, is the first page.
    let apps_page = visitor.query().get("apps").parse().unwrap_or(0);
    let found = store
        .read::<_, StoreError>(move |tx| account::overview(tx, user, apps_page, now))
        .await;
    match found {
        Ok(Some(overview)) => {
            let page = page(&visitor, &session, overview, apps_page);
            visitor.show(page.render(visitor.locale, &visitor.authority.config.brand))
        }
        Ok(None) => visitor.error(ErrorKind::NotFound),
        Err(error) => visitor.store_failed(&error),
    }
}

fn page(visitor: &Visitor, session: &Session, overview: Overview, apps_page: usize) -> AccountPage {
    let names: BTreeMap<String, String> = overview
        .providers
        .iter()
        .map(|provider| (provider.provider.clone(), provider.name.clone()))
        .collect();
    let name = |slug: &str| names.get(slug).cloned().unwrap_or_else(|| slug.to_owned());
    let word = visitor.query();
    AccountPage {
        csrf: visitor.csrf(session),
        account: card(&overview.user),
        done: word
            .find("linked")
            .map(|provider| linked(provider, &word, &overview))
            .or_else(|| AccountDone::from_word(word.get("done"))),
        providers: overview
            .accounts
            .iter()
            .map(|account| LinkedProvider {
                id: account.id,
                provider: name(&account.provider),
                email: account.email.clone(),
                gives_roles: overview.giving_roles.contains(&account.id),
                last_login_at: account.last_login_at,
            })
            .collect(),
        further_providers: overview
            .providers
            .iter()
            .filter(|provider| {
                let linked = |account: &crate::store::accounts::Account| {
                    account.provider == provider.provider
                };
                provider.enabled && !overview.accounts.iter().any(linked)
            })
            .map(|provider| ProviderChoice {
                id: provider.provider.clone(),
                name: provider.name.clone(),
                demo: provider.kind == ProviderKind::Demo,
            })
            .collect(),
        sessions: sessions(session, &overview.sessions, name),
        apps: overview.apps.into_iter().map(app_line).collect(),
        first_apps: (apps_page > 0).then(|| format!("{PATH}#apps")),
        more_apps: overview
            .more_apps
            .then(|| format!("{PATH}?apps={}#apps", apps_page.saturating_add(1))),
        organizations: overview
            .organizations
            .into_iter()
            .map(|membership| OrganizationLine {
                name: membership.organization.name.to_string(),
                slug: membership.organization.slug.to_string(),
                roles: membership.roles.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        now: visitor.authority.clock.now(),
    }
}

/// Whether the login that should link a provider did: people come back either way.
fn linked(provider: &str, word: &Fields, overview: &Overview) -> AccountDone {
    let is_there = overview
        .accounts
        .iter()
        .any(|account| account.provider == provider);
    if is_there && word.find("login_error").is_none() {
        AccountDone::Linked
    } else {
        AccountDone::NotLinked
    }
}

/// The session that looks, then the others, the latest used first.
fn sessions(current: &Session, all: &[Session], name: impl Fn(&str) -> String) -> Vec<SessionLine> {
    let (own, others): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.id == current.id);
    own.into_iter()
        .chain(others)
        .take(SESSIONS_MAX)
        .map(|session| SessionLine {
            id: session.id,
            user_agent: session.user_agent.clone(),
            address: session.address.clone(),
            provider: name(&session.provider),
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            current: session.id == current.id,
        })
        .collect()
}

fn app_line(app: ConnectedApp) -> AppLine {
    AppLine {
        client_id: app.client,
        name: app.name,
        logo_uri: app.logo_uri,
        scopes: ScopeLine::of(app.scopes, &Scopes::default()),
        since: app.since,
        last_used_at: app.last_used_at,
    }
}

/// Back to the page, which says what was done.
fn back(visitor: &Visitor, outcome: Result<(), AccountError>, done: AccountDone) -> Response {
    let done = match outcome {
        Ok(()) => done,
        Err(AccountError::LastProvider) => AccountDone::LastProvider,
        Err(error) => return visitor.refused(&error),
    };
    see_other(&format!("{PATH}?done={}", done.word()))
}

/// `POST /account/sign-out`
async fn sign_out(visitor: Visitor, fields: Fields) -> Response {
    // Whoever is not signed in any more is where this leads.
    let session = match visitor.session().await {
        Ok(Some(session)) => session,
        Ok(None) => return see_other(signed_out::PATH),
        Err(response) => return response,
    };
    if let Err(error) = visitor.check_session(&fields, &session) {
        return visitor.form_refused(error);
    }
    match account::end_session(&visitor.authority, &session, session.id).await {
        Ok(()) | Err(AccountError::SessionOver | AccountError::NotFound) => {
            see_other_with(signed_out::PATH, &login::clear_cookie())
        }
        Err(error) => visitor.refused(&error),
    }
}

/// `POST /account/sessions/{session}/end`
async fn end_session(visitor: Visitor, Path(ended): Path<String>, fields: Fields) -> Response {
    let session = match visitor.sent_by(&fields, PATH).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let Ok(ended) = ended.parse() else {
        return visitor.error(ErrorKind::NotFound);
    };
    let outcome = account::end_session(&visitor.authority, &session, ended).await;
    back(&visitor, outcome, AccountDone::SessionEnded)
}

/// `POST /account/sessions/end-others`
async fn end_others(visitor: Visitor, fields: Fields) -> Response {
    let session = match visitor.sent_by(&fields, PATH).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let outcome = account::end_other_sessions(&visitor.authority, &session).await;
    back(&visitor, outcome.map(drop), AccountDone::OthersEnded)
}

/// `POST /account/sessions/end-all`
async fn end_all(visitor: Visitor, fields: Fields) -> Response {
    let session = match visitor.sent_by(&fields, PATH).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    match account::sign_out_everywhere(&visitor.authority, &session).await {
        Ok(()) => see_other_with(signed_out::PATH, &login::clear_cookie()),
        Err(error) => visitor.refused(&error),
    }
}

/// `POST /account/apps/{client}/revoke`
async fn revoke_app(visitor: Visitor, Path(client): Path<String>, fields: Fields) -> Response {
    let session = match visitor.sent_by(&fields, PATH).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let Ok(client) = client.parse() else {
        return visitor.error(ErrorKind::NotFound);
    };
    let outcome = account::revoke_app(&visitor.authority, &session, client).await;
    back(&visitor, outcome, AccountDone::AppRevoked)
}

/// `POST /account/accounts/{account}/remove`
async fn remove_account(visitor: Visitor, Path(removed): Path<String>, fields: Fields) -> Response {
    let session = match visitor.sent_by(&fields, PATH).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let Ok(removed) = removed.parse() else {
        return visitor.error(ErrorKind::NotFound);
    };
    let outcome = account::unlink(&visitor.authority, &session, removed).await;
    back(&visitor, outcome, AccountDone::Unlinked)
}

/// `POST /account/providers/{provider}/add`: a login there, whose account becomes one of this user's.
/// It asks for a fresh proof of this user first.
async fn add_provider(visitor: Visitor, Path(provider): Path<String>, fields: Fields) -> Response {
    let session = match visitor.sent_by(&fields, PATH).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if provider.is_empty() || !provider.bytes().all(is_word) {
        return visitor.error(ErrorKind::NotFound);
    }
    let return_to = format!("{PATH}?linked={provider}");
    visitor.sign_in(&LoginRequest {
        provider: Some(provider),
        purpose: LoginPurpose::Link {
            user: session.user_id,
            session: session.id,
        },
        ..LoginRequest::to(return_to)
    })
}
