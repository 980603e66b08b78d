//! The page on which people allow an app to act for them.

use std::borrow::Cow;

use askama::Template;

use crate::authority::brand::Brand;
use crate::domain::{Scope, Scopes};
use crate::store::scopes::Meaning;

use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;
use super::words::{Filled, Words};

/// Consent: what an app asks for, and the buttons `decision=allow` and `decision=deny` of one form.
#[derive(Debug, Clone)]
pub struct ConsentPage {
    /// Where the form goes: `/consent`.
    pub action: String,
    /// The sealed interaction, for the hidden field `request`.
    pub request: String,
    /// The token for the hidden field `csrf`.
    pub csrf: String,
    /// The app.
    pub app: AppCard,
    /// Who is signed in.
    pub account: AccountCard,
    /// What it asks for, in the order to show.
    pub scopes: Vec<ScopeLine>,
    /// The organization that it will be bound to.
    pub organization: Option<String>,
    /// Where the answer goes: the app's redirect URI, whole.
    pub redirect_uri: String,
    /// A path that leads to the sign-in page for somebody else.
    pub switch_account: Option<String>,
}

/// An app as people see it.
#[derive(Debug, Clone, Default)]
pub struct AppCard {
    /// Its name.
    pub name: String,
    /// Its logo.
    pub logo_uri: Option<String>,
    /// Its home page.
    pub client_uri: Option<String>,
    /// Its privacy policy.
    pub policy_uri: Option<String>,
    /// Its terms of service.
    pub tos_uri: Option<String>,
    /// The host that vouches for it: that of the document which describes it.
    pub host: Option<String>,
    /// Whether it registered itself: nobody here has looked at it.
    pub unverified: bool,
}

/// A person as the pages show them.
#[derive(Debug, Clone, Default)]
pub struct AccountCard {
    /// The name.
    pub name: String,
    /// The address.
    pub email: Option<String>,
    /// A picture.
    pub avatar_url: Option<String>,
}

/// A scope that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeLine {
    /// Its name on the wire.
    pub scope: String,
    /// What its service says that it allows. Scopes of the standards have texts here.
    pub description: Option<String>,
    /// How much it allows beside.
    pub more: u64,
    /// Whether it was allowed before.
    pub granted: bool,
}

impl ScopeLine {
    /// Scopes with what they mean; `granted` are those that were allowed before.
    pub fn of(explained: Vec<(Scope, Meaning)>, granted: &Scopes) -> Vec<Self> {
        explained
            .into_iter()
            .map(|(scope, meaning)| Self {
                description: (!meaning.told.is_empty()).then(|| meaning.told.join(" · ")),
                more: meaning.more,
                granted: granted.contains(scope.as_str()),
                scope: scope.as_str().to_owned(),
            })
            .collect()
    }
}

#[derive(Template)]
#[template(path = "consent.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a ConsentPage,
}

impl View<'_> {
    /// Where the answer goes: a host, or an app by its own scheme.
    fn destination(&self) -> Filled<'_> {
        let words = self.frame.words;
        let uri = self.page.redirect_uri.as_str();
        let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
        match rest.strip_prefix("//") {
            Some(rest) => {
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                words.consent_destination.with(host)
            }
            None => words.consent_destination_app.with(scheme),
        }
    }

    fn scope_text<'s>(&self, line: &'s ScopeLine) -> Cow<'s, str> {
        scope_text(self.frame.words, line)
    }
}

/// What a scope allows, for people: a text of ours, its service's, or its name.
pub(super) fn scope_text<'s>(words: &Words, line: &'s ScopeLine) -> Cow<'s, str> {
    let own = match line.scope.as_str() {
        "openid" => words.scope_openid,
        "profile" => words.scope_profile,
        "email" => words.scope_email,
        "offline_access" => words.scope_offline,
        "doorward:organizations" => words.scope_organizations,
        scope => {
            let text = line.description.as_deref().unwrap_or(scope);
            // What is left out is said: nobody shall allow more than they read.
            return match line.more {
                0 => Cow::Borrowed(text),
                more => format!("{text} · {}", words.scope_more.count(more)).into(),
            };
        }
    };
    Cow::Borrowed(own.as_str())
}

impl ConsentPage {
    /// The page. Its form leads on to the app.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
        };
        Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .with_images(self.app.logo_uri.as_deref())
            .with_images(self.account.avatar_url.as_deref())
            .with_forms([self.redirect_uri.as_str()])
    }
}
