//! The request itself: what can be judged without knowing the client.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::domain::{ClientIdentifier, Scopes};

use super::error::{AuthorizeError, AuthorizeErrorCode};
use super::parameters::Parameters;

/// The scheme of a pushed request's name (RFC 9126 §2.2).
pub const PUSHED_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// The most characters of one value that is kept while somebody logs in.
const VALUE_MAX: usize = 1024;
/// The most resources one grant is for.
const RESOURCES_MAX: usize = 8;

/// How an answer travels (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    #[default]
    Query,
    /// In a form that the browser posts to the redirect URI.
    FormPost,
}

/// What the client wants the user to be asked (OpenID Connect Core §3.1.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent words of the protocol; `none` alone excludes the others"
)]
pub struct Prompt {
    /// Nothing: answer at once or with an error.
    pub none: bool,
    /// To prove who they are, even if they just did.
    pub login: bool,
    /// To agree, even if they did before.
    pub consent: bool,
    /// Which account they want to use.
    pub select_account: bool,
}

/// A well-formed authorization request. Nothing in it is believed of the client yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client_id: ClientIdentifier,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// How it goes there.
    #[serde(default)]
    pub response_mode: ResponseMode,
    /// For what; `None` leaves it to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Goes into the ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// SHA-256 of the verifier, base64url (RFC 7636 §4.2).
    pub code_challenge: String,
    /// What the user is to be asked.
    #[serde(default)]
    pub prompt: Prompt,
    /// The longest time, in seconds, since the user proved who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Who will log in, for the form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_hint: Option<String>,
    /// An ID token of the user who is wanted. Not verified yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_hint: Option<String>,
    /// Classes of authentication, the most wanted first; wishes only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
    /// Languages of the pages, the most wanted first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ui_locales: Option<String>,
    /// Whom the tokens are for (RFC 8707).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The organization, by id or slug, that the tokens are bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The identity provider to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The thumbprint of the key that tokens are bound to (RFC 9449 §10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<String>,
}

impl AuthorizationRequest {
    /// Reads a request whose client and redirect URI the caller has established.
    ///
    /// # Errors
    ///
    /// What the client is told in a redirect.
    pub fn read(
        parameters: &Parameters,
        client_id: ClientIdentifier,
        redirect_uri: String,
    ) -> Result<Self, AuthorizeError> {
        let invalid = AuthorizeError::invalid;
        if parameters.any_repeated() {
            return Err(invalid("a parameter was sent twice"));
        }
        refuse_objects(parameters)?;
        match parameters.sole("response_type") {
            Some("code") => {}
            Some(_) => {
                return Err(AuthorizeError::new(
                    AuthorizeErrorCode::UnsupportedResponseType,
                    "`response_type` must be `code`",
                ));
            }
            None => return Err(invalid("`response_type` is missing")),
        }
        let response_mode = match parameters.sole("response_mode") {
            None | Some("query") => ResponseMode::Query,
            Some("form_post") => ResponseMode::FormPost,
            Some(_) => return Err(invalid("`response_mode` must be `query` or `form_post`")),
        };
        let scope = kept(parameters, "scope", "`scope` is too long")?;
        if scope
            .as_deref()
            .is_some_and(|text| Scopes::parse(text).is_err())
        {
            return Err(AuthorizeError::new(
                AuthorizeErrorCode::InvalidScope,
                "`scope` is not a list of scopes",
            ));
        }
        Ok(Self {
            client_id,
            redirect_uri,
            response_mode,
            scope,
            state: state(parameters)?,
            nonce: kept(parameters, "nonce", "`nonce` is too long")?,
            code_challenge: code_challenge(parameters)?,
            prompt: prompt(parameters)?,
            max_age: max_age(parameters)?,
            login_hint: kept(parameters, "login_hint", "`login_hint` is too long")?,
            id_token_hint: parameters.sole("id_token_hint").map(str::to_owned),
            acr_values: kept(parameters, "acr_values", "`acr_values` is too long")?
                .map(|text| words(&text).map(str::to_owned).collect())
                .unwrap_or_default(),
            ui_locales: kept(parameters, "ui_locales", "`ui_locales` is too long")?,
            resources: resources(parameters)?,
            organization: kept(parameters, "organization", "`organization` is too long")?,
            provider: kept(parameters, "provider", "`provider` is too long")?,
            dpop_jkt: dpop_jkt(parameters)?,
        })
    }

    /// The longest time since the user proved who they are.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age.map(Duration::from_secs)
    }

    /// The scopes asked for, if any were.
    pub fn scopes(&self) -> Option<Scopes> {
        // What `read` let through parses; a sealed or stored copy that does not asks for nothing.
        self.scope
            .as_deref()
            .map(|text| Scopes::parse(text).unwrap_or_default())
    }
}

/// How an answer to a request travels that may be malformed: the mode asked for, if it is one.
pub fn response_mode(parameters: &Parameters) -> ResponseMode {
    match parameters.sole("response_mode") {
        Some("form_post") => ResponseMode::FormPost,
        _ => ResponseMode::Query,
    }
}

/// The state to echo in an answer to a request that may be malformed.
pub fn echoed_state(parameters: &Parameters) -> Option<String> {
    state(parameters).ok().flatten()
}

fn refuse_objects(parameters: &Parameters) -> Result<(), AuthorizeError> {
    use AuthorizeErrorCode::{
        RegistrationNotSupported, RequestNotSupported, RequestUriNotSupported,
    };
    for (name, code, description) in [
        (
            "request",
            RequestNotSupported,
            "request objects are not read",
        ),
        (
            "request_uri",
            RequestUriNotSupported,
            "`request_uri` must come from the pushed authorization request endpoint",
        ),
        (
            "registration",
            RegistrationNotSupported,
            "clients are not registered in a request",
        ),
    ] {
        if parameters.has(name) {
            return Err(AuthorizeError::new(code, description));
        }
    }
    Ok(())
}

fn kept(
    parameters: &Parameters,
    name: &str,
    too_long: &'static str,
) -> Result<Option<String>, AuthorizeError> {
    match parameters.sole(name) {
        Some(value) if value.len() > VALUE_MAX => Err(AuthorizeError::invalid(too_long)),
        value => Ok(value.map(str::to_owned)),
    }
}

/// RFC 6749, appendix A.5: printable ASCII, so that it comes back the way it was sent.
fn state(parameters: &Parameters) -> Result<Option<String>, AuthorizeError> {
    let state = kept(parameters, "state", "`state` is too long")?;
    match &state {
        Some(text) if !text.bytes().all(|byte| (0x20..=0x7E).contains(&byte)) => Err(
            AuthorizeError::invalid("`state` must be printable ASCII characters"),
        ),
        _ => Ok(state),
    }
}

/// PKCE is for every client, by S256: `plain` would be readable in the request itself.
fn code_challenge(parameters: &Parameters) -> Result<String, AuthorizeError> {
    let Some(challenge) = parameters.sole("code_challenge") else {
        return Err(AuthorizeError::invalid(
            "`code_challenge` is missing: PKCE is required",
        ));
    };
    // Without a method RFC 7636 §4.3 means `plain`.
    if parameters.sole("code_challenge_method") != Some("S256") {
        return Err(AuthorizeError::invalid(
            "`code_challenge_method` must be `S256`",
        ));
    }
    if !is_sha256(challenge) {
        return Err(AuthorizeError::invalid(
            "`code_challenge` is not a SHA-256 in base64url",
        ));
    }
    Ok(challenge.to_owned())
}

fn dpop_jkt(parameters: &Parameters) -> Result<Option<String>, AuthorizeError> {
    match parameters.sole("dpop_jkt") {
        Some(thumbprint) if !is_sha256(thumbprint) => Err(AuthorizeError::invalid(
            "`dpop_jkt` is not a SHA-256 in base64url",
        )),
        thumbprint => Ok(thumbprint.map(str::to_owned)),
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 43 && BASE64URL_NOPAD.decode(text.as_bytes()).is_ok()
}

fn prompt(parameters: &Parameters) -> Result<Prompt, AuthorizeError> {
    let mut prompt = Prompt::default();
    for word in words(parameters.sole("prompt").unwrap_or_default()) {
        match word {
            "none" => prompt.none = true,
            "login" => prompt.login = true,
            "consent" => prompt.consent = true,
            "select_account" => prompt.select_account = true,
            _ => {
                return Err(AuthorizeError::invalid(
                    "`prompt` has a value that is not supported",
                ));
            }
        }
    }
    if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
        return Err(AuthorizeError::invalid(
            "`prompt` is `none` and something else",
        ));
    }
    Ok(prompt)
}

fn max_age(parameters: &Parameters) -> Result<Option<u64>, AuthorizeError> {
    let seconds = |text: &str| {
        (text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())
            .flatten()
            .ok_or(AuthorizeError::invalid(
                "`max_age` is not a number of seconds",
            ))
    };
    parameters.sole("max_age").map(seconds).transpose()
}

/// RFC 8707 §2: absolute URIs without a fragment.
fn resources(parameters: &Parameters) -> Result<Vec<String>, AuthorizeError> {
    let target = |description| AuthorizeError::new(AuthorizeErrorCode::InvalidTarget, description);
    let mut resources = parameters.all("resource").to_vec();
    resources.sort_unstable();
    resources.dedup();
    if resources.len() > RESOURCES_MAX {
        return Err(target("too many times `resource`"));
    }
    for resource in &resources {
        let absolute = resource
            .split_once(':')
            .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        if resource.len() > VALUE_MAX || resource.contains('#') || !absolute {
            return Err(target(
                "`resource` must be an absolute URI without a fragment",
            ));
        }
    }
    Ok(resources)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}
