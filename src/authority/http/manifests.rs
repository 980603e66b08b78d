//! `/v1/services`: manifests, and the roles and permissions they declare.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderValue;
use serde::Deserialize;

use crate::authority::app::Authority;
use crate::authority::manifests::{self, MAX_PAGE, MemberPage, Sync, SyncError, apply_in, plan_in};
use crate::domain::manifest::{Manifest, PlanHash, limits};
use crate::domain::{RoleName, ServiceName};
use crate::protocol::manifest::{
    AppliedView, ManifestView, Page, PermissionView, PlanView, RoleView, ServiceView, from_json,
};
use crate::protocol::organizations::PageQuery;
use crate::protocol::problem::Problem;
use crate::store::{StoreError, feed};

use super::answer::{FRESHNESS, Show};
use super::context::RequestContext;
use super::error::HttpError;
use super::json::{Path, Query, parse_text, read_json};

/// Rows of a page when the request does not say.
const DEFAULT_PAGE: u16 = 100;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/services", get(list))
        .route("/v1/services/{service}/manifest", get(show).put(put))
        .route("/v1/services/{service}/roles", get(list_roles))
        .route("/v1/services/{service}/permissions", get(list_permissions))
}

impl From<SyncError> for HttpError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Store(error) if error != StoreError::ForeignKey => error.into(),
            refused => Problem::from(refused).into(),
        }
    }
}

/// What a `PUT` may ask for beside the apply itself.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PutQuery {
    /// Show the plan and its blast radius; write nothing.
    #[serde(default)]
    dry_run: bool,
    /// Apply exactly the plan with this hash, or nothing.
    plan: Option<String>,
    /// Let an older version replace a newer one.
    #[serde(default)]
    allow_rollback: bool,
    /// With `dry_run`: the `next` of the page of members before.
    members_after: Option<String>,
    /// With `dry_run`: how many members to show.
    limit: Option<usize>,
}

/// `PUT /v1/services/{service}/manifest`
async fn put(
    cx: RequestContext,
    Path(service): Path<String>,
    Query(query): Query<PutQuery>,
    request: Request,
) -> Result<Response, HttpError> {
    let service: ServiceName = parse_text(&service)?;
    let permissions = permissions_for(&query);
    // Before the body is read: strangers do not get to send 4 MiB.
    for permission in &permissions {
        cx.authorize_service(permission, &service).await?;
    }
    if service.as_str() == "auth" {
        let detail = "the manifest of `auth` ships with the authority: it changes with the release";
        return Err(Problem::conflict("built-in-service", detail).into());
    }
    let (parts, body) = request.into_parts();
    let bytes = read_json(&parts.headers, body, limits::MAX_BYTES).await?;
    let manifest = from_json(&bytes, Some(&service)).map_err(Problem::from)?;
    drop(bytes);
    if query.dry_run {
        Ok(dry_run(&cx, manifest, &query).await?.into_response())
    } else {
        apply(&cx, manifest, &query, permissions).await
    }
}

/// What the caller must be allowed to do to the service.
fn permissions_for(query: &PutQuery) -> Vec<&'static str> {
    let mut permissions = vec![if query.dry_run {
        "auth:manifest:plan"
    } else {
        "auth:manifest:apply"
    }];
    if query.allow_rollback {
        permissions.push("auth:manifest:rollback");
    }
    permissions
}

async fn dry_run(
    cx: &RequestContext,
    manifest: Manifest,
    query: &PutQuery,
) -> Result<Show<PlanView>, HttpError> {
    let after = query.members_after.as_deref().map(parse_text).transpose()?;
    let most = usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
    let page = MemberPage {
        after,
        limit: query
            .limit
            .unwrap_or(MemberPage::default().limit)
            .clamp(1, most),
    };
    let allow_rollback = query.allow_rollback;
    let planned = cx
        .read(move |tx| plan_in(tx, &manifest, allow_rollback, page))
        .await?;
    Ok(Show(planned.into()))
}

async fn apply(
    cx: &RequestContext,
    manifest: Manifest,
    query: &PutQuery,
    permissions: Vec<&'static str>,
) -> Result<Response, HttpError> {
    let bound_to: Option<PlanHash> = query.plan.as_deref().map(parse_text).transpose()?;
    let content_hash = manifest.content_hash().to_string();
    let sync = Sync {
        bound_to,
        allow_rollback: query.allow_rollback,
        applied_by: cx.actor.audit_name(),
        manifest,
    };
    let (access, actor, now) = (Arc::clone(&cx.authority.access), cx.actor.clone(), cx.now);
    let entropy = Arc::clone(&cx.authority.entropy);
    let written = cx
        .write(move |tx| {
            // Again, with the facts that this transaction sees.
            for permission in &permissions {
                access.check_service(tx, &actor, permission, &sync.manifest.service)?;
            }
            apply_in(tx, &sync, now, &*entropy).map_err(HttpError::from)
        })
        .await?;
    let freshness = written.position.freshness_token();
    let view = AppliedView {
        unchanged: written.value.plan.is_empty(),
        content_hash,
        plan: written.value.plan,
        freshness,
    };
    let mut response = Show(view).into_response();
    if let Ok(value) = HeaderValue::from_str(&freshness.to_string()) {
        response.headers_mut().insert(FRESHNESS, value);
    }
    Ok(response)
}

/// `GET /v1/services/{service}/manifest`: the canonical document as applied.
async fn show(
    cx: RequestContext,
    Path(service): Path<String>,
) -> Result<Show<ManifestView>, HttpError> {
    let service: ServiceName = parse_text(&service)?;
    cx.authorize_service("auth:manifest:read", &service).await?;
    let asked = service.clone();
    let found = cx
        .read::<_, StoreError>(move |tx| {
            let position = feed::head(tx)?.position;
            Ok(manifests::document(tx, &asked)?.map(|found| (found, position)))
        })
        .await?;
    let Some(((service, document), position)) = found else {
        return Err(no_service(&service));
    };
    let manifest = serde_json::from_str(&document).map_err(|_| Problem::internal())?;
    Ok(Show(ManifestView {
        service,
        manifest,
        freshness: position.freshness_token(),
    }))
}

fn no_service(service: &ServiceName) -> HttpError {
    Problem::not_found(format!("no service `{service}` has synced a manifest")).into()
}

fn limit(query: &PageQuery) -> u32 {
    u32::from(query.limit.unwrap_or(DEFAULT_PAGE)).clamp(1, MAX_PAGE)
}

/// `GET /v1/services`: services that synced a manifest, in order of name.
async fn list(
    cx: RequestContext,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<ServiceView>>, HttpError> {
    // Services' names are no secret: whoever may read any service's roles may read them.
    let any: ServiceName = parse_text("auth")?;
    cx.authorize_service("auth:role:read", &any).await?;
    let after: Option<ServiceName> = query.after.as_deref().map(parse_text).transpose()?;
    let limit = limit(&query);
    let page = cx
        .read::<_, StoreError>(move |tx| manifests::services_page(tx, after.as_ref(), limit))
        .await?;
    Ok(Show(page))
}

/// `GET /v1/services/{service}/roles`: with what each grants, in order of name.
async fn list_roles(
    cx: RequestContext,
    Path(service): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<RoleView>>, HttpError> {
    let service = known(&cx, &service).await?;
    let after: Option<RoleName> = query.after.as_deref().map(parse_text).transpose()?;
    let limit = limit(&query);
    let page = cx
        .read::<_, StoreError>(move |tx| manifests::roles_page(tx, &service, after.as_ref(), limit))
        .await?;
    Ok(Show(page))
}

/// `GET /v1/services/{service}/permissions`: in order of resource and action.
async fn list_permissions(
    cx: RequestContext,
    Path(service): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Show<Page<PermissionView>>, HttpError> {
    let service = known(&cx, &service).await?;
    let after = match query.after.as_deref().map(|after| after.split_once(':')) {
        None => None,
        Some(Some((resource, action))) => Some((parse_text(resource)?, parse_text(action)?)),
        Some(None) => {
            let detail = "`after` takes the `next` of the page before, unchanged";
            return Err(Problem::malformed(detail).into());
        }
    };
    let limit = limit(&query);
    let page = cx
        .read::<_, StoreError>(move |tx| {
            let after = after.as_ref().map(|(resource, action)| (resource, action));
            manifests::permissions_page(tx, &service, after, limit)
        })
        .await?;
    Ok(Show(page))
}

/// A service that the caller may read the roles of, and that synced a manifest.
async fn known(cx: &RequestContext, segment: &str) -> Result<ServiceName, HttpError> {
    let service: ServiceName = parse_text(segment)?;
    cx.authorize_service("auth:role:read", &service).await?;
    let asked = service.clone();
    let found = cx
        .read::<_, StoreError>(move |tx| crate::store::manifests::find(tx, &asked))
        .await?;
    match found {
        Some(_) => Ok(service),
        None => Err(no_service(&service)),
    }
}
