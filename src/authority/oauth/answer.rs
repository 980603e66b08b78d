//! The answer to an authorization request, on its way to the client through the browser.

use std::fmt;

use crate::protocol::oauth::authorize::{
    AuthorizationRequest, AuthorizeError, AuthorizeErrorCode, Parameters, ResponseMode,
    echoed_state, response_mode,
};
use crate::protocol::oauth::redirect::with_parameters;

/// Where an answer goes. Made only for a redirect URI that is the client's.
#[derive(Debug, Clone)]
pub struct Recipient {
    redirect_uri: String,
    mode: ResponseMode,
    state: Option<String>,
    issuer: String,
}

impl Recipient {
    /// Of a request that may be malformed otherwise.
    pub(super) fn of_parameters(
        parameters: &Parameters,
        redirect_uri: String,
        issuer: &str,
    ) -> Self {
        Self {
            redirect_uri,
            mode: response_mode(parameters),
            state: echoed_state(parameters),
            issuer: issuer.to_owned(),
        }
    }

    /// Of a well-formed request.
    pub(super) fn of_request(request: &AuthorizationRequest, issuer: &str) -> Self {
        Self {
            redirect_uri: request.redirect_uri.clone(),
            mode: request.response_mode,
            state: request.state.clone(),
            issuer: issuer.to_owned(),
        }
    }

    /// A refusal.
    pub fn refuse(&self, error: &AuthorizeError) -> Answer {
        let parameters = [
            ("error", error.code.as_str().to_owned()),
            ("error_description", error.description.to_owned()),
        ];
        self.answer(parameters)
    }

    /// A code.
    pub(super) fn grant(&self, code: &str) -> Answer {
        self.answer([("code", code.to_owned())])
    }

    fn answer(&self, parameters: impl IntoIterator<Item = (&'static str, String)>) -> Answer {
        let mut all: Vec<_> = parameters.into_iter().collect();
        all.extend(self.state.clone().map(|state| ("state", state)));
        // RFC 9207: who answers, so that a client of several servers cannot be mixed up.
        all.push(("iss", self.issuer.clone()));
        Answer {
            redirect_uri: self.redirect_uri.clone(),
            mode: self.mode,
            parameters: all,
        }
    }
}

/// An answer: parameters for a redirect URI.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where it goes.
    pub redirect_uri: String,
    /// How.
    pub mode: ResponseMode,
    /// What it says, `iss` included.
    pub parameters: Vec<(&'static str, String)>,
}

impl Answer {
    /// The URL of [`ResponseMode::Query`].
    pub fn location(&self) -> String {
        let parameters: Vec<(&str, &str)> = self
            .parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        with_parameters(&self.redirect_uri, &parameters)
    }
}

/// Names only: one of the values may be a code.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.parameters.iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

/// What a client is told when the store fails.
pub(super) const UNAVAILABLE: AuthorizeError = AuthorizeError::new(
    AuthorizeErrorCode::TemporarilyUnavailable,
    "the store cannot be reached",
);
