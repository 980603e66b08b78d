//! What can go wrong with a key.

/// Key material that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no private key of the wanted kind.
    #[error("not a private key of the wanted kind")]
    Private,
    /// The text or bytes are no public key of the wanted kind.
    #[error("not a public key of the wanted kind")]
    Public,
    /// The library refused to make or use a key.
    #[error("the cryptographic library failed")]
    Failed,
}
