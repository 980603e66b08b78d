//! The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2). No other origin may read
//! what it answers: there is no CORS here (RFC 9700 §2.6).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;

use crate::authority::app::Authority;
use crate::authority::oauth::authorize::{self, AUTHORIZE, RESUME};

use super::browser::{Visitor, see_other};

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(AUTHORIZE, get(by_query).post(by_form))
        .route(RESUME, get(resume))
}

/// `GET /oauth2/authorize`
async fn by_query(mut visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    let parameters = match visitor.asked(query.as_deref()) {
        Ok(parameters) => parameters,
        Err(page) => return page,
    };
    visitor.speak(parameters.sole("ui_locales"));
    if let Some(remembered) = visitor.remembered() {
        let request = (&parameters, visitor.address);
        let begun = authorize::start_remembered(&visitor.authority, request, remembered).await;
        if let Some(outcome) = begun.transpose() {
            return visitor.go(outcome);
        }
    }
    let session = match visitor.session().await {
        Ok(session) => session,
        Err(error) => return visitor.store_failed(&error),
    };
    let request = (&parameters, visitor.address);
    visitor.go(authorize::start(&visitor.authority, request, session).await)
}

/// `POST /oauth2/authorize`. A form from another site brings no cookie (`SameSite=Lax`), so whether
/// somebody is logged in is found out by the redirect that follows.
async fn by_form(mut visitor: Visitor, body: Bytes) -> Response {
    let parameters = match visitor.posted(&body) {
        Ok(parameters) => parameters,
        Err(page) => return page,
    };
    visitor.speak(parameters.sole("ui_locales"));
    match authorize::carry_over(&visitor.authority, (&parameters, visitor.address)).await {
        Ok(Ok(sealed)) => see_other(&format!("{RESUME}?request={sealed}")),
        Ok(Err(answer)) => visitor.go(Ok(answer)),
        Err(refusal) => visitor.go(Err(refusal)),
    }
}

/// `GET /oauth2/authorize/resume`: back from logging in.
async fn resume(visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    let parameters = match visitor.asked(query.as_deref()) {
        Ok(parameters) => parameters,
        Err(page) => return page,
    };
    let session = match visitor.session().await {
        Ok(session) => session,
        Err(error) => return visitor.store_failed(&error),
    };
    let request = parameters.sole("request").unwrap_or_default();
    let request = (request, visitor.address);
    let error = parameters.sole("login_error");
    visitor.go(authorize::resume(&visitor.authority, request, error, session).await)
}
