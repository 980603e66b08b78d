//! The page that tells what went wrong, and what can be done.

use askama::Template;
use http::StatusCode;

use crate::authority::brand::Brand;

use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;
use super::words::Text;

/// What went wrong, told to people. What developers need stands below it.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// What it is about.
    pub kind: ErrorKind,
    /// For the developer of the app: names the parameter, in English.
    pub detail: Option<String>,
    /// The protocol's code, such as `invalid_request`.
    pub code: Option<String>,
    /// Under which id the log knows the request.
    pub request_id: String,
    /// A path to go on at, if there is one.
    pub retry: Option<String>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The app's request cannot be understood.
    BadRequest,
    /// The app is not known, or its redirect URI is not one of its own.
    UnknownApp,
    /// No page is there.
    NotFound,
    /// The account may not be used.
    AccountSuspended,
    /// The provider's account may not sign in here.
    NotAllowed,
    /// An account is to be linked from a login that is too old, and cannot be had again.
    ProofNeeded,
    /// An account is to be linked from a login whose time is not told.
    ProofUntold,
    /// The provider's account belongs to another account here.
    AlreadyLinked,
    /// An account with the same address exists: link from there.
    LinkNeeded,
    /// The form was not sent by this visitor's page, or is too old.
    FormExpired,
    /// The login or the request took too long.
    Expired,
    /// The provider failed.
    ProviderFailed,
    /// Too much was tried.
    TooMany,
    /// The store or a provider cannot be reached just now.
    Unavailable,
    /// Our mistake.
    Internal,
}

impl ErrorKind {
    const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::UnknownApp | Self::Expired => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AccountSuspended
            | Self::NotAllowed
            | Self::ProofNeeded
            | Self::ProofUntold
            | Self::FormExpired => StatusCode::FORBIDDEN,
            Self::AlreadyLinked | Self::LinkNeeded => StatusCode::CONFLICT,
            Self::ProviderFailed => StatusCode::BAD_GATEWAY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a ErrorPage,
}

impl View<'_> {
    const fn texts(&self) -> (Text, Text) {
        let words = self.frame.words;
        match self.page.kind {
            ErrorKind::BadRequest => (words.bad_request_title, words.bad_request_text),
            ErrorKind::UnknownApp => (words.unknown_app_title, words.unknown_app_text),
            ErrorKind::NotFound => (words.not_found_title, words.not_found_text),
            ErrorKind::AccountSuspended => (words.suspended_title, words.suspended_text),
            ErrorKind::NotAllowed => (words.not_allowed_title, words.not_allowed_text),
            ErrorKind::ProofNeeded => (words.proof_needed_title, words.proof_needed_text),
            ErrorKind::ProofUntold => (words.proof_untold_title, words.proof_untold_text),
            ErrorKind::AlreadyLinked => (words.already_linked_title, words.already_linked_text),
            ErrorKind::LinkNeeded => (words.link_needed_title, words.link_needed_text),
            ErrorKind::FormExpired => (words.form_expired_title, words.form_expired_text),
            ErrorKind::Expired => (words.expired_title, words.expired_text),
            ErrorKind::ProviderFailed => (words.provider_failed_title, words.provider_failed_text),
            ErrorKind::TooMany => (words.too_many_title, words.too_many_text),
            ErrorKind::Unavailable => (words.unavailable_title, words.unavailable_text),
            ErrorKind::Internal => (words.internal_title, words.internal_text),
        }
    }

    const fn title(&self) -> Text {
        self.texts().0
    }

    const fn text(&self) -> Text {
        self.texts().1
    }
}

impl ErrorPage {
    /// Without anything for developers.
    pub fn new(kind: ErrorKind, request_id: impl Into<String>) -> Self {
        Self {
            kind,
            detail: None,
            code: None,
            request_id: request_id.into(),
            retry: None,
        }
    }

    /// With a sentence for the developer of the app.
    #[must_use]
    pub fn because(mut self, code: impl Into<String>, detail: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self.detail = Some(detail.into());
        self
    }

    /// With a path to go on at.
    #[must_use]
    pub fn retry_at(mut self, path: impl Into<String>) -> Self {
        self.retry = Some(path.into());
        self
    }

    /// The page, with the status of its kind.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
        };
        Html::of(&view, locale)
            .with_status(self.kind.status())
            .with_images(brand.logo_uri())
    }
}
