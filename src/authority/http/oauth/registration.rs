//! The endpoints at which clients register themselves (RFC 7591) and look after it (RFC 7592).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value};

use crate::authority::app::Authority;
use crate::authority::apps::registration::{self, NotRegistered, Registered};
use crate::authority::http::credentials::Uncached;
use crate::authority::http::error::HttpError;
use crate::authority::http::load::retry_after;
use crate::domain::{PlainToken, Timestamp};
use crate::protocol::clients::metadata::registered;
use crate::protocol::clients::registration::{RegistrationError, RegistrationErrorCode};
use crate::protocol::problem::Problem;

use super::admitted::Admitted;

/// Where clients register.
const REGISTER: &str = crate::authority::oauth::metadata::REGISTER;

pub(super) fn routes() -> Router<Arc<Authority>> {
    let client = format!("{REGISTER}/{{client}}");
    Router::new()
        .route(REGISTER, post(register))
        .route(&client, get(show).put(update).delete(deregister))
}

/// `POST /oauth2/register`
async fn register(
    Admitted(from): Admitted,
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let token = bearer(&authority, &headers)?;
    require_json(&headers)?;
    let done = registration::register(&authority, token, &body).await;
    let done = registration::counted(&authority, from, done).await?;
    Ok((StatusCode::CREATED, Uncached(told(&authority, &done))).into_response())
}

/// `GET /oauth2/register/{client}`
async fn show(
    Admitted(from): Admitted,
    State(authority): State<Arc<Authority>>,
    Path(client): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let found = registration::show(&authority, client, bearer(&authority, &headers)?).await;
    let found = registration::counted(&authority, from, found).await?;
    Ok(Uncached(told(&authority, &found)).into_response())
}

/// `PUT /oauth2/register/{client}`
async fn update(
    Admitted(from): Admitted,
    State(authority): State<Arc<Authority>>,
    Path(client): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let token = bearer(&authority, &headers)?;
    require_json(&headers)?;
    let done = registration::update(&authority, client, token, &body).await;
    let done = registration::counted(&authority, from, done).await?;
    Ok(Uncached(told(&authority, &done)).into_response())
}

/// `DELETE /oauth2/register/{client}`
async fn deregister(
    Admitted(from): Admitted,
    State(authority): State<Arc<Authority>>,
    Path(client): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let done = registration::deregister(&authority, client, bearer(&authority, &headers)?).await;
    registration::counted(&authority, from, done).await?;
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// The one bearer token of a request, where clients may register themselves.
fn bearer(authority: &Authority, headers: &HeaderMap) -> Result<PlainToken, NotRegistered> {
    if !authority.config.registration.dynamic {
        return Err(NotRegistered::Off);
    }
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(NotRegistered::Token);
    };
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(NotRegistered::Token)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(NotRegistered::Token);
    }
    Ok(PlainToken::presented(token.trim().to_owned()))
}

fn require_json(headers: &HeaderMap) -> Result<(), NotRegistered> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
    if json {
        return Ok(());
    }
    let code = RegistrationErrorCode::InvalidClientMetadata;
    Err(RegistrationError::new(code, "the body must be `application/json`").into())
}

/// RFC 7591 §3.2.1 with RFC 7592 §3.
fn told(authority: &Authority, registration: &Registered) -> Map<String, Value> {
    let app = &registration.app;
    let mut members = registered(&app.spec);
    let issuer = authority.config.issuer.as_str();
    let uri = format!("{issuer}{REGISTER}/{}", app.spec.identifier);
    members.insert("registration_client_uri".to_owned(), uri.into());
    members.insert(
        "registration_access_token".to_owned(),
        registration.access.expose().into(),
    );
    members.insert(
        "client_id_issued_at".to_owned(),
        app.created_at.unix_seconds().into(),
    );
    if let Some(secret) = &registration.secret {
        members.insert("client_secret".to_owned(), secret.expose().into());
    }
    if app.spec.auth_method.has_secret() {
        // With the client, not before it: each login through it puts that off.
        let end = app.expires_at.map_or(0, Timestamp::unix_seconds);
        members.insert("client_secret_expires_at".to_owned(), end.into());
    }
    members
}

/// A refusal about to be answered.
struct Refused(NotRegistered);

impl<E: Into<NotRegistered>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut wait = None;
        let (status, error) = match self.0 {
            NotRegistered::Off => {
                let problem = Problem::not_found(NotRegistered::Off.to_string());
                return HttpError::from(problem).into_response();
            }
            NotRegistered::Refused(error) => (StatusCode::BAD_REQUEST, error),
            NotRegistered::Token => {
                metrics::counter!("doorward_authority_failed_authentications_total").increment(1);
                let code = RegistrationErrorCode::InvalidToken;
                let error = RegistrationError::new(code, NotRegistered::Token.to_string());
                (StatusCode::UNAUTHORIZED, error)
            }
            NotRegistered::TooMany(until) => {
                metrics::counter!("doorward_authority_failed_authentications_total").increment(1);
                wait = Some(until);
                let code = RegistrationErrorCode::SlowDown;
                let error = RegistrationError::new(code, "too many failed attempts");
                (StatusCode::TOO_MANY_REQUESTS, error)
            }
            NotRegistered::Store(error) => {
                tracing::error!(%error, "the store failed a registration");
                let code = RegistrationErrorCode::TemporarilyUnavailable;
                let error = RegistrationError::new(code, "the store cannot be reached");
                (StatusCode::SERVICE_UNAVAILABLE, error)
            }
        };
        let mut response = (status, Uncached(error)).into_response();
        if let Some(wait) = wait {
            retry_after(response.headers_mut(), wait);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"doorward\", error=\"invalid_token\""),
            );
        }
        response
    }
}
