//! A refusal of OAuth as an answer: RFC 6749 §5.2.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::authority::http::credentials::Uncached;
use crate::authority::oauth::Refused;
use crate::protocol::oauth::dpop::DPOP_NONCE;
use crate::protocol::oauth::{OAuthError, OAuthErrorCode};

/// Seconds after which some of what waits is over.
const FULL_WAIT: u64 = 60;

/// A refusal about to be answered.
pub(super) struct RefusedAnswer(Refused);

impl<E: Into<Refused>> From<E> for RefusedAnswer {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for RefusedAnswer {
    fn into_response(self) -> Response {
        let mut nonce = None;
        let mut wait = None;
        let error = match self.0 {
            Refused::OAuth(error) => error,
            Refused::Nonce(text) => {
                nonce = HeaderValue::from_str(&text).ok();
                OAuthError::new(
                    OAuthErrorCode::UseDpopNonce,
                    "the proof must hold the nonce that comes with this answer",
                )
            }
            Refused::TooMany(until) => {
                wait = Some(until.as_secs() + 1);
                OAuthError::new(OAuthErrorCode::SlowDown, "too many failed attempts")
            }
            Refused::Full(code) => {
                wait = Some(FULL_WAIT);
                OAuthError::new(code, "too many requests of the client wait")
            }
            Refused::Store(error) => {
                tracing::error!(%error, "a request of OAuth fails");
                let code = OAuthErrorCode::TemporarilyUnavailable;
                OAuthError::new(code, "the store cannot be reached")
            }
            Refused::Document(error) => {
                tracing::debug!(%error, "a client's document cannot be had");
                let code = OAuthErrorCode::TemporarilyUnavailable;
                OAuthError::new(code, "the document at `client_id` cannot be had now")
            }
            Refused::Key(error) => {
                tracing::error!(%error, "no token can be signed");
                OAuthError::new(OAuthErrorCode::ServerError, "no token can be issued")
            }
        };
        let status = match wait {
            Some(_) => StatusCode::TOO_MANY_REQUESTS,
            None => StatusCode::from_u16(error.error.status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
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
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if let Some(nonce) = nonce {
            headers.insert(DPOP_NONCE, nonce);
        }
        response
    }
}
