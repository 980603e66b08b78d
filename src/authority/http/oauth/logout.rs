//! The logout endpoint (OpenID Connect RP-Initiated Logout).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;
use http::HeaderValue;
use http::header::SET_COOKIE;

use crate::authority::app::Authority;
use crate::authority::http::pages::form::{Holder, check_csrf, csrf_token};
use crate::authority::http::pages::{ErrorKind, LogoutConfirmPage};
use crate::authority::login;
use crate::authority::oauth::logout::{self, LOGOUT, Logout, LogoutRefused, Plan, Question};
use crate::protocol::cookies;
use crate::protocol::oauth::authorize::Parameters;
use crate::protocol::oidc::logout::LogoutRequest;

use super::browser::{Visitor, see_other};
use super::consent::account_card;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new().route(LOGOUT, get(by_query).post(by_form))
}

/// `GET /oauth2/logout`
async fn by_query(mut visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    let parameters = match visitor.asked(query.as_deref()) {
        Ok(parameters) => parameters,
        Err(page) => return page,
    };
    visitor.speak(parameters.sole("ui_locales"));
    let done = match planned(&visitor, &parameters).await {
        Ok(plan) => begin(&visitor, &plan).await,
        Err(refused) => Err(refused),
    };
    finish(&visitor, done)
}

/// The plan of a query: one that was sealed before, or a new one.
async fn planned(visitor: &Visitor, parameters: &Parameters) -> Result<Plan, LogoutRefused> {
    match parameters.sole("request") {
        Some(sealed) => Ok(Plan::open(&visitor.authority, sealed)?),
        None => logout::plan(&visitor.authority, LogoutRequest::read(parameters)?).await,
    }
}

async fn begin(visitor: &Visitor, plan: &Plan) -> Result<Logout, LogoutRefused> {
    let session = visitor.session().await?;
    logout::begin(&visitor.authority, plan, session).await
}

/// `POST /oauth2/logout`: from a page of a client's, or from the page that asks.
async fn by_form(mut visitor: Visitor, body: Bytes) -> Response {
    let parameters = match visitor.posted(&body) {
        Ok(parameters) => parameters,
        Err(page) => return page,
    };
    visitor.speak(parameters.sole("ui_locales"));
    if let Some(sealed) = parameters.sole("request") {
        return answered(&visitor, sealed, &parameters).await;
    }
    // A form from another site brings no cookie: the redirect does.
    let sealed = match planned(&visitor, &parameters).await {
        Ok(plan) => plan.seal(&visitor.authority).map_err(Into::into),
        Err(refused) => Err(refused),
    };
    match sealed {
        Ok(sealed) => see_other(&format!("{LOGOUT}?request={sealed}")),
        Err(refused) => refuse(&visitor, &refused),
    }
}

/// A form of another site brings no cookie, and whatever it says, the session in the browser stays:
/// the redirect brings the cookie, and the person is asked again.
async fn answered(visitor: &Visitor, sealed: &str, parameters: &Parameters) -> Response {
    let (plan, session) = match Plan::open(&visitor.authority, sealed) {
        Ok(plan) => match visitor.session().await {
            Ok(session) => (plan, session),
            Err(error) => return visitor.store_failed(&error),
        },
        Err(error) => return refuse(visitor, &error.into()),
    };
    let Some(session) = session else {
        if !brought_cookie(visitor) {
            return see_other(&format!("{LOGOUT}?request={sealed}"));
        }
        return finish(
            visitor,
            logout::begin(&visitor.authority, &plan, None).await,
        );
    };
    let holder = Holder::Session(session.id);
    let csrf = parameters.sole("csrf").unwrap_or_default();
    if let Err(error) = check_csrf(&visitor.authority, &visitor.headers, holder, csrf) {
        return visitor.form_refused(error);
    }
    let sign_out = match parameters.sole("decision") {
        Some("sign_out") => true,
        Some("stay") => false,
        _ => return visitor.error(visitor.page(ErrorKind::BadRequest)),
    };
    finish(
        visitor,
        logout::decide(&visitor.authority, &plan, &session, sign_out).await,
    )
}

fn finish(visitor: &Visitor, done: Result<Logout, LogoutRefused>) -> Response {
    match done {
        Ok(Logout::Ask(question)) => {
            let page = page(visitor, *question);
            visitor.show(page.render(visitor.locale, &visitor.authority.config.brand))
        }
        Ok(Logout::Stay(location)) => see_other(&location),
        Ok(Logout::Done(location)) => {
            let mut response = see_other(&location);
            // Without it, a session that was not ended would be lost out of sight.
            if brought_cookie(visitor)
                && let Ok(cookie) = HeaderValue::from_str(&login::clear_cookie())
            {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
        Err(refused) => refuse(visitor, &refused),
    }
}

fn brought_cookie(visitor: &Visitor) -> bool {
    cookies::cookie(&visitor.headers, login::COOKIE).is_some()
}

fn page(visitor: &Visitor, question: Question) -> LogoutConfirmPage {
    LogoutConfirmPage {
        action: LOGOUT.to_owned(),
        request: question.sealed,
        csrf: csrf_token(&visitor.authority, Holder::Session(question.session)),
        client_name: question.client_name,
        account: account_card(question.user),
        ends_at: question.redirect_uri,
    }
}

fn refuse(visitor: &Visitor, refused: &LogoutRefused) -> Response {
    let kind = match refused {
        LogoutRefused::Request(_) | LogoutRefused::Hint | LogoutRefused::Foreign(_) => {
            ErrorKind::BadRequest
        }
        LogoutRefused::Client | LogoutRefused::RedirectUri => ErrorKind::UnknownApp,
        LogoutRefused::Store(error) => return visitor.store_failed(error),
        LogoutRefused::Seal(error) => {
            tracing::error!(%error, "a logout cannot be sealed");
            return visitor.error(visitor.page(ErrorKind::Internal));
        }
    };
    visitor.error(
        visitor
            .page(kind)
            .because("invalid_request", refused.to_string()),
    )
}
