//! Requests of clients, unless their address asks too much.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::authority::app::Authority;
use crate::authority::http::address;
use crate::authority::oauth::Refused;
use crate::authority::proxies::ClientAddress;

use super::refused::RefusedAnswer;

/// A client's request that is not one too many; whoever asks too much is told in OAuth's words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admitted(pub(super) ClientAddress);

impl FromRequestParts<Arc<Authority>> for Admitted {
    type Rejection = RefusedAnswer;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, RefusedAnswer> {
        let from = address::of_parts(parts, authority);
        match authority.load.admit(from) {
            Ok(()) => Ok(Self(from)),
            Err(wait) => Err(Refused::TooMany(wait).into()),
        }
    }
}
