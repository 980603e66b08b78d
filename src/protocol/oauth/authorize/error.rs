//! Refusals that travel in a redirect.

use serde::{Deserialize, Serialize};

/// What a client is told in a redirect: RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, RFC 8707.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizeErrorCode {
    /// The request is malformed.
    InvalidRequest,
    /// The client may not ask in this way.
    UnauthorizedClient,
    /// The user, or a rule, said no.
    AccessDenied,
    /// Only `code` is answered.
    UnsupportedResponseType,
    /// None of the scopes is the client's.
    InvalidScope,
    /// No tokens for that resource.
    InvalidTarget,
    /// Our fault.
    ServerError,
    /// Later.
    TemporarilyUnavailable,
    /// Somebody would have to log in.
    LoginRequired,
    /// Somebody would have to consent.
    ConsentRequired,
    /// Request objects are not read.
    RequestNotSupported,
    /// Only pushed requests are read.
    RequestUriNotSupported,
    /// Clients do not register themselves in a request.
    RegistrationNotSupported,
}

impl AuthorizeErrorCode {
    /// The code as it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
        }
    }
}

/// Why a request is not granted, for the developer of the client. Never repeats what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct AuthorizeError {
    /// The code.
    pub code: AuthorizeErrorCode,
    /// In words, of the characters that RFC 6749 §4.1.2.1 allows.
    pub description: &'static str,
}

impl AuthorizeError {
    /// An error with its description.
    pub const fn new(code: AuthorizeErrorCode, description: &'static str) -> Self {
        Self { code, description }
    }

    pub(super) const fn invalid(description: &'static str) -> Self {
        Self::new(AuthorizeErrorCode::InvalidRequest, description)
    }
}
