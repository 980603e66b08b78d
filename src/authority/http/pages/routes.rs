//! The routes of pages that belong to nobody else: the stylesheet, and what is not there.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, Method, Uri};

use crate::authority::app::Authority;
use crate::authority::http::HttpError;
use crate::authority::http::context::RequestId;
use crate::protocol::problem::Problem;

use super::{ErrorKind, ErrorPage, Locale, respond};

pub(in crate::authority::http) fn routes() -> Router<Arc<Authority>> {
    Router::new().route("/assets/{name}", get(asset))
}

/// `GET /assets/{hash}.css`: the name changes with the content, so that it may be kept for ever.
async fn asset(
    State(authority): State<Arc<Authority>>,
    Path(name): Path<String>,
) -> Result<Response, HttpError> {
    let brand = &authority.config.brand;
    let known = brand.stylesheet_path().strip_prefix("/assets/");
    if known != Some(name.as_str()) {
        return Err(Problem::not_found("no asset has this name").into());
    }
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, brand.stylesheet().to_owned()).into_response())
}

/// What no route has: a page for people, a problem for programs.
pub(in crate::authority::http) async fn not_found(
    State(authority): State<Arc<Authority>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    id: Option<axum::Extension<RequestId>>,
) -> Response {
    let of_the_api = uri.path().starts_with("/v1/") || uri.path().starts_with("/.well-known/");
    if method != Method::GET || of_the_api || !wants_html(&headers) {
        return HttpError::from(Problem::not_found("no route has this path")).into_response();
    }
    let id = id.map(|axum::Extension(id)| id.as_str().to_owned());
    let page = ErrorPage::new(ErrorKind::NotFound, id.unwrap_or_default());
    respond(page.render(Locale::of(&headers), &authority.config.brand))
}

/// Whether a browser asks for a page.
pub(in crate::authority::http) fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| {
            accept
                .split(',')
                .any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/html")
        })
}
