//! Machine credentials: who calls, and with which tokens.

use crate::authority::app::Authority;
use crate::store::StoreError;

pub mod actor;

pub use actor::Actor;

/// Why a bearer is nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The token is revoked, or no key has signed it.
    #[error("the token was revoked")]
    Revoked,
    /// Whether it still counts cannot be read.
    #[error("the store cannot tell whether the token still counts")]
    Store(#[from] StoreError),
}

/// Checks a bearer token. An authority without signing keys has issued none, so it knows nobody.
#[expect(
    clippy::unused_async,
    reason = "keys and clients are read from the store"
)]
pub async fn authenticate(_authority: &Authority, _bearer: &str) -> Result<Actor, AuthError> {
    Err(AuthError::Revoked)
}
