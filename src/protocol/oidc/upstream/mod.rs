//! What upstream identity providers say, and whether it may be believed. Signatures and fetching
//! are for others; everything here is pure.

mod claims;
mod exchange;
mod logout;
mod metadata;

pub use claims::{ExpectedIdToken, IdTokenClaims, IdTokenError, Profile, SKEW};
pub use exchange::{
    AuthorizationRequest, Callback, CallbackError, Outcome, TokenAnswer, TokenFailure,
};
pub use logout::{LogoutTokenClaims, LogoutTokenError};
pub use metadata::{MetadataError, ProviderMetadata};
