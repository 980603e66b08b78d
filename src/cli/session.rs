//! Talking to the authority as a client: a token first, then requests with it.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::CliError;
use super::http::{Answer, Call, Endpoint, send};
use super::profile::Profile;
use crate::domain::{FreshnessToken, Secret};
use crate::protocol::problem::Problem;

const JSON: &str = "application/json";

/// A conversation with the authority, as one client.
pub(super) struct Session {
    authority: Endpoint,
    token: Secret<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
}

#[derive(Deserialize)]
struct TokenRefusal {
    error: String,
    error_description: Option<String>,
}

impl Session {
    /// Gets a token with the profile's client, with every scope that client may have.
    ///
    /// # Errors
    ///
    /// No client named, nobody answers, or the credentials are refused.
    pub(super) async fn open(profile: &Profile) -> Result<Self, CliError> {
        let (id, secret) = profile.client()?;
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .finish();
        let mut call = Call::new(Method::POST, "/oauth2/token")
            .body("application/x-www-form-urlencoded", body);
        call.headers
            .insert(AUTHORIZATION, basic(id.as_str(), secret)?);
        let answer = send(profile.authority(), call).await?;
        if answer.status != StatusCode::OK {
            return Err(refusal(profile.authority(), &answer, id));
        }
        let token: TokenAnswer = read(profile.authority(), &answer)?;
        Ok(Self {
            authority: profile.authority().clone(),
            token: Secret::new(token.access_token),
        })
    }

    /// Sends a request and reads a JSON answer.
    ///
    /// # Errors
    ///
    /// The authority's problem document, or that nobody answered.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CliError> {
        let answer = self.answer(method, path, body).await?;
        read(&self.authority, &answer)
    }

    /// Sends a request; an answer that is no success becomes an error.
    ///
    /// # Errors
    ///
    /// As [`Self::json`].
    pub(super) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, CliError> {
        let mut call = Call::new(method, path);
        if let Some(body) = body {
            let bytes = serde_json::to_vec(body)
                .map_err(|error| CliError::usage(format!("the body is no JSON: {error}")))?;
            call = call.body(JSON, bytes);
        }
        call.headers = self.headers()?;
        let answer = send(&self.authority, call).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(problem(&self.authority, &answer))
        }
    }

    /// Sends a change and returns its freshness token.
    ///
    /// # Errors
    ///
    /// As [`Self::json`].
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Option<FreshnessToken>, CliError> {
        let answer = self.answer(method, path, body).await?;
        Ok(answer
            .headers
            .get("doorward-freshness")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok()))
    }

    fn headers(&self) -> Result<HeaderMap, CliError> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .map_err(|_| CliError::local("the authority's token cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// RFC 6749 §2.3.1: both halves form-encoded, then Basic.
fn basic(id: &str, secret: &Secret<String>) -> Result<HeaderValue, CliError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret.expose()));
    let mut value = HeaderValue::try_from(format!(
        "Basic {}",
        data_encoding::BASE64.encode(pair.as_bytes())
    ))
    .map_err(|_| CliError::usage("the client's secret cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn refusal(endpoint: &Endpoint, answer: &Answer, id: impl fmt::Display) -> CliError {
    match serde_json::from_slice::<TokenRefusal>(&answer.body) {
        Ok(refusal) => CliError::usage(format!(
            "{endpoint} gives client `{id}` no token: {}",
            refusal.error_description.unwrap_or(refusal.error)
        ))
        .fix("check the client's id and secret"),
        Err(_) => problem(endpoint, answer),
    }
}

/// A problem document as an error; anything else as it is.
pub(super) fn problem(endpoint: &Endpoint, answer: &Answer) -> CliError {
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => CliError::refused(&problem),
        Err(_) => CliError::unexpected(endpoint, answer.status.as_u16(), &answer.body),
    }
}

/// Reads a body that must be JSON of this form.
pub(super) fn read<T: DeserializeOwned>(
    endpoint: &Endpoint,
    answer: &Answer,
) -> Result<T, CliError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        CliError::unreachable(format!("{endpoint} answered something unexpected: {error}"))
            .fix("is this address a Doorward daemon of the same version?")
    })
}
