//! `/v1/clients`: programs with credentials of their own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode};

use crate::authority::app::Authority;
use crate::authority::apps::{self, AppsError, Put};
use crate::authority::credentials::Doer;
use crate::authority::credentials::clients::{self, ClientsError, NewClient, WithSecret};
use crate::authority::http::answer::{Answer, FRESHNESS, Show};
use crate::authority::http::context::RequestContext;
use crate::authority::http::error::HttpError;
use crate::authority::http::json::{Json, Path, PlanQuery, Query, parse_text};
use crate::authority::http::organizations::page_of;
use crate::authority::organizations::listing::cut;
use crate::domain::app::ClientSource;
use crate::domain::{ClientId, ClientIdentifier, ClientKind, Scopes};
use crate::protocol::clients::{AppApplied, AppDocument, AppView};
use crate::protocol::credentials::{
    ClientView, ClientWithSecret, CreateClient, CreateKind, RotateSecret,
};
use crate::protocol::organizations::{Page, PageQuery};
use crate::protocol::problem::{Mistake, Problem};
use crate::store::clients::Client;

use super::uncached::Uncached;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/clients", get(list).post(create))
        .route("/v1/clients/{client}", get(show).put(put).delete(retire))
        .route("/v1/clients/{client}/secret", post(rotate))
}

/// `GET /v1/clients`
async fn list(
    cx: RequestContext,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<ClientView>>, HttpError> {
    let (after, limit) = page_of(&query, ClientId::from_u128(0))?;
    let doer = Doer::Actor(cx.actor);
    let mut found = clients::page(&cx.authority, &doer, after, i64::from(limit) + 1).await?;
    let next = cut(&mut found, limit, |client| client.id.to_string());
    let of_apps = found
        .iter()
        .filter(|client| client.kind == ClientKind::App)
        .map(|client| client.id)
        .collect();
    let mut standings = apps::standings(&cx.authority, &doer, of_apps).await?;
    let standing = |client: &Client| {
        let (source, drift) = standings.remove(&client.id).unzip();
        ClientView {
            source,
            drift: drift.flatten(),
            ..view(client)
        }
    };
    let items = found.iter().map(standing).collect();
    Ok(Show(Page { items, next }))
}

/// `POST /v1/clients`
async fn create(cx: RequestContext, Json(body): Json<CreateClient>) -> Result<Response, HttpError> {
    let new = new_client(body)?;
    let made = clients::create(&cx.authority, &Doer::Actor(cx.actor), new).await?;
    Ok((StatusCode::CREATED, shown_once(&made)).into_response())
}

/// `GET /v1/clients/{client}`: an app's registration.
async fn show(cx: RequestContext, Path(client): Path<String>) -> Result<Show<AppView>, HttpError> {
    let client: ClientIdentifier = parse_text(&client)?;
    let app = apps::show(&cx.authority, &Doer::Actor(cx.actor), client).await?;
    Ok(Show(AppView {
        client_id: app.spec.identifier.clone(),
        state: app.state.as_str().to_owned(),
        source: app.source,
        drift: apps::drift(&app, &cx.authority.config.clients),
        created_at: app.created_at,
        expires_at: app.expires_at,
        registration: AppDocument::from(&app.spec),
    }))
}

/// `PUT /v1/clients/{client}`: makes or changes an app.
async fn put(
    cx: RequestContext,
    Path(client): Path<String>,
    Query(query): Query<PlanQuery>,
    Json(body): Json<AppDocument>,
) -> Result<Response, HttpError> {
    let client: ClientIdentifier = parse_text(&client)?;
    let spec = body.check(&client).map_err(Problem::invalid)?;
    let doer = Doer::Actor(cx.actor);
    if query.dry_run {
        let plan = apps::plan(&cx.authority, &doer, spec).await?;
        return Ok(Show(plan).into_response());
    }
    let put = Put {
        spec,
        source: ClientSource::Api,
        bound_to: query.plan,
    };
    let written = apps::put(&cx.authority, &doer, put).await?;
    let freshness = written.position.freshness_token();
    let applied = AppApplied {
        plan: written.value.plan,
        client_secret: written
            .value
            .secret
            .map(|secret| secret.expose().to_owned()),
        freshness,
    };
    let mut response = Uncached(applied).into_response();
    if let Ok(value) = HeaderValue::from_str(&freshness.to_string()) {
        response.headers_mut().insert(FRESHNESS, value);
    }
    Ok(response)
}

/// `DELETE /v1/clients/{client}`: retires it.
async fn retire(
    cx: RequestContext,
    Path(client): Path<String>,
) -> Result<Answer<ClientView>, HttpError> {
    let client: ClientIdentifier = parse_text(&client)?;
    let written = clients::retire(&cx.authority, &Doer::Actor(cx.actor), client).await?;
    Ok(Answer::ok(view(&written.value), written.position))
}

/// `POST /v1/clients/{client}/secret`: gives it a new one.
async fn rotate(
    cx: RequestContext,
    Path(client): Path<String>,
    Json(body): Json<RotateSecret>,
) -> Result<impl IntoResponse, HttpError> {
    let client: ClientIdentifier = parse_text(&client)?;
    let most = cx.authority.config.lifetimes.previous_secret;
    let overlap = body
        .overlap_seconds
        .map_or(most, |seconds| Duration::from_secs(seconds.into()));
    if overlap > most {
        let detail = format!("at most {} seconds are allowed", most.as_secs());
        return Err(Problem::invalid(vec![Mistake::new("/overlap_seconds", detail)]).into());
    }
    let rotated = clients::rotate(&cx.authority, &Doer::Actor(cx.actor), client, overlap).await?;
    Ok(shown_once(&rotated))
}

fn new_client(body: CreateClient) -> Result<NewClient, HttpError> {
    let wrong = |pointer: &str, detail: String| {
        HttpError::from(Problem::invalid(vec![Mistake::new(pointer, detail)]))
    };
    let kind = match (body.kind, body.service) {
        (CreateKind::Operator, None) => ClientKind::Operator,
        (CreateKind::Service, Some(service)) => ClientKind::Service(service),
        (CreateKind::Operator, Some(_)) => {
            return Err(wrong(
                "/service",
                "an operator's client has none".to_owned(),
            ));
        }
        (CreateKind::Service, None) => {
            return Err(wrong(
                "/service",
                "a service's client names its service".to_owned(),
            ));
        }
    };
    let scopes = body
        .scope
        .map(|text| Scopes::parse(&text))
        .transpose()
        .map_err(|error| wrong("/scope", error.to_string()))?;
    let name = body.name.unwrap_or_else(|| body.client_id.to_string());
    Ok(NewClient::new(body.client_id, name, kind, scopes)?)
}

fn view(client: &Client) -> ClientView {
    let (kind, service) = match &client.kind {
        ClientKind::Operator => ("operator", None),
        ClientKind::Service(service) => ("service", Some(service.clone())),
        ClientKind::Sidecar => ("sidecar", None),
        ClientKind::App => ("app", None),
    };
    ClientView {
        client_id: client.identifier.clone(),
        name: client.name.clone(),
        kind: kind.to_owned(),
        service,
        scope: client.scopes.to_string(),
        state: client.state.as_str().to_owned(),
        source: None,
        drift: None,
        created_at: client.created_at,
    }
}

fn shown_once(made: &WithSecret) -> Uncached<ClientWithSecret> {
    Uncached(ClientWithSecret {
        client: view(&made.client),
        client_secret: made.secret.expose().to_owned(),
        previous_until: made.previous_until,
    })
}

impl From<AppsError> for HttpError {
    fn from(error: AppsError) -> Self {
        let detail = error.to_string();
        match error {
            AppsError::Denied(denied) => denied.into(),
            AppsError::Store(error) => error.into(),
            AppsError::Taken(_) => Problem::conflict("client-id-taken", detail).into(),
            AppsError::Retired(_) => Problem::conflict("client-retired", detail).into(),
            AppsError::Source { .. } => {
                Problem::conflict("client-of-another-source", detail).into()
            }
            AppsError::PlanChanged { now } => Problem::conflict("plan-changed", detail)
                .with("plan_hash", now)
                .into(),
            AppsError::Unknown(_) => Problem::not_found(detail).into(),
        }
    }
}

impl From<ClientsError> for HttpError {
    fn from(error: ClientsError) -> Self {
        let detail = error.to_string();
        let invalid = |pointer: &str| Problem::invalid(vec![Mistake::new(pointer, &*detail)]);
        match error {
            ClientsError::Denied(denied) => denied.into(),
            ClientsError::Store(error) => error.into(),
            ClientsError::Taken(_) => Problem::conflict("client-id-taken", detail).into(),
            ClientsError::Retired(_) => Problem::conflict("client-retired", detail).into(),
            ClientsError::NoSecret(_) => Problem::conflict("client-without-secret", detail).into(),
            ClientsError::Unknown(_) => Problem::not_found(detail).into(),
            ClientsError::LooksLikeUser(_) | ClientsError::Url(_) => invalid("/client_id").into(),
            ClientsError::Name => invalid("/name").into(),
            ClientsError::Scope(_) => invalid("/scope").into(),
        }
    }
}
