//! Where a request came from, for handlers that take it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::runtime::serve::Peer;

impl FromRequestParts<Arc<Authority>> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        authority: &Arc<Authority>,
    ) -> Result<Self, Infallible> {
        Ok(of_parts(parts, authority))
    }
}

/// Where the request of these parts came from.
pub(super) fn of_parts(parts: &Parts, authority: &Authority) -> ClientAddress {
    let peer = parts.extensions.get::<Peer>().copied();
    authority.config.proxies.client(peer, &parts.headers)
}
