//! Who visits a page, and the answers that visitors get.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::authority::account::AccountError;
use crate::authority::app::Authority;
use crate::authority::http::context::RequestId;
use crate::authority::http::load;
use crate::authority::http::pages::consent::AccountCard;
use crate::authority::http::pages::form::{Fields, FormError, Holder, check_csrf, csrf_token};
use crate::authority::http::pages::{ErrorKind, ErrorPage, Html, Locale, respond};
use crate::authority::login::{self, LoginRequest};
use crate::authority::proxies::ClientAddress;
use crate::domain::user::User;
use crate::store::StoreError;
use crate::store::sessions::Session;

/// A browser.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) authority: Arc<Authority>,
    pub(super) headers: HeaderMap,
    pub(super) locale: Locale,
    pub(super) address: ClientAddress,
    query: Option<String>,
    request_id: String,
}

impl FromRequestParts<Arc<Authority>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, Response> {
        let id = parts.extensions.get::<RequestId>();
        Ok(Self {
            address: load::admitted(parts, authority)?,
            authority: Arc::clone(authority),
            locale: Locale::of(&parts.headers),
            headers: parts.headers.clone(),
            query: parts.uri.query().map(str::to_owned),
            request_id: id.map_or_else(String::new, |id| id.as_str().to_owned()),
        })
    }
}

impl Visitor {
    /// The query's fields; none of one that is too long or says something twice.
    pub(super) fn query(&self) -> Fields {
        let query = self.query.as_deref().unwrap_or_default();
        Fields::parse(query.as_bytes()).unwrap_or_default()
    }

    /// Who is signed in.
    ///
    /// # Errors
    ///
    /// The page that says that the store fails.
    pub(super) async fn session(&self) -> Result<Option<Session>, Response> {
        let found = login::current(&self.authority, &self.headers, self.address).await;
        found.map_err(|error| self.store_failed(&error))
    }

    /// Who is signed in; whoever is not is sent to sign in and comes back to `path`.
    ///
    /// # Errors
    ///
    /// The way there, or the page that says that the store fails.
    pub(super) async fn signed_in(&self, path: &str) -> Result<Session, Response> {
        match self.session().await? {
            Some(session) => Ok(session),
            None => Err(self.sign_in(&LoginRequest::to(path))),
        }
    }

    /// Who is signed in and sent this form from a page of ours.
    ///
    /// # Errors
    ///
    /// As [`Self::signed_in`], or the page that says that the form is out of date.
    pub(super) async fn sent_by(&self, fields: &Fields, path: &str) -> Result<Session, Response> {
        let session = self.signed_in(path).await?;
        self.check_session(fields, &session)
            .map_err(|error| self.form_refused(error))?;
        Ok(session)
    }

    /// Whether a page of ours sent the form in this session.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub(super) fn check_session(
        &self,
        fields: &Fields,
        session: &Session,
    ) -> Result<(), FormError> {
        self.check(fields, Holder::Session(session.id))
    }

    /// Whether a page of ours sent the form to this holder.
    ///
    /// # Errors
    ///
    /// [`FormError`], for [`Self::form_refused`].
    pub(super) fn check(&self, fields: &Fields, holder: Holder<'_>) -> Result<(), FormError> {
        check_csrf(&self.authority, &self.headers, holder, fields.get("csrf"))
    }

    /// The page that says that a form is out of date.
    pub(super) fn form_refused(&self, error: FormError) -> Response {
        tracing::debug!(%error, "a form is refused");
        let brand = &self.authority.config.brand;
        self.show(error.page(self.locale, brand, &self.request_id))
    }

    /// The token for the session's forms.
    pub(super) fn csrf(&self, session: &Session) -> String {
        csrf_token(&self.authority, Holder::Session(session.id))
    }

    /// The way to sign in.
    pub(super) fn sign_in(&self, request: &LoginRequest) -> Response {
        match login::begin(&self.authority, request) {
            Ok(path) => see_other(&path),
            Err(error) => {
                tracing::error!(%error, "no login can begin");
                self.error(ErrorKind::Internal)
            }
        }
    }

    /// A page that says what went wrong.
    pub(super) fn error(&self, kind: ErrorKind) -> Response {
        let page = ErrorPage::new(kind, self.request_id.as_str());
        self.show(page.render(self.locale, &self.authority.config.brand))
    }

    /// The page that says that the store fails.
    pub(super) fn store_failed(&self, error: &StoreError) -> Response {
        tracing::error!(%error, "the store failed a page");
        self.error(ErrorKind::Unavailable)
    }

    /// The page that says why nothing was done.
    pub(super) fn refused(&self, error: &AccountError) -> Response {
        match error {
            AccountError::SessionOver => self.sign_in(&LoginRequest::to("/account")),
            AccountError::NotFound | AccountError::LastProvider => see_other("/account"),
            AccountError::Store(error) => self.store_failed(error),
        }
    }

    /// A page.
    #[expect(clippy::unused_self, reason = "pages are shown to visitors")]
    pub(super) fn show(&self, page: Html) -> Response {
        respond(page)
    }
}

/// A user as pages show them.
pub(super) fn card(user: &User) -> AccountCard {
    AccountCard {
        name: user.display_name.clone(),
        email: Some(user.email.clone()),
        avatar_url: user.avatar_url.clone(),
    }
}

/// 303 to a path of ours.
pub(super) fn see_other(path: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(path) else {
        tracing::error!("a redirect's target is no header value");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// 303 with a cookie.
pub(super) fn see_other_with(path: &str, cookie: &str) -> Response {
    let mut response = see_other(path);
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
