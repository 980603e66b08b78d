//! The gate: a browser login for apps that have none.
//!
//! A navigation that nobody has signed in for is sent to the reserved path of its own host, which
//! proxies route here: from there to the authority (code, PKCE S256, `state`, `nonce`), and back
//! with a sealed `__Host-` cookie that stands for the access token it was given. The cookie holds
//! what the token said, and no token: nothing in it can be used elsewhere, and nothing renews it but
//! another navigation through the authority. Each request with it is judged as a bearer token is
//! ([`super::tokens`]): by the copy, so that a revocation counts at once.
//!
//! Nothing is stored here. An attempt to sign in lives in a cookie of its own, so that several tabs
//! finish in any order, at any replica that has the same sealing keys.

mod begin;
mod callback;
mod config;
mod cookie;
mod endpoint;
mod exchange;
mod gates;
mod keys;
mod origin;
mod outcome;
mod pages;
mod sign_out;
mod transaction;

pub use config::GateConfig;
pub(super) use config::read;
pub(super) use endpoint::{Context, answer};
pub use gates::GateError;
pub(super) use gates::{Gates, Site, session_cookie};
pub use keys::{KeyChange, KeysError, change_keys};
pub use origin::{Origin, OriginError};
