//! Wire forms of OAuth 2.1: what clients send to the authority's endpoints and what they get.

pub mod authorize;
pub mod redirect;
mod token;

pub use token::{
    FORM, Grant, Metadata, OAuthError, OAuthErrorCode, PresentedCredentials, TokenRequest,
    TokenResponse, parse_token_request,
};
