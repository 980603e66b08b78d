//! The page on which people see and manage what is theirs.

use std::borrow::Cow;

use askama::Template;

use crate::authority::brand::Brand;
use crate::domain::{AccountId, ClientId, SessionId, Timestamp};

use super::consent::{AccountCard, ScopeLine, scope_text};
use super::frame::Frame;
use super::html::Html;
use super::locale::Locale;
use super::moment::Moment;
use super::sign_in::ProviderChoice;

/// `/account`.
#[derive(Debug, Clone)]
pub struct AccountPage {
    /// The token for the hidden field `csrf` of every form.
    pub csrf: String,
    /// Who is signed in.
    pub account: AccountCard,
    /// What was just done.
    pub done: Option<AccountDone>,
    /// The accounts at providers that open this one.
    pub providers: Vec<LinkedProvider>,
    /// Providers that can be linked too.
    pub further_providers: Vec<ProviderChoice>,
    /// Where they are signed in.
    pub sessions: Vec<SessionLine>,
    /// The apps that act for them.
    pub apps: Vec<AppLine>,
    /// The path of the first of them, where these are not.
    pub first_apps: Option<String>,
    /// The path of those that come after them.
    pub more_apps: Option<String>,
    /// The organizations they belong to.
    pub organizations: Vec<OrganizationLine>,
    /// The present.
    pub now: Timestamp,
}

/// What was just done on the account page: a word of its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountDone {
    /// A provider was linked.
    Linked,
    /// A provider was removed.
    Unlinked,
    /// A session was ended.
    SessionEnded,
    /// All other sessions were ended.
    OthersEnded,
    /// An app's access was taken.
    AppRevoked,
    /// The last provider stays.
    LastProvider,
    /// No provider was linked.
    NotLinked,
    /// An invitation was accepted.
    Joined,
}

impl AccountDone {
    const ALL: [(&'static str, Self); 6] = [
        ("unlinked", Self::Unlinked),
        ("session-ended", Self::SessionEnded),
        ("others-ended", Self::OthersEnded),
        ("app-revoked", Self::AppRevoked),
        ("last-provider", Self::LastProvider),
        ("joined", Self::Joined),
    ];

    /// From the query's word; others mean nothing.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find_map(|(known, done)| (known == word).then_some(done))
    }

    /// The query's word.
    pub fn word(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find_map(|(word, done)| (done == self).then_some(word))
            .unwrap_or_default()
    }
}

/// An account at a provider.
#[derive(Debug, Clone)]
pub struct LinkedProvider {
    /// Its row.
    pub id: AccountId,
    /// The provider's name.
    pub provider: String,
    /// The address there.
    pub email: Option<String>,
    /// Whether its groups give roles, which go with it.
    pub gives_roles: bool,
    /// When it last opened this account.
    pub last_login_at: Timestamp,
}

/// A session.
#[derive(Debug, Clone)]
pub struct SessionLine {
    /// Its id.
    pub id: SessionId,
    /// The browser's own words.
    pub user_agent: Option<String>,
    /// The network of the last use.
    pub address: Option<String>,
    /// The provider's name.
    pub provider: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_seen_at: Timestamp,
    /// Whether it is the one that looks.
    pub current: bool,
}

/// An app that acts for them.
#[derive(Debug, Clone)]
pub struct AppLine {
    /// Its row.
    pub client_id: ClientId,
    /// Its name.
    pub name: String,
    /// Its logo.
    pub logo_uri: Option<String>,
    /// What it may do.
    pub scopes: Vec<ScopeLine>,
    /// Since when.
    pub since: Timestamp,
    /// When it was last used, if it was.
    pub last_used_at: Option<Timestamp>,
}

/// An organization they belong to.
#[derive(Debug, Clone)]
pub struct OrganizationLine {
    /// Its name.
    pub name: String,
    /// Its slug.
    pub slug: String,
    /// The roles they hold.
    pub roles: Vec<String>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct View<'a> {
    frame: Frame<'a>,
    page: &'a AccountPage,
    locale: Locale,
}

impl View<'_> {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass references"
    )]
    fn past(&self, at: &Timestamp) -> Moment {
        Moment::past(*at, self.page.now, self.locale)
    }

    fn device(&self, session: &SessionLine) -> String {
        super::user_agent::name(session.user_agent.as_deref().unwrap_or_default()).map_or_else(
            || self.frame.words.unknown_device.to_string(),
            |(browser, system)| match system {
                Some(system) => self.frame.words.browser_on.fill(browser, system),
                None => browser.to_owned(),
            },
        )
    }

    fn scope_text<'s>(&self, line: &'s ScopeLine) -> Cow<'s, str> {
        scope_text(self.frame.words, line)
    }

    fn others(&self) -> bool {
        self.page.sessions.iter().any(|session| !session.current)
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass references"
    )]
    const fn done_text(&self, done: &AccountDone) -> &'static str {
        let words = self.frame.words;
        match done {
            AccountDone::Linked => words.done_linked.as_str(),
            AccountDone::Unlinked => words.done_unlinked.as_str(),
            AccountDone::SessionEnded => words.done_session_ended.as_str(),
            AccountDone::OthersEnded => words.done_others_ended.as_str(),
            AccountDone::AppRevoked => words.done_app_revoked.as_str(),
            AccountDone::LastProvider => words.last_provider.as_str(),
            AccountDone::Joined => words.done_joined.as_str(),
            AccountDone::NotLinked => words.not_linked.as_str(),
        }
    }
}

impl AccountPage {
    /// The page. The form that adds a provider leads to that provider.
    pub fn render(&self, locale: Locale, brand: &Brand) -> Html {
        let view = View {
            frame: Frame::new(locale, brand),
            page: self,
            locale,
        };
        let html = Html::of(&view, locale)
            .with_images(brand.logo_uri())
            .with_images(self.account.avatar_url.as_deref())
            .with_images(self.apps.iter().filter_map(|app| app.logo_uri.as_deref()))
            .alone();
        if self.further_providers.is_empty() {
            html
        } else {
            html.with_forms_to_any_site()
        }
    }
}
