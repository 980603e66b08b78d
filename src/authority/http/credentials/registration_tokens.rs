//! `/v1/registration-tokens`: who may register clients.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use http::StatusCode;

use crate::authority::app::Authority;
use crate::authority::credentials::Doer;
use crate::authority::credentials::registration_tokens::{self, NewToken, RegistrationTokensError};
use crate::authority::http::answer::{Answer, Show};
use crate::authority::http::context::RequestContext;
use crate::authority::http::error::HttpError;
use crate::authority::http::json::{Json, Path, Query, parse_text};
use crate::authority::http::organizations::page_of;
use crate::authority::organizations::listing::cut;
use crate::domain::client::FULL_SCOPE;
use crate::domain::registration::RegistrationPolicy;
use crate::domain::{RegistrationTokenId, Scope};
use crate::protocol::clients::uri;
use crate::protocol::organizations::{Gone, Page, PageQuery};
use crate::protocol::problem::{Mistake, Problem};
use crate::protocol::registration_tokens::{
    CreateRegistrationToken, CreatedRegistrationToken, RegistrationTokenView,
};
use crate::store::registration_tokens::RegistrationToken;

use super::uncached::Uncached;

const USES: RangeInclusive<u32> = 1..=1_000;
const DAY: u32 = 24 * 60 * 60;
const LIFETIME: RangeInclusive<u32> = 60..=365 * DAY;
const DEFAULT_LIFETIME: u32 = 7 * DAY;
/// Longer than any access token.
const CLIENT_LIFETIME: RangeInclusive<u32> = DAY..=3650 * DAY;
/// The longest list of a policy.
const MOST: usize = 20;

pub(super) fn routes() -> Router<Arc<Authority>> {
    const TOKENS: &str = "/v1/registration-tokens";
    Router::new()
        .route(TOKENS, get(list).post(create))
        .route("/v1/registration-tokens/{token}", delete(revoke))
}

/// `POST /v1/registration-tokens`: the token is in the answer, this once.
async fn create(
    cx: RequestContext,
    Json(body): Json<CreateRegistrationToken>,
) -> Result<Response, HttpError> {
    let new = new_token(body).map_err(Problem::invalid)?;
    let doer = Doer::Actor(cx.actor);
    let (row, token) = registration_tokens::create(&cx.authority, &doer, new).await?;
    let created = CreatedRegistrationToken {
        view: view(row),
        token: token.expose().to_owned(),
    };
    Ok((StatusCode::CREATED, Uncached(created)).into_response())
}

/// `GET /v1/registration-tokens`: those that have not expired, in the order they were made.
async fn list(
    cx: RequestContext,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<RegistrationTokenView>>, HttpError> {
    let (after, limit) = page_of(&query, RegistrationTokenId::from_u128(0))?;
    let doer = Doer::Actor(cx.actor);
    let page = (after, i64::from(limit) + 1);
    let mut found = registration_tokens::page(&cx.authority, &doer, page).await?;
    let next = cut(&mut found, limit, |token| token.id.to_string());
    let items = found.into_iter().map(view).collect();
    Ok(Show(Page { items, next }))
}

/// `DELETE /v1/registration-tokens/{token}`
async fn revoke(cx: RequestContext, Path(token): Path<String>) -> Result<Answer<Gone>, HttpError> {
    let id: RegistrationTokenId = parse_text(&token)?;
    let doer = Doer::Actor(cx.actor);
    let written = registration_tokens::revoke(&cx.authority, &doer, id).await?;
    Ok(Answer::ok(Gone {}, written.position))
}

fn new_token(body: CreateRegistrationToken) -> Result<NewToken, Vec<Mistake>> {
    let mut mistakes = policy_mistakes(&body.policy);
    let mut bounded = |pointer: &str, value: u32, wanted: &RangeInclusive<u32>| {
        if !wanted.contains(&value) {
            let detail = format!("{} to {} is wanted", wanted.start(), wanted.end());
            mistakes.push(Mistake::new(pointer, detail));
        }
    };
    let uses = body.uses.unwrap_or(1);
    let lifetime = body.expires_in_seconds.unwrap_or(DEFAULT_LIFETIME);
    bounded("/uses", uses, &USES);
    bounded("/expires_in_seconds", lifetime, &LIFETIME);
    let client = body.policy.client_lifetime_seconds;
    bounded("/policy/client_lifetime_seconds", client, &CLIENT_LIFETIME);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(NewToken {
        name: body.name,
        uses,
        lifetime: Duration::from_secs(lifetime.into()),
        policy: body.policy,
    })
}

fn policy_mistakes(policy: &RegistrationPolicy) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut note = |field: &str, detail: String| {
        mistakes.push(Mistake::new(format!("/policy/{field}"), detail));
    };
    for (field, len) in [
        ("redirect_hosts", policy.redirect_hosts.len()),
        ("redirect_schemes", policy.redirect_schemes.len()),
        ("resources", policy.resources.len()),
    ] {
        if len > MOST {
            note(field, format!("at most {MOST} are taken"));
        }
    }
    for scheme in &policy.redirect_schemes {
        if let Err(error) = uri::private_scheme(scheme) {
            note("redirect_schemes", format!("`{scheme}`: {error}"));
        }
    }
    for resource in &policy.resources {
        if let Err(error) = uri::resource(resource) {
            note("resources", format!("`{resource}`: {error}"));
        }
    }
    if policy.grant_types.is_empty() {
        note("grant_types", "at least one is wanted".to_owned());
    }
    for scope in policy.scope.iter().map(Scope::as_str) {
        if scope.starts_with("doorward:") && scope != "doorward:organizations" {
            let full = scope == FULL_SCOPE;
            let who = if full {
                "an app of the house"
            } else {
                "no app"
            };
            note("scope", format!("`{scope}` is for {who}"));
        }
    }
    mistakes
}

fn view(token: RegistrationToken) -> RegistrationTokenView {
    RegistrationTokenView {
        id: token.id,
        name: token.name,
        uses_left: token.uses_left,
        created_by: token.created_by,
        created_at: token.created_at,
        expires_at: token.expires_at,
        policy: serde_json::from_str(&token.policy).ok(),
    }
}

impl From<RegistrationTokensError> for HttpError {
    fn from(error: RegistrationTokensError) -> Self {
        let detail = error.to_string();
        match error {
            RegistrationTokensError::Denied(denied) => denied.into(),
            RegistrationTokensError::Store(error) => error.into(),
            RegistrationTokensError::Unknown(_) => Problem::not_found(detail).into(),
            RegistrationTokensError::TooMany => {
                Problem::conflict("too-many-registration-tokens", detail).into()
            }
            RegistrationTokensError::Name => {
                Problem::invalid(vec![Mistake::new("/name", detail)]).into()
            }
        }
    }
}
