//! `/device`: where people type the code that a device shows (RFC 8628 §3.3).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::authority::account;
use crate::authority::app::Authority;
use crate::authority::attempts::{self, USER_CODE, USER_CODE_ADDRESS};
use crate::authority::http::load::retry_after;
use crate::authority::http::pages::consent::{AppCard, ScopeLine};
use crate::authority::http::pages::device::DeviceError;
use crate::authority::http::pages::form::Fields;
use crate::authority::http::pages::{DevicePage, ErrorKind};
use crate::authority::oauth::device::{self, DEVICE_PAGE, Waiting};
use crate::domain::app::ClientSource;
use crate::domain::{Scopes, SessionId};
use crate::protocol::oauth::device::UserCode;
use crate::store::sessions::Session;
use crate::store::{StoreError, users};

use super::visitor::{Visitor, card};

/// What a code is sealed for, between the page that shows the device and the decision.
const PURPOSE: &str = "device-decision";
/// How long somebody may look at that page.
const DECIDING: Duration = Duration::from_mins(10);

/// A code that was found, for the session that found it.
#[derive(Debug, Serialize, Deserialize)]
struct Decision {
    session: SessionId,
    code: String,
}

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new().route(DEVICE_PAGE, get(show).post(send))
}

/// `GET /device`, with the code of the link that a device shows, if it shows one. It is put into the
/// field and looked up by nobody: a link that somebody else sent must not lead past the field.
async fn show(visitor: Visitor) -> Response {
    let code: Option<UserCode> = visitor.query().get("user_code").parse().ok();
    let shown = code.map(|code| code.shown()).unwrap_or_default();
    let path = if shown.is_empty() {
        DEVICE_PAGE.to_owned()
    } else {
        format!("{DEVICE_PAGE}?user_code={shown}")
    };
    match visitor.signed_in(&path).await {
        Ok(session) => enter(&visitor, &session, &shown, None),
        Err(response) => response,
    }
}

/// `POST /device`: a code, or the decision on the device that was shown.
async fn send(visitor: Visitor, fields: Fields) -> Response {
    let session = match visitor.sent_by(&fields, DEVICE_PAGE).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let done = match fields.find("request") {
        None => look_up(&visitor, &session, fields.get("user_code")).await,
        Some(sealed) => decide(&visitor, &session, sealed, fields.get("decision")).await,
    };
    done.unwrap_or_else(|error| visitor.store_failed(&error))
}

/// Looks for the device. Wrong codes are counted by who types them: the code is short.
async fn look_up(
    visitor: &Visitor,
    session: &Session,
    typed: &str,
) -> Result<Response, StoreError> {
    let who = format!("user:{}", session.user_id);
    let from = visitor.address.counted_as().to_string();
    let counted = [(USER_CODE, who.as_str()), (USER_CODE_ADDRESS, &from)];
    // Behind a proxy that is not configured everybody has the machine's own address.
    let counted = if visitor.address.is_local() {
        &counted[..1]
    } else {
        &counted[..]
    };
    let authority = &visitor.authority;
    // Shown again as it was typed, but not more than a code could be.
    let shown: String = typed.chars().take(20).collect();
    let refused = |wait: Option<Duration>| {
        let error = wait.map_or(DeviceError::Unknown, |_| DeviceError::TooMany);
        let mut response = enter(visitor, session, &shown, Some(error));
        if let Some(wait) = wait {
            retry_after(response.headers_mut(), wait);
        }
        response
    };
    if let Some(wait) = attempts::locked(authority, counted).await? {
        return Ok(refused(Some(wait)));
    }
    let found = match typed.parse::<UserCode>() {
        Ok(code) => device::waiting(authority, &code)
            .await?
            .map(|found| (code, found)),
        Err(_) => None,
    };
    let Some((code, waiting)) = found else {
        return Ok(refused(attempts::failed(authority, counted).await?));
    };
    confirm(visitor, session, &code, waiting).await
}

async fn confirm(
    visitor: &Visitor,
    session: &Session,
    code: &UserCode,
    waiting: Waiting,
) -> Result<Response, StoreError> {
    let authority = &visitor.authority;
    let decision = Decision {
        session: session.id,
        code: code.shown(),
    };
    let until = authority.clock.now().plus(DECIDING);
    let sealed = authority.keys.sealer().seal(PURPOSE, &decision, until);
    let Ok(request) = sealed else {
        tracing::error!("a device's code cannot be sealed");
        return Ok(visitor.error(ErrorKind::Internal));
    };
    let (user, scope) = (session.user_id, waiting.scope);
    let read = authority.store.read::<_, StoreError>(move |tx| {
        Ok((users::find(tx, user)?, account::explained(tx, &scope)?))
    });
    let (user, scopes) = read.await?;
    let Some(user) = user else {
        return Ok(visitor.error(ErrorKind::NotFound));
    };
    let app = waiting.app;
    let unverified = matches!(
        app.source,
        ClientSource::Registration | ClientSource::Metadata
    );
    let page = DevicePage::Confirm {
        csrf: visitor.csrf(session),
        request,
        code: decision.code,
        app: Box::new(AppCard {
            name: app.spec.name,
            logo_uri: app.spec.logo_uri,
            client_uri: app.spec.client_uri,
            policy_uri: app.spec.policy_uri,
            tos_uri: app.spec.tos_uri,
            host: None,
            unverified,
        }),
        account: card(&user),
        scopes: ScopeLine::of(scopes, &Scopes::default()),
    };
    Ok(visitor.show(page.render(visitor.locale, &authority.config.brand)))
}

async fn decide(
    visitor: &Visitor,
    session: &Session,
    sealed: &str,
    decision: &str,
) -> Result<Response, StoreError> {
    let authority = &visitor.authority;
    let now = authority.clock.now();
    let opened = authority
        .keys
        .sealer()
        .open::<Decision>(PURPOSE, sealed, now);
    let Ok(opened) = opened else {
        return Ok(visitor.error(ErrorKind::Expired));
    };
    let code = opened.code.parse::<UserCode>();
    let (Ok(code), true) = (code, opened.session == session.id) else {
        return Ok(visitor.error(ErrorKind::Expired));
    };
    let (allowed, done) = match decision {
        "allow" => (true, device::approve(authority, session, &code).await?),
        "deny" => (false, device::deny(authority, session, &code).await?),
        _ => return Ok(visitor.error(ErrorKind::BadRequest)),
    };
    if !done {
        return Ok(enter(visitor, session, "", Some(DeviceError::Unknown)));
    }
    let page = DevicePage::Done { allowed };
    Ok(visitor.show(page.render(visitor.locale, &authority.config.brand)))
}

fn enter(visitor: &Visitor, session: &Session, code: &str, error: Option<DeviceError>) -> Response {
    let page = DevicePage::Enter {
        csrf: visitor.csrf(session),
        code: code.to_owned(),
        error,
    };
    let html = page.render(visitor.locale, &visitor.authority.config.brand);
    visitor.show(match error {
        None => html,
        Some(DeviceError::Unknown) => html.with_status(StatusCode::BAD_REQUEST),
        Some(DeviceError::TooMany) => html.with_status(StatusCode::TOO_MANY_REQUESTS),
    })
}
