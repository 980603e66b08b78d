//! The page on which people allow an app to act for them.

use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;

use crate::authority::app::Authority;
use crate::authority::apps::documents;
use crate::authority::http::pages::consent::{AccountCard, AppCard, ScopeLine};
use crate::authority::http::pages::form::{Fields, Holder, check_csrf, csrf_token};
use crate::authority::http::pages::{ConsentPage, ErrorKind};
use crate::authority::oauth::authorize::{self, CONSENT};
use crate::authority::oauth::consent::{self, Asked, Question};
use crate::domain::app::ClientSource;
use crate::domain::user::User;

use super::browser::Visitor;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new().route(CONSENT, get(ask).post(decide))
}

/// `GET /consent`
async fn ask(mut visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    let parameters = match visitor.asked(query.as_deref()) {
        Ok(parameters) => parameters,
        Err(page) => return page,
    };
    let session = match visitor.session().await {
        Ok(session) => session,
        Err(error) => return visitor.store_failed(&error),
    };
    let sealed = parameters.sole("request").unwrap_or_default();
    match consent::question(&visitor.authority, (sealed, visitor.address), session).await {
        Ok(Asked::Ask(question)) => {
            visitor.speak(question.ui_locales.as_deref());
            let page = page(&visitor, *question);
            visitor.show(page.render(visitor.locale, &visitor.authority.config.brand))
        }
        Ok(Asked::Go(outcome)) => visitor.go(Ok(outcome)),
        Err(refusal) => visitor.refuse(&refusal),
    }
}

/// `POST /consent`
async fn decide(visitor: Visitor, fields: Fields) -> Response {
    let sealed = fields.get("request");
    let session = match visitor.session().await {
        Ok(Some(session)) => session,
        // The login has ended while the page was open: it can be had again.
        Ok(None) => {
            return visitor.go(authorize::resume(
                &visitor.authority,
                (sealed, visitor.address),
                None,
                None,
            )
            .await);
        }
        Err(error) => return visitor.store_failed(&error),
    };
    let holder = Holder::Session(session.id);
    let headers = &visitor.headers;
    if let Err(error) = check_csrf(&visitor.authority, headers, holder, fields.get("csrf")) {
        return visitor.form_refused(error);
    }
    let allow = match fields.get("decision") {
        "allow" => true,
        "deny" => false,
        _ => return visitor.error(visitor.page(ErrorKind::BadRequest)),
    };
    visitor.go(consent::decide(
        &visitor.authority,
        (sealed, visitor.address),
        session,
        allow,
    )
    .await)
}

fn page(visitor: &Visitor, question: Question) -> ConsentPage {
    let app = question.app;
    let unverified = matches!(
        app.source,
        ClientSource::Registration | ClientSource::Metadata
    );
    ConsentPage {
        action: CONSENT.to_owned(),
        request: question.sealed,
        csrf: csrf_token(&visitor.authority, Holder::Session(question.session.id)),
        app: AppCard {
            name: app.spec.name,
            logo_uri: app.spec.logo_uri,
            client_uri: app.spec.client_uri,
            policy_uri: app.spec.policy_uri,
            tos_uri: app.spec.tos_uri,
            host: documents::host(&app.spec.identifier).map(str::to_owned),
            unverified,
        },
        account: account_card(question.user),
        scopes: ScopeLine::of(question.scope, &question.agreed),
        organization: question
            .organization
            .map(|organization| organization.name.to_string()),
        redirect_uri: question.redirect_uri,
        switch_account: question.switch_account,
    }
}

/// A user as pages show them.
pub(super) fn account_card(user: User) -> AccountCard {
    AccountCard {
        name: user.display_name,
        email: Some(user.email),
        avatar_url: user.avatar_url,
    }
}
