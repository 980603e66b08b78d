//! `/v1/services/{service}/resources`: the instances that a service registers.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{delete, get};

use crate::authority::app::Authority;
use crate::authority::instances::{self, InstancesError, READ, REGISTER};
use crate::authority::manifests::MAX_PAGE;
use crate::domain::{InstanceId, ResourceName, ServiceName};
use crate::protocol::instances::{
    BatchView, InstanceBatch, InstanceQuery, InstanceRef, InstanceView, OrganizationRef,
};
use crate::protocol::organizations::{Gone, Page};
use crate::protocol::problem::Problem;
use crate::runtime::limits::BATCH_BYTES;
use crate::store::instances::Shown;
use crate::store::organizations;

use super::answer::{Answer, Show};
use super::context::RequestContext;
use super::error::HttpError;
use super::json::{Path, Query, parse, parse_text, read_json};

/// Rows of a page when the request does not say.
const DEFAULT_PAGE: u16 = 100;

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route("/v1/services/{service}/resources", get(list).put(put))
        .route(
            "/v1/services/{service}/resources/{resource}/{instance}",
            delete(remove),
        )
}

impl From<InstancesError> for HttpError {
    fn from(error: InstancesError) -> Self {
        let text = error.to_string();
        match error {
            InstancesError::Denied(denied) => denied.into(),
            InstancesError::Store(error) => error.into(),
            InstancesError::UnknownService(_) | InstancesError::NotRegistered { .. } => {
                Problem::not_found(text).into()
            }
            InstancesError::Mistakes(mistakes) => Problem::invalid(mistakes).into(),
            InstancesError::Quota {
                organization, most, ..
            } => Problem::conflict("too-many-instances", text)
                .with("organization", organization.to_string())
                .with("most", most)
                .into(),
            InstancesError::OrganizationGone => Problem::conflict("organization-gone", text).into(),
        }
    }
}

/// A service that the caller may do this to, and that registers instances.
async fn allowed(
    cx: &RequestContext,
    permission: &'static str,
    segment: &str,
) -> Result<ServiceName, HttpError> {
    let service: ServiceName = parse_text(segment)?;
    cx.authorize_service(permission, &service).await?;
    if service.as_str() == "auth" {
        let detail = "`auth` is the authority's own service: it registers nothing";
        return Err(Problem::conflict("built-in-service", detail).into());
    }
    Ok(service)
}

/// `PUT /v1/services/{service}/resources`: a batch, all of it or nothing.
async fn put(
    cx: RequestContext,
    Path(service): Path<String>,
    request: Request,
) -> Result<Answer<BatchView>, HttpError> {
    // Before the body is read: strangers do not get to send a megabyte.
    let service = allowed(&cx, REGISTER, &service).await?;
    let (parts, body) = request.into_parts();
    let bytes = read_json(&parts.headers, body, BATCH_BYTES).await?;
    let batch: InstanceBatch = parse(&bytes)?;
    drop(bytes);
    instances::check(&batch)?;
    let (change, quotas) = (cx.change(), cx.authority.config.instances);
    let written = cx
        .write(move |tx| {
            instances::apply(tx, &change, &service, &batch, quotas).map_err(HttpError::from)
        })
        .await?;
    Ok(Answer::ok(written.value, written.position))
}

/// `GET /v1/services/{service}/resources`: in order of type and id.
async fn list(
    cx: RequestContext,
    Path(service): Path<String>,
    Query(query): Query<InstanceQuery>,
) -> Result<Show<Page<InstanceView>>, HttpError> {
    let service = allowed(&cx, READ, &service).await?;
    let after = query.after.as_deref().map(after).transpose()?;
    let limit = u32::from(query.limit.unwrap_or(DEFAULT_PAGE)).clamp(1, MAX_PAGE);
    let page = cx
        .read(move |tx| {
            let organization = match &query.organization {
                None => None,
                Some(OrganizationRef::Id(id)) => Some(*id),
                Some(OrganizationRef::Slug(slug)) => {
                    let Some(found) = organizations::find_by_slug(tx, slug)? else {
                        return Ok(Page {
                            items: Vec::new(),
                            next: None,
                        });
                    };
                    Some(found.id)
                }
            };
            let shown = Shown {
                resource: query.resource.clone(),
                organization,
                after: after.clone(),
            };
            instances::page(tx, &service, &shown, limit).map_err(HttpError::from)
        })
        .await?;
    Ok(Show(page))
}

/// The `next` of a page: `type:id`. Resources have no `:` in their names.
fn after(text: &str) -> Result<(ResourceName, InstanceId), HttpError> {
    let Some((resource, id)) = text.split_once(':') else {
        let detail = "`after` takes the `next` of the page before, unchanged";
        return Err(Problem::malformed(detail).into());
    };
    Ok((parse_text(resource)?, parse_text(id)?))
}

/// `DELETE /v1/services/{service}/resources/{type}/{id}`
async fn remove(
    cx: RequestContext,
    Path((service, resource, id)): Path<(String, String, String)>,
) -> Result<Answer<Gone>, HttpError> {
    let service = allowed(&cx, REGISTER, &service).await?;
    let item = InstanceRef {
        resource: parse_text(&resource)?,
        id: parse_text(&id)?,
    };
    let (change, quotas) = (cx.change(), cx.authority.config.instances);
    let written = cx
        .write(move |tx| {
            instances::remove(tx, &change, &service, &item, quotas).map_err(HttpError::from)
        })
        .await?;
    Ok(Answer::ok(Gone {}, written.position))
}
