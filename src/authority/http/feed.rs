//! The change feed: streams, snapshots and reports of sidecars; who follows.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::BASE64URL_NOPAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Response};
use serde::Deserialize;

use crate::authority::app::Authority;
use crate::authority::credentials::Actor;
use crate::domain::{FeedName, Timestamp};
use crate::protocol::problem::Problem;
use crate::replication::endpoint;
use crate::replication::fleet::Follower;
use crate::replication::stream::{FeedBody, Guard};

use super::{HttpError, RequestContext};

/// What a sidecar must be allowed.
const READ: &str = "auth:feed:read";

/// The routes of this file.
pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/feeds/{feed}/changes", get(changes))
        .route("/v1/feeds/{feed}/snapshot", get(snapshot))
        .route("/v1/feeds/{feed}/acks", post(acknowledge))
        .route("/v1/feeds/{feed}/followers", get(followers))
}

/// `GET /v1/feeds/{feed}/changes?epoch&revision&chain&schema`
async fn changes(
    cx: RequestContext,
    Path(feed): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, HttpError> {
    known(&feed)?;
    cx.authorize_installation(READ).await?;
    let guard = Guard {
        expires_at: expiry(&headers),
        allowed: {
            let cx = cx.clone();
            Box::new(move || {
                let cx = cx.clone();
                Box::pin(async move { still_allowed(&cx).await })
            })
        },
    };
    let (supplier, query) = (&cx.authority.feed, query.unwrap_or_default());
    let response = endpoint::changes(supplier, name(&cx.actor), &query, guard).await;
    Ok(answer(response))
}

/// `GET /v1/feeds/{feed}/snapshot`
async fn snapshot(
    cx: RequestContext,
    Path(feed): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, HttpError> {
    known(&feed)?;
    cx.authorize_installation(READ).await?;
    let query = query.unwrap_or_default();
    let supplier = &cx.authority.feed;
    Ok(answer(endpoint::snapshot(supplier, &query, &headers).await))
}

/// `POST /v1/feeds/{feed}/acks`
async fn acknowledge(
    cx: RequestContext,
    Path(feed): Path<String>,
    body: Bytes,
) -> Result<Response<Body>, HttpError> {
    known(&feed)?;
    cx.authorize_installation(READ).await?;
    let supplier = &cx.authority.feed;
    Ok(answer(endpoint::acknowledge(
        supplier,
        name(&cx.actor),
        &body,
    )))
}

/// `GET /v1/feeds/{feed}/followers`: who follows this instance, and how far they are.
async fn followers(
    cx: RequestContext,
    Path(feed): Path<String>,
) -> Result<Json<Vec<Follower>>, HttpError> {
    known(&feed)?;
    cx.authorize_installation("auth:sidecar:read").await?;
    Ok(Json(cx.authority.feed.fleet().all()))
}

fn known(feed: &str) -> Result<(), HttpError> {
    if feed == FeedName::Authz.as_str() {
        Ok(())
    } else {
        Err(Problem::not_found("there is no such feed").into())
    }
}

fn name(actor: &Actor) -> &str {
    match actor {
        Actor::User { client, .. } => client.as_str(),
        Actor::Client { identifier, .. } => identifier.as_str(),
    }
}

/// Asked at every heartbeat, and before a change of clients is sent. A store that does not answer
/// revokes nobody: without it there is nothing new to send either.
async fn still_allowed(cx: &RequestContext) -> bool {
    match cx.authorize_installation(READ).await {
        Ok(_) => true,
        Err(error) => error.problem().status >= 500,
    }
}

/// When the bearer's token ends. The extractor has verified it: this only reads it again.
fn expiry(headers: &HeaderMap) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let token = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let payload = BASE64URL_NOPAD
        .decode(token.split('.').nth(1)?.as_bytes())
        .ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Some(Timestamp::from_unix_seconds(claims.exp))
}

fn answer(response: Response<FeedBody>) -> Response<Body> {
    response.map(Body::new)
}
