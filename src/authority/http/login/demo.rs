//! `/demo-provider`: the demo's own pages and endpoints. Routes of it exist only where it runs.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::http::context::RequestId;
use crate::authority::http::pages::form::{Fields, Holder, check_csrf, csrf_token};
use crate::authority::http::pages::{DemoPage, ErrorKind, respond};
use crate::authority::login::demo::{DemoRequest, PATH, PEOPLE};
use crate::authority::proxies::ClientAddress;

use super::pages::{Visit, see_other};

/// What a request is sealed for while its page is shown.
const PURPOSE: &str = "demo-request";

pub(super) fn routes() -> Router<Arc<Authority>> {
    let at = |path: &str| format!("{PATH}{path}");
    Router::new()
        .route(&at("/.well-known/openid-configuration"), get(metadata))
        .route(&at("/jwks"), get(keys))
        .route(&at("/authorize"), get(authorize))
        .route(CHOOSE, post(choose))
        .route(&at("/token"), post(token))
}

const CHOOSE: &str = "/demo-provider/choose";

async fn metadata(State(authority): State<Arc<Authority>>) -> Response {
    match &authority.demo {
        Some(demo) => Json(demo.metadata(&authority)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn keys(State(authority): State<Arc<Authority>>) -> Response {
    match &authority.demo {
        Some(demo) => Json(demo.keys()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /demo-provider/authorize`: the page.
async fn authorize(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    from: ClientAddress,
    id: Option<Extension<RequestId>>,
    RawQuery(query): RawQuery,
) -> Response {
    let visit = Visit {
        authority: &authority,
        headers: &headers,
        request_id: id.map(|Extension(id)| id),
        from,
    };
    let (Some(demo), Some(fields)) = (
        &authority.demo,
        Fields::parse(query.unwrap_or_default().as_bytes()),
    ) else {
        return visit.failure(ErrorKind::BadRequest, None);
    };
    let request = match demo.read_request(&authority, |name| fields.find(name)) {
        Ok(request) => request,
        Err(error) => return visit.failure(ErrorKind::BadRequest, Some(&error.to_string())),
    };
    let until = authority
        .clock
        .now()
        .plus(authority.config.lifetimes.interaction);
    let Ok(request) = authority.keys.sealer().seal(PURPOSE, &request, until) else {
        return visit.failure(ErrorKind::Internal, None);
    };
    let page = DemoPage {
        people: &PEOPLE,
        action: CHOOSE,
        csrf: csrf_token(&authority, Holder::Transaction(&request)),
        request,
    };
    respond(page.render(visit.locale(), &authority.config.brand))
}

/// `POST /demo-provider/choose`: back with a code, or with a refusal when nobody was chosen.
async fn choose(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    from: ClientAddress,
    id: Option<Extension<RequestId>>,
    fields: Fields,
) -> Response {
    let visit = Visit {
        authority: &authority,
        headers: &headers,
        request_id: id.map(|Extension(id)| id),
        from,
    };
    let Some(demo) = &authority.demo else {
        return visit.failure(ErrorKind::NotFound, None);
    };
    let sealed = fields.get("request");
    let holder = Holder::Transaction(sealed);
    if check_csrf(&authority, &headers, holder, fields.get("csrf")).is_err() {
        return visit.failure(ErrorKind::FormExpired, None);
    }
    let opened =
        authority
            .keys
            .sealer()
            .open::<DemoRequest>(PURPOSE, sealed, authority.clock.now());
    let Ok(request) = opened else {
        return visit.failure(ErrorKind::Expired, None);
    };
    let Some(subject) = fields.find("subject") else {
        return see_other(&demo.refuse(&authority, &request), []);
    };
    match demo.choose(&authority, &request, subject) {
        Ok(Some(location)) => see_other(&location, []),
        Ok(None) => visit.failure(ErrorKind::BadRequest, Some("nobody has this name here")),
        Err(error) => {
            tracing::error!(%error, "the demo provider cannot seal a code");
            visit.failure(ErrorKind::Internal, None)
        }
    }
}

/// `POST /demo-provider/token`
async fn token(State(authority): State<Arc<Authority>>, fields: Fields) -> Response {
    let Some(demo) = &authority.demo else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let no_store = [(CACHE_CONTROL, "no-store")];
    match demo.redeem(&authority, |name| fields.find(name)) {
        Ok(answer) => (no_store, Json(answer)).into_response(),
        Err(error) => (
            StatusCode::BAD_REQUEST,
            no_store,
            Json(json!({ "error": error })),
        )
            .into_response(),
    }
}
