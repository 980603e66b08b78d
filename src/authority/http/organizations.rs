//! `/v1/organizations`: organizations, their members and the members' roles.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, put};

use crate::authority::app::Authority;
use crate::authority::organizations::founding::{self, NewOrganization};
use crate::authority::organizations::membership::{self, NewMember, Outcome};
use crate::authority::organizations::{OrganizationsError, listing, roles};
use crate::domain::{MemberId, OrganizationId, RoleKey, UserId};
use crate::protocol::organizations::{
    AddMember, CreateOrganization, DEFAULT_PAGE, Gone, MAX_PAGE, MemberView, OrganizationView,
    Page, PageQuery, PutMember, UpdateOrganization,
};
use crate::protocol::problem::{Mistake, Problem};
use crate::store::{StoreError, Written};

use super::answer::{Answer, Show};
use super::context::RequestContext;
use super::error::HttpError;
use super::json::{Json, Path, Query, parse_text};

pub(super) fn routes() -> Router<Arc<Authority>> {
    const ORGANIZATION: &str = "/v1/organizations/{organization}";
    const MEMBERS: &str = "/v1/organizations/{organization}/members";
    const MEMBER: &str = "/v1/organizations/{organization}/members/{user}";
    const ROLE: &str = "/v1/organizations/{organization}/members/{user}/roles/{service}/{role}";
    Router::new()
        .route("/v1/organizations", get(list).post(create))
        .route(ORGANIZATION, get(show).patch(update).delete(delete))
        .route(MEMBERS, get(list_members).post(add_member))
        .route(
            MEMBER,
            get(show_member).put(put_member).delete(remove_member),
        )
        .route(ROLE, put(give_role).delete(take_role))
}

/// `GET /v1/organizations`: those the caller sees, in order of id.
async fn list(
    cx: RequestContext,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<OrganizationView>>, HttpError> {
    let page = page_of(&query, OrganizationId::from_u128(0))?;
    cx.ask(move |access, tx, actor| listing::page(tx, access, actor, page))
        .await
        .map(Show)
}

/// `POST /v1/organizations`
async fn create(
    cx: RequestContext,
    Json(body): Json<CreateOrganization>,
) -> Result<Answer<OrganizationView>, HttpError> {
    let new = NewOrganization {
        id: cx.mint(OrganizationId::mint),
        member_id: cx.mint(MemberId::mint),
        name: body.name,
        slug: body.slug,
        owner: body.owner,
    };
    let change = cx.change();
    let written = cx
        .write(move |tx| founding::found(tx, &change, &new).map_err(of_owner))
        .await?;
    let view = OrganizationView::from(written.value);
    let path = format!("/v1/organizations/{}", view.id);
    Ok(Answer::created(view, written.position, path))
}

/// `GET /v1/organizations/{organization}`
async fn show(
    cx: RequestContext,
    Path(organization): Path<String>,
) -> Result<Show<OrganizationView>, HttpError> {
    let found = cx.organization(&organization).await?;
    Ok(Show(found.into()))
}

/// `PATCH /v1/organizations/{organization}`
async fn update(
    cx: RequestContext,
    Path(organization): Path<String>,
    Json(body): Json<UpdateOrganization>,
) -> Result<Answer<OrganizationView>, HttpError> {
    let id = cx.organization(&organization).await?.id;
    cx.authorize("auth:organization:rename", id).await?;
    let change = cx.change();
    let written = cx
        .write(move |tx| {
            let wanted = (body.name.as_ref(), body.slug.as_ref());
            founding::rename(tx, &change, id, wanted).map_err(in_body)
        })
        .await?;
    Ok(Answer::ok(written.value.into(), written.position))
}

/// `DELETE /v1/organizations/{organization}`
async fn delete(
    cx: RequestContext,
    Path(organization): Path<String>,
) -> Result<Answer<Gone>, HttpError> {
    let id = cx.organization(&organization).await?.id;
    cx.authorize("auth:organization:delete", id).await?;
    let change = cx.change();
    let written = cx
        .write(move |tx| founding::delete(tx, &change, id).map_err(in_path))
        .await?;
    Ok(Answer::ok(Gone {}, written.position))
}

/// `GET /v1/organizations/{organization}/members`: in order of joining.
async fn list_members(
    cx: RequestContext,
    Path(organization): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<MemberView>>, HttpError> {
    let id = cx.organization(&organization).await?.id;
    let page = page_of(&query, MemberId::from_u128(0))?;
    cx.ask(move |access, tx, actor| listing::members_page(tx, access, actor, id, page))
        .await
        .map(Show)
}

/// `POST /v1/organizations/{organization}/members`
async fn add_member(
    cx: RequestContext,
    Path(organization): Path<String>,
    Json(body): Json<AddMember>,
) -> Result<Answer<MemberView>, HttpError> {
    let new = NewMember {
        id: cx.mint(MemberId::mint),
        organization: cx.organization(&organization).await?.id,
        user: body.user,
        role: body.role,
    };
    let change = cx.change();
    let written = cx
        .write(move |tx| {
            let (member, outcome) = membership::add(tx, &change, &new).map_err(in_body)?;
            Ok::<_, HttpError>((listing::view(tx, &member)?, outcome))
        })
        .await?;
    Ok(member_answer(written))
}

/// `GET /v1/organizations/{organization}/members/{user}`
async fn show_member(
    cx: RequestContext,
    Path((organization, user)): Path<(String, String)>,
) -> Result<Show<MemberView>, HttpError> {
    let place = place(&cx, &organization, &user).await?;
    cx.ask(move |access, tx, actor| listing::member(tx, access, actor, place).map_err(in_path))
        .await
        .map(Show)
}

/// `PUT /v1/organizations/{organization}/members/{user}`
async fn put_member(
    cx: RequestContext,
    Path((organization, user)): Path<(String, String)>,
    Json(body): Json<PutMember>,
) -> Result<Answer<MemberView>, HttpError> {
    let (organization, user) = place(&cx, &organization, &user).await?;
    if body.user.is_some_and(|named| named != user) {
        return Err(
            Problem::malformed("path and body name different users: send one of them").into(),
        );
    }
    let new = NewMember {
        id: cx.mint(MemberId::mint),
        organization,
        user,
        role: body.role,
    };
    let change = cx.change();
    let written = cx
        .write(move |tx| {
            let (member, outcome) = membership::put(tx, &change, &new).map_err(in_body)?;
            Ok::<_, HttpError>((listing::view(tx, &member)?, outcome))
        })
        .await?;
    Ok(member_answer(written))
}

/// `DELETE /v1/organizations/{organization}/members/{user}`
async fn remove_member(
    cx: RequestContext,
    Path((organization, user)): Path<(String, String)>,
) -> Result<Answer<Gone>, HttpError> {
    let place = place(&cx, &organization, &user).await?;
    let change = cx.change();
    let written = cx
        .write(move |tx| membership::remove(tx, &change, place).map_err(in_path))
        .await?;
    Ok(Answer::ok(Gone {}, written.position))
}

/// `PUT /v1/organizations/{organization}/members/{user}/roles/{service}/{role}`
async fn give_role(
    cx: RequestContext,
    Path(path): Path<(String, String, String, String)>,
) -> Result<Answer<MemberView>, HttpError> {
    let (place, role) = role_place(&cx, &path).await?;
    let change = cx.change();
    let written = cx
        .write(move |tx| {
            let (member, _) = roles::give(tx, &change, place, &role).map_err(in_path)?;
            Ok::<_, HttpError>(listing::view(tx, &member)?)
        })
        .await?;
    Ok(Answer::ok(written.value, written.position))
}

/// `DELETE /v1/organizations/{organization}/members/{user}/roles/{service}/{role}`
async fn take_role(
    cx: RequestContext,
    Path(path): Path<(String, String, String, String)>,
) -> Result<Answer<MemberView>, HttpError> {
    let (place, role) = role_place(&cx, &path).await?;
    let change = cx.change();
    let written = cx
        .write(move |tx| {
            let (member, _) = roles::take(tx, &change, place, &role).map_err(in_path)?;
            Ok::<_, HttpError>(listing::view(tx, &member)?)
        })
        .await?;
    Ok(Answer::ok(written.value, written.position))
}

fn member_answer(written: Written<(MemberView, Outcome)>) -> Answer<MemberView> {
    let (view, outcome) = written.value;
    if outcome == Outcome::Created {
        let path = format!(
            "/v1/organizations/{}/members/{}",
            view.organization, view.user
        );
        Answer::created(view, written.position, path)
    } else {
        Answer::ok(view, written.position)
    }
}

async fn place(
    cx: &RequestContext,
    organization: &str,
    user: &str,
) -> Result<(OrganizationId, UserId), HttpError> {
    let user = parse_text(user)?;
    Ok((cx.organization(organization).await?.id, user))
}

async fn role_place(
    cx: &RequestContext,
    (organization, user, service, role): &(String, String, String, String),
) -> Result<((OrganizationId, UserId), RoleKey), HttpError> {
    let key = RoleKey {
        service: parse_text(service)?,
        name: parse_text(role)?,
    };
    Ok((place(cx, organization, user).await?, key))
}

/// Where a page begins and how long it may be.
pub(super) fn page_of<T>(query: &PageQuery, first: T) -> Result<(T, u16), HttpError>
where
    T: std::str::FromStr,
{
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if limit == 0 || limit > MAX_PAGE {
        return Err(
            Problem::malformed(format!("`limit` is {limit}; 1 to {MAX_PAGE} is allowed")).into(),
        );
    }
    let after = match &query.after {
        None => first,
        Some(text) => text.parse().map_err(|_| {
            Problem::malformed("`after` is not what a page gave as `next`: pass it on unchanged")
        })?,
    };
    Ok((after, limit))
}

/// A refusal of something that the body names, a user as `owner`.
fn of_owner(error: OrganizationsError) -> HttpError {
    match error {
        OrganizationsError::UnknownUser(_) => {
            Problem::invalid(vec![Mistake::new("/owner", error.to_string())]).into()
        }
        // The built-in role is missing: the installation is not complete, whatever was sent.
        OrganizationsError::UnknownRole(_) => Problem::internal().into(),
        other => in_body(other),
    }
}

/// A refusal of something that the body names.
pub(super) fn in_body(error: OrganizationsError) -> HttpError {
    let pointer = match &error {
        OrganizationsError::UnknownUser(_) => "/user",
        OrganizationsError::UnknownRole(_) => "/role",
        _ => return in_path(error),
    };
    Problem::invalid(vec![Mistake::new(pointer, error.to_string())]).into()
}

/// A refusal of something that the path names.
fn in_path(error: OrganizationsError) -> HttpError {
    let detail = error.to_string();
    match error {
        OrganizationsError::Denied(denied) => denied.into(),
        // The role, the user or the organization went while it was given.
        OrganizationsError::Store(StoreError::ForeignKey) => {
            let detail = "what this refers to was removed at this moment: look again";
            Problem::conflict("changed-meanwhile", detail).into()
        }
        OrganizationsError::Store(error) => error.into(),
        OrganizationsError::ReservedSlug(_) => {
            Problem::invalid(vec![Mistake::new("/slug", detail)]).into()
        }
        OrganizationsError::NoOwner => {
            Problem::invalid(vec![Mistake::new("/owner", detail)]).into()
        }
        OrganizationsError::UnknownUser(_)
        | OrganizationsError::UnknownRole(_)
        | OrganizationsError::NotAMember(_) => Problem::not_found(detail).into(),
        OrganizationsError::SlugTaken(_) => Problem::conflict("slug-taken", detail).into(),
        OrganizationsError::DeprecatedRole(_) => {
            Problem::conflict("role-deprecated", detail).into()
        }
        OrganizationsError::MisplacedRole(_) => Problem::conflict("role-misplaced", detail).into(),
        OrganizationsError::AlreadyMember(_) => Problem::conflict("already-member", detail).into(),
        OrganizationsError::LastOwner => Problem::conflict("last-owner", detail).into(),
        OrganizationsError::OnlyRole(_) => Problem::conflict("only-role", detail).into(),
    }
}
