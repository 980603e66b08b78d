//! The pages around signing out.

use askama::Template;

use crate::authority::brand::Brand;

use super::consent::AccountCard;
use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;

/// Nobody is signed in any more.
#[derive(Debug, Clone, Default)]
pub struct SignedOutPage {
    /// The app that asked for it.
    pub client_name: Option<String>,
    /// A path to sign in again at.
    pub sign_in: Option<String>,
}

/// Asks whether to sign out: anybody can send people to the logout endpoint.
#[derive(Debug, Clone)]
pub struct LogoutConfirmPage {
    /// Where the form goes: `/oauth2/logout`.
    pub action: String,
    /// The sealed request, for the hidden field `request`.
    pub request: String,
    /// The token for the hidden field `csrf`.
    pub csrf: String,
    /// The app that asks for it.
    pub client_name: Option<String>,
    /// Who is signed in.
    pub account: AccountCard,
    /// Where it ends, if that is another site: the post-logout redirect URI.
    pub ends_at: Option<String>,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutView<'a> {
    frame: Frame<'a>,
    page: &'a SignedOutPage,
}

#[derive(Template)]
#[template(path = "logout_confirm.html")]
struct ConfirmView<'a> {
    frame: Frame<'a>,
    page: &'a LogoutConfirmPage,
}

impl SignedOutPage {
    /// The page.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = SignedOutView {
            frame: Frame::new(locale, brand),
            page: self,
        };
        Html::of(&view, locale).with_images(brand.logo_uri())
    }
}

impl LogoutConfirmPage {
    /// The page, with the buttons `decision=sign_out` and `decision=stay`.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = ConfirmView {
            frame: Frame::new(locale, brand),
            page: self,
        };
        Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .with_images(self.account.avatar_url.as_deref())
            .with_forms(self.ends_at.as_deref())
    }
}
