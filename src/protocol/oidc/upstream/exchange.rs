//! Authorization requests to providers, what comes back through the browser, and their token
//! endpoints' answers.

use std::time::Duration;

use form_urlencoded::Serializer;
use serde::Deserialize;

/// The longest parameter of a callback that is looked at.
const PARAMETER_MAX: usize = 8 * 1024;

/// A request for a code.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Our name there.
    pub client_id: &'a str,
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// What is asked for, space-delimited.
    pub scope: &'a str,
    /// Binds the answer to this attempt.
    pub state: &'a str,
    /// Binds the ID token to this attempt; not for providers without ID tokens.
    pub nonce: Option<&'a str>,
    /// S256 of the verifier.
    pub code_challenge: &'a str,
    /// `login` or `select_account`.
    pub prompt: Option<&'a str>,
    /// How old the proof may be.
    pub max_age: Option<Duration>,
    /// Who will probably log in.
    pub login_hint: Option<&'a str>,
    /// Space-delimited.
    pub acr_values: Option<&'a str>,
    /// Google's hosted domain.
    pub hd: Option<&'a str>,
    /// Whom the access token shall be for (RFC 8707 §2.1).
    pub resource: Option<&'a str>,
}

impl AuthorizationRequest<'_> {
    /// The URL to send the browser to.
    pub fn url(&self, endpoint: &str) -> String {
        let mut query = Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id)
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("scope", self.scope)
            .append_pair("state", self.state)
            .append_pair("code_challenge", self.code_challenge)
            .append_pair("code_challenge_method", "S256");
        let max_age = self.max_age.map(|age| age.as_secs().to_string());
        for (name, value) in [
            ("nonce", self.nonce),
            ("prompt", self.prompt),
            ("max_age", max_age.as_deref()),
            ("login_hint", self.login_hint),
            ("acr_values", self.acr_values),
            ("hd", self.hd),
            ("resource", self.resource),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{separator}{}", query.finish())
    }
}

/// What a browser brings back from a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Which attempt it belongs to.
    pub state: String,
    /// Who answered, if the answer says (RFC 9207).
    pub iss: Option<String>,
    /// What they answered.
    pub outcome: Outcome,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A code.
    Code(String),
    /// A refusal, by its code; what is said beside it is not repeated to anybody.
    Error(String),
}

/// The query is not an answer of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// A parameter stands there twice: two readers could take two meanings.
    #[error("a parameter stands there twice")]
    Repeated,
    /// A parameter is too long.
    #[error("a parameter is too long")]
    TooLong,
    /// No `state`.
    #[error("`state` is missing")]
    NoState,
    /// Neither `code` nor `error`, or both.
    #[error("either `code` or `error` is wanted")]
    NoOutcome,
    /// The answer comes from another provider, or does not say from whom though it should.
    #[error("the answer is not from the provider that was asked")]
    Issuer,
}

impl Callback {
    /// Reads the query of a callback.
    ///
    /// # Errors
    ///
    /// [`CallbackError`]
    pub fn parse(query: &str) -> Result<Self, CallbackError> {
        let (mut state, mut iss, mut code, mut error) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "iss" => &mut iss,
                "code" => &mut code,
                "error" => &mut error,
                _ => continue,
            };
            if value.len() > PARAMETER_MAX {
                return Err(CallbackError::TooLong);
            }
            if place.replace(value.into_owned()).is_some() {
                return Err(CallbackError::Repeated);
            }
        }
        let outcome = match (code, error) {
            (Some(code), None) if !code.is_empty() => Outcome::Code(code),
            (None, Some(error)) => Outcome::Error(error),
            _ => return Err(CallbackError::NoOutcome),
        };
        Ok(Self {
            state: state
                .filter(|state| !state.is_empty())
                .ok_or(CallbackError::NoState)?,
            iss,
            outcome,
        })
    }

    /// Whether the answer may be from `issuer` (RFC 9207 §2.4), which names itself if `announced`.
    ///
    /// # Errors
    ///
    /// [`CallbackError::Issuer`]
    pub fn check_issuer(&self, issuer: &str, announced: bool) -> Result<(), CallbackError> {
        match &self.iss {
            Some(iss) if iss == issuer => Ok(()),
            None if !announced => Ok(()),
            _ => Err(CallbackError::Issuer),
        }
    }
}

/// What a token endpoint gives. No `Debug`: it is made of secrets.
#[derive(Clone, Deserialize)]
#[expect(
    missing_debug_implementations,
    reason = "it is made of secrets, and nobody prints it"
)]
pub struct TokenAnswer {
    /// To call the provider's API.
    pub access_token: String,
    /// How to present it.
    pub token_type: String,
    /// Who logged in.
    #[serde(default)]
    pub id_token: Option<String>,
    /// To get another access token.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// Seconds that the access token lives.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// What it is good for, if that is not what was asked for.
    #[serde(default)]
    pub scope: Option<String>,
}

impl TokenAnswer {
    /// Whether the token is presented as we do.
    pub fn is_bearer(&self) -> bool {
        self.token_type.eq_ignore_ascii_case("bearer")
    }
}

/// What a token endpoint refuses with. GitHub does so with status 200.
#[derive(Debug, Clone, Deserialize)]
pub struct TokenFailure {
    /// The code.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: AuthorizationRequest<'_> = AuthorizationRequest {
        client_id: "us",
        redirect_uri: "https://auth.example/login/callback/x",
        scope: "openid email",
        state: "s",
        nonce: Some("n"),
        code_challenge: "c",
        prompt: Some("login"),
        max_age: Some(Duration::from_secs(0)),
        login_hint: None,
        acr_values: None,
        hd: None,
        resource: None,
    };

    #[test]
    fn a_request_says_everything_once_and_keeps_the_endpoints_own_query() {
        let url = REQUEST.url("https://idp.example/a");
        for part in [
            "https://idp.example/a?response_type=code&client_id=us&",
            "redirect_uri=https%3A%2F%2Fauth.example%2Flogin%2Fcallback%2Fx&",
            "scope=openid+email&state=s&code_challenge=c&code_challenge_method=S256",
            "&nonce=n&prompt=login&max_age=0",
        ] {
            assert!(url.contains(part), "{part} is not in {url}");
        }
        assert!(!url.contains("login_hint"));
        assert!(
            REQUEST
                .url("https://idp.example/a?p=1")
                .contains("/a?p=1&response_type")
        );
    }

    #[test]
    fn a_callback_is_a_code_or_an_error_and_says_each_thing_once() {
        let read = Callback::parse("code=c%2B1&state=s&iss=https%3A%2F%2Fi&session_state=x");
        let callback = read.unwrap();
        assert_eq!(callback.outcome, Outcome::Code("c+1".to_owned()));
        assert_eq!(callback.iss.as_deref(), Some("https://i"));
        let error = Callback::parse("error=access_denied&error_description=no&state=s").unwrap();
        assert_eq!(error.outcome, Outcome::Error("access_denied".to_owned()));
        for (query, wanted) in [
            ("code=a&code=b&state=s", CallbackError::Repeated),
            ("code=a&state=s&state=s", CallbackError::Repeated),
            ("code=a", CallbackError::NoState),
            ("code=a&state=", CallbackError::NoState),
            ("state=s", CallbackError::NoOutcome),
            ("code=&state=s", CallbackError::NoOutcome),
            ("code=a&error=b&state=s", CallbackError::NoOutcome),
        ] {
            assert_eq!(Callback::parse(query), Err(wanted), "{query}");
        }
        let long = format!("state=s&code={}", "x".repeat(PARAMETER_MAX + 1));
        assert_eq!(Callback::parse(&long), Err(CallbackError::TooLong));
    }

    #[test]
    fn an_answer_of_another_issuer_is_refused_and_so_is_silence_of_one_that_names_itself() {
        let of = |query| Callback::parse(query).unwrap();
        let (named, silent) = (of("code=a&state=s&iss=https://i"), of("code=a&state=s"));
        for (callback, issuer, announced, fits) in [
            (&named, "https://i", true, true),
            (&named, "https://i", false, true),
            (&named, "https://j", false, false),
            (&silent, "https://i", false, true),
            (&silent, "https://i", true, false),
        ] {
            assert_eq!(callback.check_issuer(issuer, announced).is_ok(), fits);
        }
    }
}
