//! A rendered page, and the answer it becomes.

use std::fmt;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use super::locale::Locale;
use super::sources;

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What no page of ours uses.
const NO_PERMISSION: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), \
    display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), \
    identity-credentials-get=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    publickey-credentials-create=(), publickey-credentials-get=(), serial=(), usb=(), \
    xr-spatial-tracking=()";

/// A rendered page. [`respond`] makes an answer of it.
#[derive(Clone)]
pub struct Html {
    body: String,
    locale: Locale,
    status: StatusCode,
    images: Vec<String>,
    forms: Vec<String>,
    alone: bool,
}

impl Html {
    /// A template that cannot be rendered is a mistake of ours: the page is empty then, and 500.
    pub(super) fn of(template: &impl Template, locale: Locale) -> Self {
        let rendered = template.render();
        if let Err(error) = &rendered {
            tracing::error!(%error, "a page cannot be rendered");
        }
        Self {
            status: if rendered.is_ok() {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            },
            body: rendered.unwrap_or_default(),
            locale,
            images: Vec::new(),
            forms: Vec::new(),
            alone: false,
        }
    }

    /// With another status than 200.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With images from where these URLs point.
    pub(super) fn with_images<'a>(mut self, urls: impl IntoIterator<Item = &'a str>) -> Self {
        self.images
            .extend(urls.into_iter().filter_map(sources::image_source));
        self
    }

    /// With forms whose answers may lead on to where these URLs point: Chromium applies
    /// `form-action` to every redirect that follows a form.
    pub(super) fn with_forms<'a>(mut self, urls: impl IntoIterator<Item = &'a str>) -> Self {
        self.forms
            .extend(urls.into_iter().filter_map(sources::source_of));
        self
    }

    /// With forms whose answers may lead on to any site over TLS.
    pub(super) fn with_forms_to_any_site(mut self) -> Self {
        self.forms.push("https:".to_owned());
        self
    }

    /// With forms whose answers may lead on to any site, also without TLS: where somebody tries things
    /// out, apps run on this machine, on any port.
    pub(super) fn with_forms_to_anywhere(self) -> Self {
        let mut html = self.with_forms_to_any_site();
        html.forms.push("http:".to_owned());
        html
    }

    /// Cut off from the window that opened it. Not for pages on the way of a login: an app that logs
    /// people in by a pop-up waits for a message from that window.
    pub(super) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The markup.
    pub fn body(&self) -> &str {
        &self.body
    }

    fn policy(&self) -> String {
        let list = |sources: &[String]| {
            let mut sources = sources.to_vec();
            sources.sort();
            sources.dedup();
            sources.insert(0, String::new());
            sources.join(" ")
        };
        format!(
            "default-src 'none'; style-src 'self'; img-src 'self' data:{}; form-action 'self'{}; \
             frame-ancestors 'none'; base-uri 'none'",
            list(&self.images),
            list(&self.forms),
        )
    }
}

impl fmt::Debug for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body holds tokens of forms.
        f.debug_struct("Html")
            .field("status", &self.status)
            .field("locale", &self.locale)
            .finish_non_exhaustive()
    }
}

/// The page as an answer, with every header that keeps it to itself.
///
/// The referrer policy is `same-origin`: nothing of a page's address reaches another site, and forms
/// say their `Origin`, which under `no-referrer` browsers replace by `null` (Fetch, "append a request
/// Origin header").
pub fn respond(html: Html) -> Response {
    let policy = HeaderValue::from_str(&html.policy());
    let (status, language) = (html.status, html.locale.tag());
    let opener = if html.alone {
        "same-origin"
    } else {
        "unsafe-none"
    };
    let mut response = (status, html.body).into_response();
    let headers = response.headers_mut();
    // Sources are checked character by character; were one wrong all the same, none is allowed.
    headers.insert(
        CONTENT_SECURITY_POLICY,
        policy.unwrap_or(HeaderValue::from_static("default-src 'none'")),
    );
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_LANGUAGE, language),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER_POLICY, opener),
        (RESOURCE_POLICY, "same-origin"),
        (PERMISSIONS_POLICY, NO_PERMISSION),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        respond(self)
    }
}
