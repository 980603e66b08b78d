//! What can go wrong at a provider.

use crate::authority::outbound::OutboundError;
use crate::crypto::sign::{KeyError, TokenError};
use crate::protocol::oidc::upstream::{IdTokenError, MetadataError};

/// Why a provider's word is not there or not believed. For the log; people see that their provider
/// failed, and no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No usable answer.
    #[error("the provider {0}")]
    Outbound(#[from] OutboundError),
    /// Its discovery document.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// Its keys.
    #[error("the provider's keys cannot be used: {0}")]
    Keys(#[from] KeyError),
    /// A token's signature.
    #[error("the provider's token is refused: {0}")]
    Token(#[from] TokenError),
    /// An ID token's claims.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// Its token endpoint refused.
    #[error("the provider's token endpoint refused: {0}")]
    Refused(String),
    /// An answer that is not what the protocol says.
    #[error("the provider's answer is not understood: {0}")]
    Answer(&'static str),
}

impl UpstreamError {
    /// Whether the user, not the provider, has something to do again.
    pub const fn is_not_fresh(&self) -> bool {
        matches!(self, Self::IdToken(IdTokenError::NotFresh))
    }
}

/// An error code of a provider, fit for the log: the characters that RFC 6749 §4.1.2.1 allows.
pub(super) fn printable(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .take(64)
        .collect()
}
