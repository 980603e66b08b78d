//! Wire forms of OAuth 2.1: what clients send to the authority's endpoints and what they get.

pub mod authorize;
mod client_auth;
pub mod device;
pub mod dpop;
mod form;
mod introspection;
pub mod redirect;
mod token;

pub use client_auth::{AssertionClaims, JWT_BEARER, PresentedClient, Proof};
pub use form::{FORM, Form};
pub use introspection::{Introspection, TokenQuery, parse_token_query};
pub use token::{
    DEVICE_CODE, OAuthError, OAuthErrorCode, TokenGrant, TokenRequest, TokenResponse,
    parse_token_request,
};
