//! Signatures: Ed25519 over feed heads, ES256 over access tokens, RS256 or ES256 over ID tokens.

mod access_token;
mod dpop;
mod error;
mod feed;
mod foreign;
mod jws;
mod jwt;

pub use access_token::{
    AccessTokenSigner, AccessTokenVerifier, Expected, LEEWAY, TokenError, check_claims,
};
pub use dpop::{Proof, ProofError, Wanted};
pub use error::KeyError;
pub use feed::{FeedPublicKey, FeedSigner};
pub use foreign::ForeignKeys;
pub use jws::{CLIENT_ALGORITHMS, Jws, JwsError, PublicKey};
pub use jwt::{JwtAlgorithm, JwtSigner, JwtVerifier};

#[cfg(test)]
mod tests;
