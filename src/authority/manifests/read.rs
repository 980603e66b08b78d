//! What is live, and what would change.

use crate::domain::manifest::{Manifest, Plan, PlanHash};
use crate::domain::{ActionName, ResourceName, RoleName, ServiceName};
use crate::protocol::manifest::{
    BlastRadius, Page, PermissionView, PlanView, RoleView, ServiceView,
};
use crate::store::manifests::Applied;
use crate::store::{Store, StoreError, Tx, manifests, permissions, roles};

use super::blast::{self, MemberPage};
use super::conflict::{self, Conflict, SyncError};
use super::live::LiveRows;

/// The most rows of one page.
pub const MAX_PAGE: u32 = 1_000;

/// What a dry run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What would change.
    pub plan: Plan,
    /// Binds an apply to it.
    pub hash: PlanHash,
    /// What stands in its way.
    pub conflicts: Vec<Conflict>,
    /// Whom it would reach.
    pub blast_radius: BlastRadius,
}

impl From<Planned> for PlanView {
    fn from(planned: Planned) -> Self {
        Self {
            unchanged: planned.plan.is_empty(),
            plan_hash: planned.hash.to_string(),
            plan: planned.plan,
            conflicts: planned.conflicts.iter().map(Conflict::view).collect(),
            blast_radius: planned.blast_radius,
        }
    }
}

/// [`plan_in`] in a transaction of its own.
pub async fn plan(
    store: &Store,
    manifest: Manifest,
    allow_rollback: bool,
    page: MemberPage,
) -> Result<Planned, SyncError> {
    store
        .read(move |tx| plan_in(tx, &manifest, allow_rollback, page).map_err(SyncError::from))
        .await
}

/// Tells what a manifest would change, and for whom. Writes nothing.
pub fn plan_in(
    tx: &mut dyn Tx,
    manifest: &Manifest,
    allow_rollback: bool,
    page: MemberPage,
) -> Result<Planned, StoreError> {
    let rows = LiveRows::load(tx, &manifest.service)?;
    let plan = Plan::new(&rows.live, manifest);
    Ok(Planned {
        hash: plan.hash(&rows.live, manifest),
        conflicts: conflict::find(tx, &rows, manifest, &plan, allow_rollback)?,
        blast_radius: blast::radius(tx, &rows, manifest, &plan, page)?,
        plan,
    })
}

impl From<Applied> for ServiceView {
    fn from(applied: Applied) -> Self {
        Self {
            service: applied.service,
            version: applied.version,
            content_hash: applied.content_hash.to_string(),
            applied_at: applied.applied_at,
            applied_by: Some(applied.applied_by),
        }
    }
}

/// A service's manifest as applied: what is known of it, and the canonical document.
pub fn document(
    tx: &mut dyn Tx,
    service: &ServiceName,
) -> Result<Option<(ServiceView, String)>, StoreError> {
    let Some(applied) = manifests::find(tx, service)? else {
        return Ok(None);
    };
    let document = manifests::document(tx, service)?;
    Ok(document.map(|document| (applied.into(), document)))
}

/// One more than asked for tells whether there is a next page.
fn page_of<R, T>(
    mut rows: Vec<R>,
    limit: u32,
    cursor: impl Fn(&R) -> String,
    mut view: impl FnMut(R) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(cursor);
    let items = rows.into_iter().map(&mut view).collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

/// Services that synced a manifest, in order of name.
pub fn services_page(
    tx: &mut dyn Tx,
    after: Option<&ServiceName>,
    limit: u32,
) -> Result<Page<ServiceView>, StoreError> {
    let limit = limit.clamp(1, MAX_PAGE);
    let rows = manifests::page(tx, after, limit + 1)?;
    page_of(
        rows,
        limit,
        |row| row.service.to_string(),
        |row| {
            Ok(ServiceView {
                applied_by: None,
                ..row.into()
            })
        },
    )
}

/// A service's roles with what they grant, in order of name.
pub fn roles_page(
    tx: &mut dyn Tx,
    service: &ServiceName,
    after: Option<&RoleName>,
    limit: u32,
) -> Result<Page<RoleView>, StoreError> {
    let limit = limit.clamp(1, MAX_PAGE);
    let rows = roles::page(tx, service, after, limit + 1)?;
    page_of(
        rows,
        limit,
        |row| row.key.name.to_string(),
        |row| {
            Ok(RoleView {
                permissions: roles::permissions_of(tx, row.id)?,
                role: row.key,
                description: row.description,
                assignable_by: row.assignable_by,
                deprecated: row.deprecated,
            })
        },
    )
}

/// A service's permissions, in order of resource and action.
pub fn permissions_page(
    tx: &mut dyn Tx,
    service: &ServiceName,
    after: Option<(&ResourceName, &ActionName)>,
    limit: u32,
) -> Result<Page<PermissionView>, StoreError> {
    let limit = limit.clamp(1, MAX_PAGE);
    let rows = permissions::page(tx, service, after, limit + 1)?;
    page_of(
        rows,
        limit,
        |row| format!("{}:{}", row.key.resource, row.key.action),
        |row| {
            Ok(PermissionView {
                permission: row.key,
                description: row.description,
                deprecated: row.deprecated,
            })
        },
    )
}
