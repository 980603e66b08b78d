//! Wire form of an authorization request: RFC 6749 §4.1.1 with PKCE (RFC 7636), resource indicators
//! (RFC 8707), `DPoP`'s `dpop_jkt` (RFC 9449 §10) and OpenID Connect Core §3.1.2.1.
//!
//! What can be judged without knowing the client is judged here; what a client may have is
//! `authority::oauth`'s to say.

mod error;
mod parameters;
mod request;
#[cfg(test)]
mod tests;

pub use error::{AuthorizeError, AuthorizeErrorCode};
pub use parameters::{Parameters, Repeated, TooLarge};
pub use request::{
    AuthorizationRequest, PUSHED_PREFIX, Prompt, ResponseMode, echoed_state, response_mode,
};
