//! `/invitation`: where the link of an invitation leads.
//!
//! The token leaves the address at once, for a sealed cookie: so it is in no history, no bookmark
//! and no picture of the page, and it outlasts the login that may have to come first.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;

use crate::authority::app::Authority;
use crate::authority::attempts::{self, INVITATION};
use crate::authority::http::load::retry_after;
use crate::authority::http::pages::account::AccountDone;
use crate::authority::http::pages::form::{Fields, Holder, csrf_token};
use crate::authority::http::pages::invitation::InvitationRefusal;
use crate::authority::http::pages::{ErrorKind, InvitationPage};
use crate::authority::invitations::{self, Acceptance, InvitationError, Offer};
use crate::authority::login::LoginRequest;
use crate::authority::organizations::OrganizationsError;
use crate::crypto::digest::token_digest;
use crate::domain::PlainToken;
use crate::domain::user::User;
use crate::protocol::cookies;
use crate::store::sessions::Session;
use crate::store::{StoreError, users};

use super::account;
use super::visitor::{Visitor, card, see_other, see_other_with};

const PATH: &str = "/invitation";
const COOKIE: &str = "__Host-dw-invitation";
/// What the token is sealed for.
const PURPOSE: &str = "invitation";
/// How long somebody may take to sign in and accept.
const ACCEPTING: Duration = Duration::from_hours(1);
const CLEAR: &str = "__Host-dw-invitation=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax";

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(PATH, get(show).post(answer))
        .route("/invitation/declined", get(declined))
}

/// The token that the browser holds, as it holds it and opened.
struct Held {
    sealed: String,
    token: PlainToken,
}

fn held(visitor: &Visitor) -> Option<Held> {
    let sealed = cookies::cookie(&visitor.headers, COOKIE)?.to_owned();
    let authority = &visitor.authority;
    let now = authority.clock.now();
    let token: String = authority.keys.sealer().open(PURPOSE, &sealed, now).ok()?;
    Some(Held {
        sealed,
        token: PlainToken::presented(token),
    })
}

/// `GET /invitation`
async fn show(visitor: Visitor) -> Response {
    if let Some(token) = visitor.query().find("token") {
        return keep(&visitor, token);
    }
    let session = match visitor.session().await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let Some(held) = held(&visitor) else {
        return refuse(&visitor, InvitationRefusal::Gone, None);
    };
    match offered(&visitor, &held, session.as_ref()).await {
        Ok((Some(offer), user)) => {
            let page = InvitationPage::Offer {
                csrf: csrf_token(&visitor.authority, holder(&held, session.as_ref())),
                organization: offer.organization.name.to_string(),
                role: offer.role.key.to_string(),
                expires_at: offer.expires_at,
                account: user.as_ref().map(card),
            };
            visitor.show(page.render(visitor.locale, &visitor.authority.config.brand))
        }
        Ok((None, user)) => unknown(&visitor, user.as_ref()).await,
        Err(error) => visitor.store_failed(&error),
    }
}

/// No invitation has this token: whoever tries many is slowed. One that is there is never kept from
/// anybody by that.
async fn unknown(visitor: &Visitor, user: Option<&User>) -> Response {
    let who = visitor.address.counted_as().to_string();
    match attempts::slowed(&visitor.authority, &[(INVITATION, &who)]).await {
        Ok(None) => refuse(visitor, InvitationRefusal::Gone, user),
        Ok(Some(wait)) => {
            let mut response = visitor.error(ErrorKind::TooMany);
            retry_after(response.headers_mut(), wait);
            response
        }
        Err(error) => visitor.store_failed(&error),
    }
}

/// Moves the token from the address into a cookie.
fn keep(visitor: &Visitor, token: &str) -> Response {
    let authority = &visitor.authority;
    let until = authority.clock.now().plus(ACCEPTING);
    if token.len() > 256 {
        return refuse(visitor, InvitationRefusal::Gone, None);
    }
    match authority.keys.sealer().seal(PURPOSE, &token, until) {
        Ok(sealed) => {
            let age = ACCEPTING.as_secs();
            let cookie =
                format!("{COOKIE}={sealed}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Lax");
            see_other_with(PATH, &cookie)
        }
        Err(error) => {
            tracing::error!(%error, "an invitation cannot be sealed");
            visitor.error(ErrorKind::Internal)
        }
    }
}

/// Before anybody has signed in, the form belongs to who holds the cookie.
fn holder<'h>(held: &'h Held, session: Option<&Session>) -> Holder<'h> {
    match session {
        Some(session) => Holder::Session(session.id),
        None => Holder::Transaction(&held.sealed),
    }
}

async fn offered(
    visitor: &Visitor,
    held: &Held,
    session: Option<&Session>,
) -> Result<(Option<Offer>, Option<User>), StoreError> {
    let (digest, now) = (token_digest(&held.token), visitor.authority.clock.now());
    let user = session.map(|session| session.user_id);
    let read = visitor.authority.store.read(move |tx| {
        let offer = invitations::offer(tx, digest, now)?;
        let user = match user {
            Some(user) => users::find(tx, user)?,
            None => None,
        };
        Ok((offer, user))
    });
    read.await
}

/// `POST /invitation`
async fn answer(visitor: Visitor, fields: Fields) -> Response {
    let session = match visitor.session().await {
        Ok(session) => session,
        Err(response) => return response,
    };
    let Some(held) = held(&visitor) else {
        return refuse(&visitor, InvitationRefusal::Gone, None);
    };
    if let Err(error) = visitor.check(&fields, holder(&held, session.as_ref())) {
        return visitor.form_refused(error);
    }
    match (fields.get("decision"), session) {
        ("accept", Some(session)) => accept(&visitor, &held, &session).await,
        ("accept", None) => visitor.sign_in(&LoginRequest::to(PATH)),
        ("decline", _) => see_other_with(&format!("{PATH}/declined"), CLEAR),
        _ => visitor.error(ErrorKind::BadRequest),
    }
}

async fn accept(visitor: &Visitor, held: &Held, session: &Session) -> Response {
    let authority = &visitor.authority;
    let Ok(acceptance) = Acceptance::new(authority, &held.token, session.user_id) else {
        return visitor.error(ErrorKind::Internal);
    };
    let written = authority
        .store
        .write(move |tx| invitations::accept(tx, &acceptance))
        .await;
    let reason = match written {
        Ok(_) => {
            let path = format!("{}?done={}", account::PATH, AccountDone::Joined.word());
            return see_other_with(&path, CLEAR);
        }
        Err(InvitationError::OtherAddress) => InvitationRefusal::OtherAddress,
        Err(InvitationError::Organizations(OrganizationsError::AlreadyMember(_))) => {
            InvitationRefusal::Member
        }
        Err(
            InvitationError::Store(error)
            | InvitationError::Organizations(OrganizationsError::Store(error)),
        ) => return visitor.store_failed(&error),
        Err(error) => {
            tracing::debug!(%error, "an invitation is not accepted");
            InvitationRefusal::Gone
        }
    };
    let user = session.user_id;
    let found = authority
        .store
        .read::<_, StoreError>(move |tx| users::find(tx, user))
        .await;
    match found {
        Ok(user) => refuse(visitor, reason, user.as_ref()),
        Err(error) => visitor.store_failed(&error),
    }
}

fn refuse(visitor: &Visitor, reason: InvitationRefusal, user: Option<&User>) -> Response {
    let page = InvitationPage::Refused {
        reason,
        account: user.map(card),
    };
    let html = page.render(visitor.locale, &visitor.authority.config.brand);
    visitor.show(html.with_status(reason.status()))
}

/// `GET /invitation/declined`
async fn declined(visitor: Visitor) -> Response {
    if held(&visitor).is_some() {
        return see_other(PATH);
    }
    let page = InvitationPage::Declined;
    visitor.show(page.render(visitor.locale, &visitor.authority.config.brand))
}
