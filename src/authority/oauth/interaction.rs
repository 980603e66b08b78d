//! An authorization request while a person deals with it.
//!
//! It travels sealed through the browser: nothing is stored before somebody has logged in, several
//! tabs do not know of each other, and each finishes on its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::authority::app::Authority;
use crate::authority::sealer::UnsealError;
use crate::crypto::seal::SealError;
use crate::domain::{OrganizationId, Scopes, Timestamp, TokenDigest, UserId};
use crate::protocol::oauth::authorize::AuthorizationRequest;

const PURPOSE: &str = "interaction";
/// How long after its end an interaction can still be begun again from what it holds.
const RESTART: Duration = Duration::from_hours(24);

/// A request that its app may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What the app asked for. Its hint is gone: [`Self::user`] is what was in it.
    pub request: AuthorizationRequest,
    /// The user that the app's ID token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

/// What a person read on the page that asked them. The registration and the document of an app can
/// change while the page is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What the app would be allowed.
    pub scope: Scopes,
    /// The organization that its tokens would be bound to.
    pub organization: Option<OrganizationId>,
    /// What the app was called.
    pub app_name: String,
}

/// What has been established about a request so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interaction {
    /// What the client asked for.
    pub request: AuthorizationRequest,
    /// When it asked: `max_age` and `prompt=login` are judged from here.
    pub started_at: Timestamp,
    /// When it is too late to go on.
    pub expires_at: Timestamp,
    /// The user that the client's ID token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The digest, in hex, of the pushed request it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<String>,
    /// Whether the person has been sent to log in for it.
    #[serde(default)]
    pub sent_to_login: bool,
    /// What the page showed that the person now answers; only in the form of that page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
}

/// What came back from the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// It can go on.
    InTime(Interaction),
    /// It took too long. The request in it is as good as one that comes now, and what the person read
    /// is what they read.
    Late(Checked, Option<Shown>),
    /// It took too long, and the pushed request it came from is gone.
    Lost,
}

impl Interaction {
    /// Begins one.
    pub fn begin(authority: &Authority, checked: Checked) -> Self {
        let now = authority.clock.now();
        Self {
            request: checked.request,
            started_at: now,
            expires_at: now.plus(authority.config.lifetimes.interaction),
            user: checked.user,
            pushed: None,
            sent_to_login: false,
            shown: None,
        }
    }

    /// The text that goes through the browser.
    ///
    /// # Errors
    ///
    /// [`SealError`] if the library refuses.
    pub fn seal(&self, authority: &Authority) -> Result<String, SealError> {
        let until = self.expires_at.plus(RESTART);
        authority.keys.sealer().seal(PURPOSE, self, until)
    }

    /// What came back.
    ///
    /// # Errors
    ///
    /// [`UnsealError`]: it is none of ours, or older than a day.
    pub fn open(authority: &Authority, text: &str) -> Result<Returned, UnsealError> {
        let now = authority.clock.now();
        let opened: Self = authority.keys.sealer().open(PURPOSE, text, now)?;
        Ok(if now < opened.expires_at {
            Returned::InTime(opened)
        } else if opened.pushed.is_some() {
            Returned::Lost
        } else {
            let checked = Checked {
                request: opened.request,
                user: opened.user,
            };
            Returned::Late(checked, opened.shown)
        })
    }

    /// The digest of the pushed request it came from.
    pub fn pushed_digest(&self) -> Option<TokenDigest> {
        self.pushed.as_deref().and_then(TokenDigest::from_hex)
    }
}
