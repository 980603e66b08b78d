//! The page on which people let a device sign in: a television, a command (RFC 8628 §3.3).

use std::borrow::Cow;

use askama::Template;

use crate::authority::brand::Brand;

use super::consent::{AccountCard, AppCard, ScopeLine, scope_text};
use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;

/// `/device`, in one of its steps.
#[derive(Debug, Clone)]
pub enum DevicePage {
    /// The code is asked for.
    Enter {
        /// The token for the hidden field `csrf`.
        csrf: String,
        /// What stands in the field: from the link that the device showed.
        code: String,
        /// What was wrong with the code before.
        error: Option<DeviceError>,
    },
    /// The device is shown, with the buttons `decision=allow` and `decision=deny`.
    Confirm {
        /// The token for the hidden field `csrf`.
        csrf: String,
        /// The sealed code, for the hidden field `request`.
        request: String,
        /// The code, to be compared with what the device shows.
        code: String,
        /// The app on the device.
        app: Box<AppCard>,
        /// Who is signed in.
        account: AccountCard,
        /// What it asks for.
        scopes: Vec<ScopeLine>,
    },
    /// It was let in, or not.
    Done {
        /// Whether it was.
        allowed: bool,
    },
}

/// What was wrong with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceError {
    /// No device waits with it, or not any more.
    Unknown,
    /// Too many were tried.
    TooMany,
}

#[derive(Template)]
#[template(path = "device.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a DevicePage,
}

impl View<'_> {
    fn title(&self) -> String {
        let words = self.frame.words;
        match self.page {
            DevicePage::Enter { .. } => words.device_title.to_string(),
            DevicePage::Confirm { app, .. } => words.device_confirm_title.plain(&app.name),
            DevicePage::Done { allowed: true } => words.device_allowed_title.to_string(),
            DevicePage::Done { allowed: false } => words.device_denied_title.to_string(),
        }
    }

    fn scope_text<'s>(&self, line: &'s ScopeLine) -> Cow<'s, str> {
        scope_text(self.frame.words, line)
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass references"
    )]
    const fn error_text(&self, error: &DeviceError) -> &'static str {
        match error {
            DeviceError::Unknown => self.frame.words.device_unknown.as_str(),
            DeviceError::TooMany => self.frame.words.device_too_many.as_str(),
        }
    }
}

impl DevicePage {
    /// The page.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
        };
        let html = Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .alone();
        match self {
            Self::Confirm { app, account, .. } => html
                .with_images(app.logo_uri.as_deref())
                .with_images(account.avatar_url.as_deref()),
            Self::Enter { .. } | Self::Done { .. } => html,
        }
    }
}
