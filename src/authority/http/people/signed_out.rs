//! Where a logout ends.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;

use crate::authority::app::Authority;
use crate::authority::http::pages::SignedOutPage;

use super::visitor::Visitor;

/// The page's path.
pub(super) const PATH: &str = "/signed-out";

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new().route(PATH, get(show))
}

/// `GET /signed-out`
async fn show(visitor: Visitor) -> Response {
    let page = SignedOutPage {
        client_name: None,
        sign_in: Some(super::account::PATH.to_owned()),
    };
    visitor.show(page.render(visitor.locale, &visitor.authority.config.brand))
}
