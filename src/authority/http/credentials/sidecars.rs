//! `/v1/sidecars`: enrolment and revocation.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::authority::app::Authority;
use crate::authority::credentials::Doer;
use crate::authority::credentials::sidecars::{self, SidecarsError};
use crate::authority::http::answer::{Answer, Show};
use crate::authority::http::context::RequestContext;
use crate::authority::http::error::HttpError;
use crate::authority::http::json::{Json, Path, Query, parse_text};
use crate::authority::http::load::AdmittedCall;
use crate::authority::http::organizations::page_of;
use crate::authority::organizations::listing::cut;
use crate::domain::{PlainToken, SidecarId};
use crate::protocol::credentials::{
    CreateJoinToken, Enroll, Enrolled, JoinToken, JoinTokenView, SidecarView,
};
use crate::protocol::organizations::{Gone, Page, PageQuery};
use crate::protocol::problem::{Mistake, Problem};
use crate::store::sidecars::Sidecar;

use super::uncached::Uncached;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/sidecars", get(list))
        .route("/v1/sidecars/join-tokens", post(invite))
        .route("/v1/sidecars/enroll", post(enroll))
        .route("/v1/sidecars/{sidecar}", get(show).delete(revoke))
}

/// `POST /v1/sidecars/join-tokens`
async fn invite(
    cx: RequestContext,
    Json(body): Json<CreateJoinToken>,
) -> Result<Response, HttpError> {
    let invitation = sidecars::invite(&cx.authority, &Doer::Actor(cx.actor), body.name).await?;
    let view = JoinTokenView {
        join_token: invitation.token.to_string(),
        authority: cx.authority.config.issuer.to_string(),
        expires_at: invitation.expires_at,
    };
    Ok((StatusCode::CREATED, Uncached(view)).into_response())
}

/// `POST /v1/sidecars/enroll`: the join token is the credential.
async fn enroll(
    State(authority): State<Arc<Authority>>,
    AdmittedCall(from): AdmittedCall,
    Json(body): Json<Enroll>,
) -> Result<Response, HttpError> {
    let token = match body.join_token.parse::<JoinToken>() {
        Ok(whole) => whole.token,
        Err(_) => PlainToken::presented(body.join_token),
    };
    let enrolled = sidecars::enroll(&authority, token, body.name, from).await?;
    let view = Enrolled {
        sidecar_id: enrolled.sidecar.id,
        client_id: enrolled.sidecar.identifier,
        client_secret: enrolled.secret.expose().to_owned(),
        issuer: authority.config.issuer.to_string(),
        feed_key: authority.keys.feed().public().to_string(),
    };
    Ok((StatusCode::CREATED, Uncached(view)).into_response())
}

/// `GET /v1/sidecars`
async fn list(
    cx: RequestContext,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<SidecarView>>, HttpError> {
    let (after, limit) = page_of(&query, SidecarId::from_u128(0))?;
    let doer = Doer::Actor(cx.actor);
    let mut found = sidecars::page(&cx.authority, &doer, after, i64::from(limit) + 1).await?;
    let next = cut(&mut found, limit, |sidecar| sidecar.id.to_string());
    let items = found.into_iter().map(view).collect();
    Ok(Show(Page { items, next }))
}

/// `GET /v1/sidecars/{sidecar}`
async fn show(
    cx: RequestContext,
    Path(sidecar): Path<String>,
) -> Result<Show<SidecarView>, HttpError> {
    let id: SidecarId = parse_text(&sidecar)?;
    let found = sidecars::load(&cx.authority, &Doer::Actor(cx.actor), id).await?;
    Ok(Show(view(found)))
}

/// `DELETE /v1/sidecars/{sidecar}`: revokes it.
async fn revoke(
    cx: RequestContext,
    Path(sidecar): Path<String>,
) -> Result<Answer<Gone>, HttpError> {
    let id: SidecarId = parse_text(&sidecar)?;
    let written = sidecars::revoke(&cx.authority, &Doer::Actor(cx.actor), id).await?;
    Ok(Answer::ok(Gone {}, written.position))
}

fn view(sidecar: Sidecar) -> SidecarView {
    SidecarView {
        id: sidecar.id,
        client_id: sidecar.identifier,
        name: sidecar.name,
        created_at: sidecar.created_at,
        revoked_at: sidecar.revoked_at,
    }
}

impl From<SidecarsError> for HttpError {
    fn from(error: SidecarsError) -> Self {
        let detail = error.to_string();
        match error {
            SidecarsError::Denied(denied) => denied.into(),
            SidecarsError::Store(error) => error.into(),
            SidecarsError::Unknown(_) => Problem::not_found(detail).into(),
            SidecarsError::Name => Problem::invalid(vec![Mistake::new("/name", detail)]).into(),
            SidecarsError::JoinToken => Self::unauthenticated(true),
            SidecarsError::TooMany(wait) => Self::from(Problem::new(
                429,
                "too-many-failures",
                "too many failed attempts",
            ))
            .with_header(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1)),
        }
    }
}
