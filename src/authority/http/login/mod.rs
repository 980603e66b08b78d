//! `/login`: choosing a provider, going there, coming back; what providers and clients ask beside.

mod backchannel;
mod callback;
mod demo;
mod pages;
mod provider_tokens;
mod sign_in;

#[cfg(feature = "openapi")]
pub(crate) use provider_tokens::ProviderTokenView;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::authority::app::Authority;

pub(super) fn routes(authority: &Authority) -> Router<Arc<Authority>> {
    let routes = Router::new()
        .route("/login", get(sign_in::show))
        .route("/login/{provider}", post(sign_in::start))
        .route("/login/callback/{provider}", get(callback::follow))
        .route("/login/backchannel/{provider}", post(backchannel::follow))
        .route(
            "/v1/users/{user}/provider-tokens/{provider}",
            get(provider_tokens::show),
        );
    // Elsewhere these paths do not exist.
    if authority.demo.is_some() {
        routes.merge(demo::routes())
    } else {
        routes
    }
}
