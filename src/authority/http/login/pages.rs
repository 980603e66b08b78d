//! What every handler here answers with: a page, or a redirect that no cache keeps.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::authority::app::Authority;
use crate::authority::http::context::RequestId;
use crate::authority::http::pages::{ErrorKind, ErrorPage, Locale, respond};
use crate::authority::login::{CallbackFailure, FinishError, ProviderError, UpstreamError};
use crate::authority::proxies::ClientAddress;
use crate::store::StoreError;

/// A request of a browser, as far as pages need it.
pub(super) struct Visit<'a> {
    pub(super) authority: &'a Authority,
    pub(super) headers: &'a HeaderMap,
    pub(super) request_id: Option<RequestId>,
    pub(super) from: ClientAddress,
}

impl Visit<'_> {
    pub(super) fn locale(&self) -> Locale {
        Locale::of(self.headers)
    }

    /// A page that says what went wrong, with something for developers.
    pub(super) fn failure(&self, kind: ErrorKind, detail: Option<&str>) -> Response {
        let id = self.request_id.as_ref().map_or("", RequestId::as_str);
        let mut page = ErrorPage::new(kind, id);
        page.detail = detail.map(str::to_owned);
        if matches!(kind, ErrorKind::Expired | ErrorKind::FormExpired) {
            page.retry = Some("/account".to_owned());
        }
        respond(page.render(self.locale(), &self.authority.config.brand))
    }

    /// The store is not there.
    pub(super) fn store_failure(&self, error: &StoreError) -> Response {
        tracing::error!(%error, "the store failed a login");
        self.failure(ErrorKind::Unavailable, None)
    }

    /// A provider's row is not usable.
    pub(super) fn provider_failure(&self, error: &ProviderError) -> Response {
        tracing::error!(%error, "a provider cannot be used");
        self.failure(ErrorKind::Internal, None)
    }

    /// The provider failed. Only the log tells how.
    pub(super) fn upstream_failure(&self, provider: &str, error: &UpstreamError) -> Response {
        let from = self.from.network_text();
        tracing::warn!(provider, from, %error, "a login failed at its provider");
        self.failure(ErrorKind::ProviderFailed, None)
    }

    /// A callback that came to no login.
    pub(super) fn callback_failure(&self, provider: &str, failure: &CallbackFailure) -> Response {
        match failure {
            CallbackFailure::UnknownProvider => self.failure(ErrorKind::NotFound, None),
            CallbackFailure::Query(error) => {
                self.failure(ErrorKind::BadRequest, Some(&error.to_string()))
            }
            CallbackFailure::Nothing => self.failure(ErrorKind::Expired, None),
            CallbackFailure::Upstream(error) => self.upstream_failure(provider, error),
            CallbackFailure::Refused(code) => {
                let from = self.from.network_text();
                tracing::warn!(provider, code, from, "a provider refused a login");
                self.failure(ErrorKind::ProviderFailed, None)
            }
            CallbackFailure::Finish(error) => self.finish_failure(error),
            CallbackFailure::Provider(error) => self.provider_failure(error),
            CallbackFailure::Store(error) => self.store_failure(error),
            CallbackFailure::Begin(_) => {
                tracing::error!(error = %failure, "a login cannot go on");
                self.failure(ErrorKind::Internal, None)
            }
        }
    }

    fn finish_failure(&self, error: &FinishError) -> Response {
        match error {
            FinishError::Suspended => self.failure(ErrorKind::AccountSuspended, None),
            FinishError::Domain => self.failure(ErrorKind::NotAllowed, None),
            FinishError::LinkedElsewhere => self.failure(ErrorKind::AlreadyLinked, None),
            FinishError::SessionOver => self.failure(ErrorKind::Expired, None),
            FinishError::Disabled => self.failure(ErrorKind::NotFound, None),
            FinishError::Store(error) => self.store_failure(error),
            FinishError::Seal(_) => {
                tracing::error!(%error, "a login cannot go on");
                self.failure(ErrorKind::Internal, None)
            }
        }
    }
}

/// 303, so that no form is sent on (RFC 9700 §4.12), with cookies.
pub(super) fn see_other<'c>(
    location: &str,
    cookies: impl IntoIterator<Item = &'c String>,
) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    // What comes from a provider's document was read as a URL before.
    match HeaderValue::from_str(location) {
        Ok(location) => headers.insert(LOCATION, location),
        Err(_) => return StatusCode::BAD_GATEWAY.into_response(),
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    response
}
