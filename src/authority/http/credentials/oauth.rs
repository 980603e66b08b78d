//! The token endpoint and what is published about it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::authority::app::Authority;
use crate::authority::credentials::tokens::{self, TokenRefused};
use crate::authority::keys::JWKS_CACHE_CONTROL;
use crate::protocol::oauth::{
    FORM, Metadata, OAuthError, OAuthErrorCode, TokenResponse, parse_token_request,
};

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/oauth2/token", post(token))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/.well-known/oauth-authorization-server", get(metadata))
}

/// `POST /oauth2/token`: RFC 6749 §4.4.
async fn token(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Uncached<TokenResponse>, Refused> {
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case(FORM));
    if !form {
        let description = format!("the body must be `{FORM}`");
        return Err(OAuthError::new(OAuthErrorCode::InvalidRequest, description).into());
    }
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
    let first = authorization.next().map(HeaderValue::as_bytes);
    if authorization.next().is_some() {
        let description = "several `Authorization` headers";
        return Err(OAuthError::new(OAuthErrorCode::InvalidRequest, description).into());
    }
    let request = parse_token_request(first, &body)?;
    Ok(Uncached(tokens::grant(&authority, request).await?))
}

/// `GET /.well-known/jwks.json`: the keys of access and ID tokens.
async fn jwks(State(authority): State<Arc<Authority>>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, JWKS_CACHE_CONTROL),
    ];
    (headers, authority.keys.jwks())
}

/// `GET /.well-known/oauth-authorization-server`: what works, and nothing else.
async fn metadata(State(authority): State<Arc<Authority>>) -> Json<Metadata> {
    let issuer = authority.config.issuer.as_str();
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Json(Metadata {
        issuer: issuer.to_owned(),
        token_endpoint: format!("{issuer}/oauth2/token"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        scopes_supported: texts(&[
            "doorward:admin",
            "doorward:feed",
            "doorward:manifest",
            "doorward:organizations",
        ]),
        response_types_supported: Vec::new(),
        grant_types_supported: texts(&["client_credentials"]),
        token_endpoint_auth_methods_supported: texts(&[
            "client_secret_basic",
            "client_secret_post",
        ]),
    })
}

/// A body that holds a secret: kept by nobody on the way (RFC 6749 §5.1).
pub(super) struct Uncached<T>(pub(super) T);

impl<T: serde::Serialize> IntoResponse for Uncached<T> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ];
        (headers, Json(self.0)).into_response()
    }
}

/// A refusal of the token endpoint.
struct Refused(TokenRefused);

impl<E: Into<TokenRefused>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (error, wait) = match self.0 {
            TokenRefused::OAuth(error) => (error, None),
            TokenRefused::TooMany(wait) => (
                OAuthError::new(OAuthErrorCode::SlowDown, "too many failed attempts"),
                Some(wait),
            ),
            TokenRefused::Store(error) => {
                tracing::error!(%error, "no token can be issued");
                let code = OAuthErrorCode::TemporarilyUnavailable;
                (OAuthError::new(code, "the store cannot be reached"), None)
            }
            other => {
                tracing::error!(error = %other, "no token can be issued");
                let code = OAuthErrorCode::ServerError;
                (OAuthError::new(code, "no token can be issued"), None)
            }
        };
        let status =
            StatusCode::from_u16(error.error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Uncached(error)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6749 §5.2: the scheme by which the client may authenticate.
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"doorward\", charset=\"UTF-8\""),
            );
        }
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        response
    }
}
