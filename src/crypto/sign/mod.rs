//! Signatures: Ed25519 over feed heads, ES256 over access tokens.

mod access_token;
mod error;
mod feed;

pub use access_token::{AccessTokenSigner, AccessTokenVerifier, Expected, LEEWAY, TokenError};
pub use error::KeyError;
pub use feed::{FeedPublicKey, FeedSigner};

#[cfg(test)]
mod tests;
