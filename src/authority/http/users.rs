//! `/v1/users`: users known before their first login, and what operators do to users.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::CACHE_CONTROL;

use crate::authority::app::Authority;
use crate::authority::users::{self, NewUser, Standing, UsersError};
use crate::domain::UserId;
use crate::domain::user::User;
use crate::protocol::organizations::{CreateUser, Page, PageQuery, UserView};
use crate::protocol::problem::Problem;
use crate::protocol::users::UsersQuery;
use crate::store::Tx;

use super::answer::{Answer, Show};
use super::context::RequestContext;
use super::error::HttpError;
use super::json::{Json, Path, Query, parse_text};
use super::organizations::page_of;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/users", get(list).post(create))
        .route("/v1/users/{user}", get(show).delete(erase))
        .route("/v1/users/{user}/suspend", post(suspend))
        .route("/v1/users/{user}/restore", post(restore))
        .route("/v1/users/{user}/sign-out", post(sign_out))
        // It writes an audit row: no GET, which caches and prefetchers may repeat.
        .route("/v1/users/{user}/export", post(export))
}

/// `GET /v1/users`: for operators, all of them or those that `search` finds.
async fn list(
    cx: RequestContext,
    Query(query): Query<UsersQuery>,
) -> Result<Show<Page<UserView>>, HttpError> {
    let search = query.search.filter(|text| !text.is_empty());
    let query = PageQuery {
        after: query.after,
        limit: query.limit,
    };
    let page = page_of(&query, UserId::from_u128(0))?;
    cx.ask(move |access, tx, actor| users::page(tx, access, actor, search.as_deref(), page))
        .await
        .map(Show)
}

/// `POST /v1/users`
async fn create(
    cx: RequestContext,
    Json(body): Json<CreateUser>,
) -> Result<Answer<UserView>, HttpError> {
    cx.authorize_installation("auth:user:create").await?;
    let new = NewUser {
        id: cx.mint(UserId::mint),
        account_id: cx.mint(UserId::mint).as_uuid(),
        display_name: body.display_name,
        email: body.email,
        account: body.account,
    };
    let change = cx.change();
    let written = cx.write(move |tx| users::create(tx, &change, &new)).await?;
    let view = UserView::from(written.value);
    let path = format!("/v1/users/{}", view.id);
    Ok(Answer::created(view, written.position, path))
}

/// `GET /v1/users/{user}`
async fn show(cx: RequestContext, Path(user): Path<String>) -> Result<Show<UserView>, HttpError> {
    let user: UserId = parse_text(&user)?;
    cx.ask(move |access, tx, actor| users::find(tx, access, actor, user))
        .await
        .map(|user| Show(user.into()))
}

/// `POST /v1/users/{user}/suspend`
async fn suspend(
    cx: RequestContext,
    Path(user): Path<String>,
) -> Result<Answer<UserView>, HttpError> {
    changed(&cx, &user, users::suspend).await
}

/// `POST /v1/users/{user}/restore`
async fn restore(
    cx: RequestContext,
    Path(user): Path<String>,
) -> Result<Answer<UserView>, HttpError> {
    changed(&cx, &user, users::restore).await
}

/// `POST /v1/users/{user}/sign-out`: everywhere.
async fn sign_out(
    cx: RequestContext,
    Path(user): Path<String>,
) -> Result<Answer<UserView>, HttpError> {
    changed(&cx, &user, users::sign_out).await
}

/// `DELETE /v1/users/{user}`: erases personal data; the id stays.
async fn erase(
    cx: RequestContext,
    Path(user): Path<String>,
) -> Result<Answer<UserView>, HttpError> {
    changed(&cx, &user, users::erase).await
}

async fn changed(
    cx: &RequestContext,
    user: &str,
    act: fn(&mut dyn Tx, &Standing) -> Result<User, UsersError>,
) -> Result<Answer<UserView>, HttpError> {
    let standing = Standing {
        change: cx.change(),
        user: parse_text(user)?,
        lifetimes: cx.authority.config.lifetimes,
        entropy: Arc::clone(&cx.authority.entropy),
    };
    let written = cx.write(move |tx| act(tx, &standing)).await?;
    Ok(Answer::ok(written.value.into(), written.position))
}

/// `POST /v1/users/{user}/export`: everything held on a person. Audited.
async fn export(cx: RequestContext, Path(user): Path<String>) -> Result<Response, HttpError> {
    let user: UserId = parse_text(&user)?;
    let change = cx.change();
    let written = cx.write(move |tx| users::export(tx, &change, user)).await?;
    let headers = [(CACHE_CONTROL, "no-store")];
    Ok((headers, axum::Json(written.value)).into_response())
}

impl From<UsersError> for HttpError {
    fn from(error: UsersError) -> Self {
        let detail = error.to_string();
        match error {
            UsersError::Denied(denied) => denied.into(),
            UsersError::Store(error) => error.into(),
            UsersError::EmailTaken => Problem::conflict("email-taken", detail).into(),
            UsersError::AccountTaken => Problem::conflict("account-taken", detail).into(),
            UsersError::Yourself => Problem::conflict("yourself", detail).into(),
            UsersError::Erased => Problem::conflict("user-erased", detail).into(),
            UsersError::LastOwner(_) => Problem::conflict("last-owner", detail).into(),
        }
    }
}
