//! The page with the providers' buttons, and the way to one of them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;

use crate::authority::app::Authority;
use crate::authority::http::context::RequestId;
use crate::authority::http::load::Admitted;
use crate::authority::http::pages::form::{Fields, Holder, check_csrf, csrf_token};
use crate::authority::http::pages::sign_in::{ProviderChoice, SignInNotice, SignInPurpose};
use crate::authority::http::pages::{ErrorKind, SignInPage, respond};
use crate::authority::login::{
    self, AttemptError, LINK_PROOF, LoginPurpose, LoginRequest, Provider, ProviderError, provider,
    returning_with,
};
use crate::domain::provider::ProviderKind;
use crate::store::StoreError;
use crate::store::sessions::Session;

use super::pages::{Visit, see_other};

/// Where who wants nothing in particular ends.
const HOME: &str = "/account";

/// `GET /login?request=…`
pub(super) async fn show(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    Admitted(address): Admitted,
    id: Option<Extension<RequestId>>,
    RawQuery(query): RawQuery,
) -> Response {
    let visit = Visit {
        authority: &authority,
        headers: &headers,
        request_id: id.map(|Extension(id)| id),
        from: address,
    };
    let Some(fields) = Fields::parse(query.unwrap_or_default().as_bytes()) else {
        return visit.failure(ErrorKind::BadRequest, None);
    };
    let Some(sealed) = fields.find("request") else {
        return begin(&visit, &LoginRequest::to(HOME));
    };
    let Ok(request) = login::open(&authority, sealed) else {
        return visit.failure(ErrorKind::Expired, None);
    };
    let session = match login::current(&authority, &headers, address).await {
        Ok(session) => session,
        Err(error) => return visit.store_failure(&error),
    };
    if let Some(elsewhere) = elsewhere(&visit, &request, session.as_ref(), &fields).await {
        return elsewhere;
    }
    match page(&authority, request, sealed, &fields).await {
        Ok(Some(page)) => respond(page.render(visit.locale(), &authority.config.brand)),
        Ok(None) => visit.failure(
            ErrorKind::Unavailable,
            Some("no identity provider is configured that this login may use"),
        ),
        Err(error) => visit.store_failure(&error),
    }
}

fn begin(visit: &Visit<'_>, request: &LoginRequest) -> Response {
    match login::begin(visit.authority, request) {
        Ok(path) => see_other(&path, []),
        Err(error) => {
            tracing::error!(%error, "no login can begin");
            visit.failure(ErrorKind::Internal, None)
        }
    }
}

/// Another answer than the page: who is logged in already goes on, and who wants to link an account
/// proves first who they are.
async fn elsewhere(
    visit: &Visit<'_>,
    request: &LoginRequest,
    session: Option<&Session>,
    fields: &Fields,
) -> Option<Response> {
    match request.purpose {
        LoginPurpose::SignIn => {
            let session = session?;
            let fits = request
                .provider
                .as_ref()
                .is_none_or(|wanted| *wanted == session.provider);
            // Another tab was faster.
            (fits && !request.choose && !request.wants_fresh_proof())
                .then(|| see_other(&request.return_to, []))
        }
        LoginPurpose::Link { user, session: id } => {
            let session = session.filter(|session| session.id == id && session.user_id == user);
            link(visit, session, fields).await
        }
    }
}

async fn link(visit: &Visit<'_>, session: Option<&Session>, fields: &Fields) -> Option<Response> {
    let Some(session) = session else {
        return Some(visit.failure(ErrorKind::Expired, None));
    };
    let now = visit.authority.clock.now();
    if now.since(session.authenticated_at) < LINK_PROOF {
        return None;
    }
    if fields.find("login_error").is_some() {
        return Some(unproved(visit, &session.provider).await);
    }
    let prove = LoginRequest {
        force: true,
        provider: Some(session.provider.clone()),
        ..LoginRequest::to(format!("/login?request={}", fields.get("request")))
    };
    Some(begin(visit, &prove))
}

/// What to do when the provider of the session gives no fresh proof. A new session counts as one only
/// where the provider has no other way.
async fn unproved(visit: &Visit<'_>, provider: &str) -> Response {
    match Provider::find(visit.authority, provider).await {
        Ok(Some(provider)) if !provider.reauthenticates() => {
            visit.failure(ErrorKind::ProofNeeded, None)
        }
        Ok(_) => visit.failure(ErrorKind::ProofUntold, None),
        Err(ProviderError::Store(error)) => visit.store_failure(&error),
        Err(error) => visit.provider_failure(&error),
    }
}

/// The page; `None` when there is no provider to choose.
async fn page(
    authority: &Authority,
    request: LoginRequest,
    sealed: &str,
    fields: &Fields,
) -> Result<Option<SignInPage>, StoreError> {
    let providers: Vec<ProviderChoice> = provider::enabled(authority)
        .await?
        .into_iter()
        .filter(|row| {
            request
                .provider
                .as_ref()
                .is_none_or(|wanted| *wanted == row.provider)
        })
        .map(|row| ProviderChoice {
            id: row.provider,
            name: row.name,
            demo: row.kind == ProviderKind::Demo,
        })
        .collect();
    if providers.is_empty() {
        return Ok(None);
    }
    let purpose = match request.purpose {
        LoginPurpose::Link { .. } => SignInPurpose::Link,
        LoginPurpose::SignIn if request.force => SignInPurpose::Again,
        LoginPurpose::SignIn => SignInPurpose::SignIn,
    };
    let notice = match fields.get("notice") {
        "cancelled" => Some(SignInNotice::Cancelled),
        "expired" => Some(SignInNotice::Expired),
        _ => None,
    };
    let cancel = match request.purpose {
        LoginPurpose::Link { .. } => Some(request.return_to.clone()),
        LoginPurpose::SignIn => request
            .client_name
            .is_some()
            .then(|| returning_with(&request.return_to, "access_denied")),
    };
    Ok(Some(SignInPage {
        client_name: request.client_name,
        client_logo: None,
        purpose,
        notice,
        providers,
        request: sealed.to_owned(),
        csrf: csrf_token(authority, Holder::Transaction(sealed)),
        ends_at: request.ends_at,
        cancel,
    }))
}

/// `POST /login/{provider}`: to the provider.
pub(super) async fn start(
    State(authority): State<Arc<Authority>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    Admitted(from): Admitted,
    id: Option<Extension<RequestId>>,
    fields: Fields,
) -> Response {
    let visit = Visit {
        authority: &authority,
        headers: &headers,
        request_id: id.map(|Extension(id)| id),
        from,
    };
    let sealed = fields.get("request");
    if check_csrf(
        &authority,
        &headers,
        Holder::Transaction(sealed),
        fields.get("csrf"),
    )
    .is_err()
    {
        return visit.failure(ErrorKind::FormExpired, None);
    }
    let Ok(request) = login::open(&authority, sealed) else {
        return visit.failure(ErrorKind::Expired, None);
    };
    let provider = match Provider::find(&authority, &slug).await {
        Ok(Some(provider)) => provider,
        Ok(None) => return visit.failure(ErrorKind::NotFound, None),
        Err(ProviderError::Store(error)) => return visit.store_failure(&error),
        Err(error) => return visit.provider_failure(&error),
    };
    if request.provider.as_ref().is_some_and(|only| *only != slug) {
        return visit.failure(ErrorKind::NotAllowed, None);
    }
    let return_to = request.return_to.clone();
    match login::start(&authority, &provider, request, &headers).await {
        Ok(attempt) => see_other(&attempt.location, &attempt.cookies),
        Err(AttemptError::LoginRequired) => {
            see_other(&returning_with(&return_to, "login_required"), [])
        }
        Err(AttemptError::Upstream(error)) => visit.upstream_failure(&slug, &error),
        Err(AttemptError::TooLong) => {
            visit.failure(ErrorKind::BadRequest, Some("the request is too long"))
        }
        Err(error @ (AttemptError::Return(_) | AttemptError::Seal(_))) => {
            tracing::error!(%error, "no login can begin");
            visit.failure(ErrorKind::Internal, None)
        }
    }
}
