//! `/v1/users`: users known before their first login.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::authority::app::Authority;
use crate::authority::users::{self, NewUser, UsersError};
use crate::domain::UserId;
use crate::protocol::organizations::{CreateUser, Page, PageQuery, UserView};
use crate::protocol::problem::Problem;

use super::answer::{Answer, Show};
use super::context::RequestContext;
use super::error::HttpError;
use super::json::{Json, Path, Query, parse_text};
use super::organizations::page_of;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/users", get(list).post(create))
        .route("/v1/users/{user}", get(show))
}

/// `GET /v1/users`: all of them, for operators.
async fn list(
    cx: RequestContext,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<UserView>>, HttpError> {
    let page = page_of(&query, UserId::from_u128(0))?;
    cx.ask(move |access, tx, actor| users::page(tx, access, actor, page))
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

impl From<UsersError> for HttpError {
    fn from(error: UsersError) -> Self {
        let detail = error.to_string();
        match error {
            UsersError::Denied(denied) => denied.into(),
            UsersError::Store(error) => error.into(),
            UsersError::EmailTaken => Problem::conflict("email-taken", detail).into(),
            UsersError::AccountTaken => Problem::conflict("account-taken", detail).into(),
        }
    }
}
