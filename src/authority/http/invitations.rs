//! `/v1/organizations/{organization}/invitations`

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use http::StatusCode;
use http::header::CACHE_CONTROL;

use crate::authority::app::Authority;
use crate::authority::invitations::{
    self, DEFAULT_LIFETIME, InvitationError, LONGEST_LIFETIME, NewInvitation, SHORTEST_LIFETIME,
};
use crate::authority::organizations::listing::cut;
use crate::crypto::digest::token_digest;
use crate::domain::{InvitationId, RoleKey};
use crate::protocol::invitations::{CreateInvitation, CreatedInvitation, InvitationView};
use crate::protocol::organizations::{Gone, Page, PageQuery};
use crate::protocol::problem::{Mistake, Problem};
use crate::store::invitations::Invitation;

use super::answer::{Answer, Show};
use super::context::RequestContext;
use super::error::HttpError;
use super::json::{Json, Path, Query, parse_text};
use super::organizations::{in_body, page_of};

pub(super) fn routes() -> Router<Arc<Authority>> {
    const INVITATIONS: &str = "/v1/organizations/{organization}/invitations";
    const INVITATION: &str = "/v1/organizations/{organization}/invitations/{invitation}";
    Router::new()
        .route(INVITATIONS, get(list).post(create))
        .route(INVITATION, delete(revoke))
}

/// `POST /v1/organizations/{organization}/invitations`: the link is in the answer, this once.
async fn create(
    cx: RequestContext,
    Path(organization): Path<String>,
    Json(body): Json<CreateInvitation>,
) -> Result<Response, HttpError> {
    let lifetime = lifetime(body.expires_in_seconds)?;
    let token = invitations::mint_token(&cx.authority);
    let new = NewInvitation {
        id: cx.mint(InvitationId::mint),
        digest: token_digest(&token),
        organization: cx.organization(&organization).await?.id,
        role: body.role,
        email: body.email,
        expires_at: cx.now.plus(lifetime),
    };
    let change = cx.change();
    let written = cx
        .write(move |tx| invitations::create(tx, &change, &new))
        .await?;
    let (invitation, role) = written.value;
    let created = CreatedInvitation {
        invitation: view(invitation, role.key),
        link: invitations::link(&cx.authority, &token),
    };
    // The link is a credential: nobody on the way keeps it.
    let headers = [(CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, headers, axum::Json(created)).into_response())
}

fn lifetime(seconds: Option<u32>) -> Result<Duration, HttpError> {
    let lifetime = seconds.map_or(DEFAULT_LIFETIME, |seconds| {
        Duration::from_secs(u64::from(seconds))
    });
    if (SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&lifetime) {
        return Ok(lifetime);
    }
    let detail = format!(
        "{} to {} seconds are wanted",
        SHORTEST_LIFETIME.as_secs(),
        LONGEST_LIFETIME.as_secs()
    );
    Err(Problem::invalid(vec![Mistake::new("/expires_in_seconds", detail)]).into())
}

/// `GET /v1/organizations/{organization}/invitations`: the open ones, in the order they were made.
async fn list(
    cx: RequestContext,
    Path(organization): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<InvitationView>>, HttpError> {
    let id = cx.organization(&organization).await?.id;
    let (after, limit) = page_of(&query, InvitationId::from_u128(0))?;
    let now = cx.now;
    let mut found = cx
        .ask(move |access, tx, actor| {
            let page = (after, i64::from(limit) + 1);
            invitations::page(tx, (access, actor), id, page, now)
        })
        .await?;
    let next = cut(&mut found, limit, |(invitation, _)| {
        invitation.id.to_string()
    });
    let items = found
        .into_iter()
        .map(|(invitation, role)| view(invitation, role))
        .collect();
    Ok(Show(Page { items, next }))
}

/// `DELETE /v1/organizations/{organization}/invitations/{invitation}`
async fn revoke(
    cx: RequestContext,
    Path((organization, invitation)): Path<(String, String)>,
) -> Result<Answer<Gone>, HttpError> {
    let invitation: InvitationId = parse_text(&invitation)?;
    let id = cx.organization(&organization).await?.id;
    let change = cx.change();
    let written = cx
        .write(move |tx| invitations::revoke(tx, &change, id, invitation))
        .await?;
    Ok(Answer::ok(Gone {}, written.position))
}

fn view(invitation: Invitation, role: RoleKey) -> InvitationView {
    InvitationView {
        id: invitation.id,
        organization: invitation.organization_id,
        role,
        email: invitation.email,
        invited_by: invitation.invited_by,
        created_at: invitation.created_at,
        expires_at: invitation.expires_at,
    }
}

impl From<InvitationError> for HttpError {
    fn from(error: InvitationError) -> Self {
        let detail = error.to_string();
        match error {
            InvitationError::Organizations(error) => in_body(error),
            InvitationError::Store(error) => error.into(),
            InvitationError::NotOpen => Problem::not_found(detail).into(),
            InvitationError::TooMany => Problem::conflict("too-many-invitations", detail).into(),
            InvitationError::OtherAddress | InvitationError::Withdrawn => {
                Problem::forbidden(detail).into()
            }
        }
    }
}
