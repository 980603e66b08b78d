//! What the endpoints that browsers visit have in common: who comes, and what they get.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::authority::app::Authority;
use crate::authority::apps::documents::DocumentError;
use crate::authority::http::context::RequestId;
use crate::authority::http::load;
use crate::authority::http::pages::{
    ErrorKind, ErrorPage, FormPostPage, Html, Locale, form::FormError, respond,
};
use crate::authority::login::{self, Remembered};
use crate::authority::oauth::{Answer, Outcome, Refusal};
use crate::authority::proxies::ClientAddress;
use crate::protocol::oauth::FORM;
use crate::protocol::oauth::authorize::{Parameters, ResponseMode};
use crate::store::StoreError;
use crate::store::sessions::Session;

/// A browser.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) authority: Arc<Authority>,
    pub(super) headers: HeaderMap,
    pub(super) locale: Locale,
    pub(super) address: ClientAddress,
    request_id: String,
}

impl FromRequestParts<Arc<Authority>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, Self::Rejection> {
        let id = parts.extensions.get::<RequestId>();
        Ok(Self {
            address: load::admitted(parts, authority)?,
            authority: Arc::clone(authority),
            headers: parts.headers.clone(),
            locale: Locale::of(&parts.headers),
            request_id: id.map_or_else(String::new, |id| id.as_str().to_owned()),
        })
    }
}

impl Visitor {
    /// The session of its cookie.
    pub(super) async fn session(&self) -> Result<Option<Session>, StoreError> {
        login::current(&self.authority, &self.headers, self.address).await
    }

    /// The same as it was read within the last minute.
    pub(super) fn remembered(&self) -> Option<Remembered> {
        login::remembered(&self.authority, &self.headers)
    }

    /// Reads the languages that a request asks for.
    pub(super) fn speak(&mut self, ui_locales: Option<&str>) {
        self.locale = Locale::choose(ui_locales, &self.headers);
    }

    /// Where it goes next.
    pub(super) fn go(&self, outcome: Result<Outcome, Refusal>) -> Response {
        match outcome {
            Ok(Outcome::Page(path)) => see_other(&path),
            Ok(Outcome::Answer(answer)) => self.answer(&answer),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    /// Takes an answer to its client.
    fn answer(&self, answer: &Answer) -> Response {
        match answer.mode {
            ResponseMode::Query => see_other(&answer.location()),
            ResponseMode::FormPost => {
                let page = FormPostPage {
                    action: answer.redirect_uri.clone(),
                    fields: answer.parameters.clone(),
                };
                self.show(page.render(self.locale, &self.authority.config.brand))
            }
        }
    }

    /// A page that tells what is wrong with a request.
    pub(super) fn refuse(&self, refusal: &Refusal) -> Response {
        let (kind, code) = match refusal {
            Refusal::Document(DocumentError::Busy) => {
                (ErrorKind::Unavailable, "temporarily_unavailable")
            }
            Refusal::UnknownClient | Refusal::Document(_) => {
                (ErrorKind::UnknownApp, "invalid_client")
            }
            Refusal::RedirectUri => (ErrorKind::UnknownApp, "invalid_request"),
            Refusal::PushedRequest => (ErrorKind::BadRequest, "invalid_request_uri"),
            Refusal::TooLarge | Refusal::Foreign => (ErrorKind::BadRequest, "invalid_request"),
            Refusal::Expired => (ErrorKind::Expired, "invalid_request"),
            Refusal::Store(error) => return self.store_failed(error),
            Refusal::Seal(error) => {
                tracing::error!(%error, "an authorization request cannot be sealed");
                return self.error(self.page(ErrorKind::Internal));
            }
        };
        self.error(self.page(kind).because(code, refusal.to_string()))
    }

    /// A page that tells that the store fails.
    pub(super) fn store_failed(&self, error: &StoreError) -> Response {
        tracing::error!(%error, "the store failed a page");
        self.error(self.page(ErrorKind::Unavailable))
    }

    /// A page that tells that a form is not believed.
    pub(super) fn form_refused(&self, error: FormError) -> Response {
        let brand = &self.authority.config.brand;
        respond(error.page(self.locale, brand, &self.request_id))
    }

    /// The beginning of an error page.
    pub(super) fn page(&self, kind: ErrorKind) -> ErrorPage {
        ErrorPage::new(kind, self.request_id.as_str())
    }

    /// An error page.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the page is made for this answer"
    )]
    pub(super) fn error(&self, page: ErrorPage) -> Response {
        self.show(page.render(self.locale, &self.authority.config.brand))
    }

    /// A page.
    #[expect(clippy::unused_self, reason = "pages are shown to visitors")]
    pub(super) fn show(&self, page: Html) -> Response {
        respond(page)
    }

    /// The parameters of a form that a client's page sent.
    #[expect(
        clippy::result_large_err,
        reason = "made once a request, and answered with at once"
    )]
    pub(super) fn posted(&self, body: &Bytes) -> Result<Parameters, Response> {
        let kind = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let media = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
        if !media.is_some_and(|media| media.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes())) {
            let page = self.page(ErrorKind::BadRequest);
            return Err(self.error(page.because("invalid_request", "the body must be a form")));
        }
        Parameters::parse(body).map_err(|_| self.refuse(&Refusal::TooLarge))
    }

    /// The parameters of a query.
    #[expect(
        clippy::result_large_err,
        reason = "made once a request, and answered with at once"
    )]
    pub(super) fn asked(&self, query: Option<&str>) -> Result<Parameters, Response> {
        let query = query.unwrap_or_default();
        Parameters::parse(query.as_bytes()).map_err(|_| self.refuse(&Refusal::TooLarge))
    }
}

/// 303: whatever the method was, the browser asks for `location` with `GET` (RFC 9700 §4.12: a 307
/// would send a form on).
pub(super) fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        tracing::error!("a redirect's target is no header value");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
