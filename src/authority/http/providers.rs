//! `/v1/providers`: who may vouch for people.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::authority::app::Authority;
use crate::authority::credentials::Doer;
use crate::authority::login::ProviderError;
use crate::authority::login::provider::redirect_uri;
use crate::authority::providers::{self, ProvidersError, Put, Shown};
use crate::domain::user::Provider as ProviderName;
use crate::protocol::organizations::Page;
use crate::protocol::problem::{Mistake, Problem};
use crate::protocol::providers::{ProviderApplied, ProviderDocument, ProviderView};

use super::answer::{Answer, Show};
use super::context::RequestContext;
use super::error::HttpError;
use super::json::{Json, Path, PlanQuery, Query, parse_text};

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new().route("/v1/providers", get(list)).route(
        "/v1/providers/{provider}",
        get(show).put(put).delete(retire),
    )
}

/// `GET /v1/providers`: all of them; there are few.
async fn list(cx: RequestContext) -> Result<Show<Page<ProviderView>>, HttpError> {
    let found = providers::list(&cx.authority, &Doer::Actor(cx.actor)).await?;
    Ok(Show(Page {
        items: found
            .iter()
            .map(|shown| view(&cx.authority, shown))
            .collect(),
        next: None,
    }))
}

/// `GET /v1/providers/{provider}`
async fn show(
    cx: RequestContext,
    Path(provider): Path<String>,
) -> Result<Show<ProviderView>, HttpError> {
    let provider: ProviderName = parse_text(&provider)?;
    let shown = providers::show(&cx.authority, &Doer::Actor(cx.actor), provider).await?;
    Ok(Show(view(&cx.authority, &shown)))
}

/// `PUT /v1/providers/{provider}`: declares a provider.
async fn put(
    cx: RequestContext,
    Path(provider): Path<String>,
    Query(query): Query<PlanQuery>,
    Json(body): Json<ProviderDocument>,
) -> Result<Response, HttpError> {
    let provider: ProviderName = parse_text(&provider)?;
    let spec = body.check(&provider).map_err(Problem::invalid)?;
    let doer = Doer::Actor(cx.actor);
    let put = Put {
        spec,
        secret: body.client_secret,
        bound_to: query.plan,
    };
    if query.dry_run {
        let plan = providers::plan(&cx.authority, &doer, put).await?;
        return Ok(Show(plan).into_response());
    }
    let written = providers::put(&cx.authority, &doer, put).await?;
    let applied = ProviderApplied {
        plan: written.value,
        redirect_uri: redirect_uri(&cx.authority, provider.as_str()),
    };
    Ok(Answer::ok(applied, written.position).into_response())
}

/// `DELETE /v1/providers/{provider}`: retires it.
async fn retire(
    cx: RequestContext,
    Path(provider): Path<String>,
) -> Result<Answer<ProviderView>, HttpError> {
    let provider: ProviderName = parse_text(&provider)?;
    let written = providers::retire(&cx.authority, &Doer::Actor(cx.actor), provider).await?;
    let shown = view(&cx.authority, &written.value);
    Ok(Answer::ok(shown, written.position))
}

fn view(authority: &Authority, shown: &Shown) -> ProviderView {
    let state = if shown.row.enabled {
        "active"
    } else {
        "retired"
    };
    ProviderView {
        provider: shown.spec.provider.clone(),
        state: state.to_owned(),
        source: shown.row.source,
        drift: shown.drift.clone(),
        has_secret: shown.row.sealed_secret.is_some(),
        redirect_uri: redirect_uri(authority, &shown.row.provider),
        accounts: shown.accounts,
        created_at: shown.row.created_at,
        updated_at: shown.row.updated_at,
        declaration: ProviderDocument::from(&shown.spec),
    }
}

impl From<ProvidersError> for HttpError {
    fn from(error: ProvidersError) -> Self {
        let detail = error.to_string();
        let invalid = |pointer: &str| Problem::invalid(vec![Mistake::new(pointer, &*detail)]);
        match error {
            ProvidersError::Denied(denied) => denied.into(),
            ProvidersError::Store(error)
            | ProvidersError::Provider(ProviderError::Store(error)) => error.into(),
            ProvidersError::Unknown(_) => Problem::not_found(detail).into(),
            ProvidersError::Configured(_) => {
                Problem::conflict("provider-of-configuration", detail).into()
            }
            ProvidersError::SecretWanted => invalid("/client_secret").into(),
            ProvidersError::PlanChanged { now } => Problem::conflict("plan-changed", detail)
                .with("plan_hash", now)
                .into(),
            ProvidersError::Provider(error) => match error {
                ProviderError::Issuer { .. } | ProviderError::Kind { .. } => {
                    Problem::conflict("provider-stands", detail).into()
                }
                ProviderError::IssuerTaken { .. } => {
                    Problem::conflict("issuer-taken", detail).into()
                }
                error => {
                    tracing::error!(%error, "a provider's secret cannot be handled");
                    Problem::internal().into()
                }
            },
        }
    }
}
