//! What a login is for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::authority::app::Authority;
use crate::authority::sealer::UnsealError;
use crate::crypto::seal::SealError;
use crate::domain::{SessionId, UserId};
use crate::protocol::local_path::is_local_path;

/// What a request is sealed for.
const PURPOSE: &str = "login-request";

/// What logging in shall lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginPurpose {
    /// A session.
    #[default]
    SignIn,
    /// Another account of a user who has just proved who they are. Only the account page makes
    /// such requests, and the session must still be there at the end.
    Link {
        /// Whose account it becomes.
        user: UserId,
        /// In which session the user asked.
        session: SessionId,
    },
}

/// A login about to begin. It knows nothing of OAuth: whoever wants a session says where the
/// browser comes back to and what the session must be worth.
///
/// When a provider cannot do what `force` or `max_age` ask for, or the user gives up, the browser
/// comes back all the same, with `login_error=login_required` (or `access_denied`) added to the
/// query of `return_to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRequest {
    /// A path of ours with its query.
    pub return_to: String,
    /// The user must prove who they are again, session or not (`prompt=login`).
    #[serde(default)]
    pub force: bool,
    /// The user chooses who to be: a session that is there does not answer for them
    /// (`prompt=select_account`).
    #[serde(default)]
    pub choose: bool,
    /// How old the proof may be.
    #[serde(default)]
    pub max_age: Option<Duration>,
    /// Who will probably log in.
    #[serde(default)]
    pub login_hint: Option<String>,
    /// The only provider to offer.
    #[serde(default)]
    pub provider: Option<String>,
    /// Passed on to the provider.
    #[serde(default)]
    pub acr_values: Vec<String>,
    /// The app to show on the page.
    #[serde(default)]
    pub client_name: Option<String>,
    /// The site where it ends, if that is another one: Chromium asks the page's policy about every
    /// redirect that follows its form.
    #[serde(default)]
    pub ends_at: Option<String>,
    /// What it shall lead to.
    #[serde(default)]
    pub purpose: LoginPurpose,
}

/// The path is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a path of this server is wanted")]
pub struct InvalidReturn;

/// Why no login can begin.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The request does not say where to return to.
    #[error(transparent)]
    Return(#[from] InvalidReturn),
    /// The request cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl LoginRequest {
    /// A plain login that leads to `return_to`.
    pub fn to(return_to: impl Into<String>) -> Self {
        Self {
            return_to: return_to.into(),
            force: false,
            choose: false,
            max_age: None,
            login_hint: None,
            provider: None,
            acr_values: Vec::new(),
            client_name: None,
            ends_at: None,
            purpose: LoginPurpose::SignIn,
        }
    }

    /// Whether the proof must be newer than what the provider may have of the user.
    pub const fn wants_fresh_proof(&self) -> bool {
        self.force || self.max_age.is_some()
    }
}

/// Where to send the browser so that somebody logs in: `/login?request=…`.
///
/// # Errors
///
/// [`LoginError::Return`] when `return_to` is not a path of ours.
pub fn begin(authority: &Authority, request: &LoginRequest) -> Result<String, LoginError> {
    if !is_local_path(&request.return_to) {
        return Err(InvalidReturn.into());
    }
    let until = authority
        .clock
        .now()
        .plus(authority.config.lifetimes.interaction);
    let sealed = authority.keys.sealer().seal(PURPOSE, request, until)?;
    Ok(format!("/login?request={sealed}"))
}

/// Opens what [`begin`] sealed.
///
/// # Errors
///
/// [`UnsealError`]: it is too old, or none of ours.
pub fn open(authority: &Authority, sealed: &str) -> Result<LoginRequest, UnsealError> {
    authority
        .keys
        .sealer()
        .open(PURPOSE, sealed, authority.clock.now())
}
