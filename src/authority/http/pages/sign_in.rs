//! The page on which people choose how to sign in.

use askama::Template;

use crate::authority::brand::Brand;

use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;

/// Sign-in: one button for each provider, each a form to `/login/{provider}`.
#[derive(Debug, Clone)]
pub struct SignInPage {
    /// The app that asks for it, if one does.
    pub client_name: Option<String>,
    /// Its logo.
    pub client_logo: Option<String>,
    /// Why the page is shown.
    pub purpose: SignInPurpose,
    /// What happened before, if something did.
    pub notice: Option<SignInNotice>,
    /// The ways to sign in.
    pub providers: Vec<ProviderChoice>,
    /// The sealed login request, for the hidden field `request`.
    pub request: String,
    /// The token for the hidden field `csrf`.
    pub csrf: String,
    /// Where the login ends, if that is another site: the redirect URI of the app.
    pub ends_at: Option<String>,
    /// A path to go back to without signing in.
    pub cancel: Option<String>,
}

/// Why somebody is asked to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignInPurpose {
    /// They are not.
    #[default]
    SignIn,
    /// The app wants it to be proved anew.
    Again,
    /// Another provider is to be linked to the account.
    Link,
}

/// What happened before somebody came to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInNotice {
    /// They stopped at the provider.
    Cancelled,
    /// The provider did not answer, or not as it should.
    ProviderFailed,
    /// The login took too long and starts anew.
    Expired,
    /// The session has ended.
    SessionEnded,
}

/// A way to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderChoice {
    /// Its word in paths: `google`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whether it is a demonstration that asks for no password.
    pub demo: bool,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a SignInPage,
}

impl View<'_> {
    fn title(&self) -> String {
        let words = self.frame.words;
        match (self.page.purpose, &self.page.client_name) {
            (SignInPurpose::Link, _) => words.link_title.to_string(),
            (SignInPurpose::Again, _) => words.again_title.to_string(),
            (SignInPurpose::SignIn, Some(client)) => words.sign_in_to.plain(client),
            (SignInPurpose::SignIn, None) => words.sign_in.to_string(),
        }
    }

    fn notice(&self) -> Option<&'static str> {
        let words = self.frame.words;
        self.page.notice.map(|notice| match notice {
            SignInNotice::Cancelled => words.notice_cancelled.as_str(),
            SignInNotice::ProviderFailed => words.notice_provider_failed.as_str(),
            SignInNotice::Expired => words.notice_expired.as_str(),
            SignInNotice::SessionEnded => words.notice_session_ended.as_str(),
        })
    }
}

impl SignInPage {
    /// The page.
    ///
    /// Its forms may lead to any site over TLS: to the provider, from there to wherever that sends
    /// people, and in the end to the app, all in one chain of redirects.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
        };
        Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .with_images(self.client_logo.as_deref())
            .with_forms_to_any_site()
            .with_forms(self.ends_at.as_deref())
    }
}
