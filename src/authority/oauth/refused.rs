//! Why an endpoint of OAuth refuses.

use std::time::Duration;

use crate::authority::apps::documents::DocumentError;
use crate::crypto::sign::KeyError;
use crate::protocol::oauth::{OAuthError, OAuthErrorCode};
use crate::store::StoreError;

/// A refusal of an endpoint that clients call.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What the client is told.
    #[error(transparent)]
    OAuth(#[from] OAuthError),
    /// The proof of possession holds no nonce of now: with this one it will do.
    #[error("the proof holds no nonce of now")]
    Nonce(String),
    /// Too many wrong proofs for this name: later.
    #[error("too many failed attempts")]
    TooMany(Duration),
    /// As much of the client's waits as may, says the code: later.
    #[error("too many requests of the client wait")]
    Full(OAuthErrorCode),
    /// What the client proves itself by stands in a document that cannot be had now: later.
    #[error("the document of the client cannot be had now")]
    Document(#[source] DocumentError),
    /// A token cannot be signed.
    #[error("the token cannot be signed")]
    Key(#[from] KeyError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}
