//! Machine credentials: who calls, and with which tokens.
//!
//! A client proves itself with a secret and gets an access token ([`tokens`]); a request shows the
//! token and becomes an [`Actor`] ([`mod@authenticate`]). [`clients`] and [`sidecars`] make and end
//! those who may ask.

pub mod actor;
pub mod authenticate;
pub mod clients;
pub mod doer;
pub mod limiter;
pub mod registration_tokens;
pub mod sidecars;
pub mod tokens;

pub use actor::Actor;
pub use authenticate::{AuthError, Shown, authenticate, authenticate_shown};
pub use doer::Doer;
