//! Instances that services register: the rules, over a transaction at hand.
//!
//! A batch is carried out whole or not at all, under the service's lock, and leaves one audit row.
//! One that would change nothing changes nothing: no row, no audit row, no revision.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::authority::access::Denied;
use crate::authority::change::{Change, Event};
use crate::domain::{InstanceId, OrganizationId, ResourceName, ServiceName, Slug};
use crate::protocol::instances::{
    BatchView, InstanceBatch, InstanceRef, InstanceView, MAX_BATCH, OrganizationRef, PutInstance,
};
use crate::protocol::organizations::Page;
use crate::protocol::problem::Mistake;
use crate::runtime::config::Reader;
use crate::store::instances::{Registered, Shown};
use crate::store::{Lock, StoreError, Tx, instances, manifests, permissions};

/// The permission to register and remove instances.
pub const REGISTER: &str = "auth:resource:register";
/// The permission to see them.
pub const READ: &str = "auth:resource:read";

/// The most mistakes that a refusal names.
const MISTAKES: usize = 100;

/// How much services may register.
///
/// ```toml
/// [instances]
/// per_organization = 100000
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// The most instances that one service has in one organization.
    pub per_organization: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            per_organization: 100_000,
        }
    }
}

impl Quotas {
    /// Reads the section.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            per_organization: reader.or("per_organization", Self::default().per_organization),
        }
    }
}

/// Why a batch was refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstancesError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The service has declared nothing.
    #[error("no service `{0}` has synced a manifest")]
    UnknownService(ServiceName),
    /// It is not registered.
    #[error("no `{resource}` with this id is registered")]
    NotRegistered {
        /// Of which kind it would be.
        resource: ResourceName,
    },
    /// The batch is wrong at these places.
    #[error("the batch holds mistakes")]
    Mistakes(Vec<Mistake>),
    /// More than the service may have in an organization.
    #[error(
        "the service would have {wanted} instances in organization `{organization}`, and at most {most} are allowed"
    )]
    Quota {
        /// The organization.
        organization: OrganizationId,
        /// How many there would be.
        wanted: u64,
        /// How many there may be.
        most: u64,
    },
    /// An organization was deleted meanwhile.
    #[error("an organization was deleted meanwhile: send the batch again")]
    OrganizationGone,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for InstancesError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::ForeignKey => Self::OrganizationGone,
            error => Self::Store(error),
        }
    }
}

/// What can be said of a batch without looking anything up: its size, and what stands there twice.
///
/// # Errors
///
/// [`InstancesError::Mistakes`].
pub fn check(batch: &InstanceBatch) -> Result<(), InstancesError> {
    let items = batch.put.len().saturating_add(batch.delete.len());
    if items > MAX_BATCH {
        let detail = format!("a batch has at most {MAX_BATCH} items, this one has {items}");
        return Err(InstancesError::Mistakes(vec![Mistake::new("", detail)]));
    }
    let mut seen = BTreeSet::new();
    let put = batch.put.iter().map(|item| (&item.resource, &item.id));
    let delete = batch.delete.iter().map(|item| (&item.resource, &item.id));
    let places = put
        .enumerate()
        .map(|(place, key)| ("put", place, key))
        .chain(
            delete
                .enumerate()
                .map(|(place, key)| ("delete", place, key)),
        );
    let mistakes: Vec<Mistake> = places
        .filter(|(_, _, key)| !seen.insert(*key))
        .map(|(list, place, _)| {
            let detail = "this `type` and `id` stand in the batch already";
            Mistake::new(format_args!("/{list}/{place}/id"), detail)
        })
        .take(MISTAKES)
        .collect();
    refuse(mistakes)
}

fn refuse(mistakes: Vec<Mistake>) -> Result<(), InstancesError> {
    if mistakes.is_empty() {
        Ok(())
    } else {
        Err(InstancesError::Mistakes(mistakes))
    }
}

/// What there is of an organization that a batch names.
struct Organizations {
    by_slug: BTreeMap<Slug, OrganizationId>,
    /// How many instances the service has in each.
    counts: BTreeMap<OrganizationId, u64>,
}

impl Organizations {
    fn load(
        tx: &mut dyn Tx,
        service: &ServiceName,
        items: &[PutInstance],
    ) -> Result<Self, StoreError> {
        let mut slugs = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for item in items {
            match &item.organization {
                OrganizationRef::Id(id) => {
                    ids.insert(*id);
                }
                OrganizationRef::Slug(slug) => {
                    slugs.insert(slug);
                }
            }
        }
        let by_slug = instances::organizations_of_slugs(tx, slugs)?;
        ids.extend(by_slug.values().copied());
        let counts = instances::counts(tx, service, ids)?;
        Ok(Self { by_slug, counts })
    }

    fn find(&self, named: &OrganizationRef) -> Option<OrganizationId> {
        let id = match named {
            OrganizationRef::Id(id) => *id,
            OrganizationRef::Slug(slug) => *self.by_slug.get(slug)?,
        };
        self.counts.contains_key(&id).then_some(id)
    }
}

/// What a batch comes to.
#[derive(Default)]
struct Changes {
    put: Vec<(ResourceName, InstanceId, Registered)>,
    delete: BTreeMap<ResourceName, Vec<InstanceId>>,
    view: BatchView,
    /// How many more instances each organization has.
    gained: BTreeMap<OrganizationId, i64>,
}

impl Changes {
    fn gain(&mut self, organization: OrganizationId, by: i64) {
        let gained = self.gained.entry(organization).or_default();
        *gained = gained.saturating_add(by);
    }

    fn put(&mut self, item: &PutInstance, to: Registered, before: Option<&Registered>) {
        match before {
            Some(before) if *before == to => {
                self.view.unchanged += 1;
                return;
            }
            Some((organization, _)) => {
                self.view.updated += 1;
                self.gain(*organization, -1);
            }
            None => self.view.created += 1,
        }
        self.gain(to.0, 1);
        self.put.push((item.resource.clone(), item.id.clone(), to));
    }

    fn delete(&mut self, item: &InstanceRef, before: &Registered) {
        self.view.deleted += 1;
        self.gain(before.0, -1);
        self.delete
            .entry(item.resource.clone())
            .or_default()
            .push(item.id.clone());
    }
}

/// Carries out a batch that passed [`check`].
///
/// # Errors
///
/// [`InstancesError`]; nothing is to be committed then.
pub fn apply(
    tx: &mut dyn Tx,
    change: &Change,
    service: &ServiceName,
    batch: &InstanceBatch,
    quotas: Quotas,
) -> Result<BatchView, InstancesError> {
    // Against another batch, for the quota; against a manifest, for the resources it declares.
    tx.lock(Lock::Service(service.clone()))?;
    change
        .access
        .check_service(tx, &change.actor, REGISTER, service)?;
    if manifests::find(tx, service)?.is_none() {
        return Err(InstancesError::UnknownService(service.clone()));
    }
    let organizations = Organizations::load(tx, service, &batch.put)?;
    let places = places(&permissions::resources(tx, service)?, &organizations, batch)?;
    let before = registered(tx, service, batch)?;
    let known = |resource: &ResourceName, id: &InstanceId| before.get(resource)?.get(id);
    let mut changes = Changes::default();
    for (item, organization) in batch.put.iter().zip(places) {
        let to = (organization, item.attributes.canonical_json());
        changes.put(item, to, known(&item.resource, &item.id));
    }
    for item in &batch.delete {
        if let Some(before) = known(&item.resource, &item.id) {
            changes.delete(item, before);
        }
    }
    let view = changes.view;
    if view.created + view.updated + view.deleted == 0 {
        return Ok(view);
    }
    check_quota(&organizations, &changes, quotas)?;
    write(tx, change, service, changes)?;
    Ok(view)
}

/// Where each item belongs.
fn places(
    declared: &BTreeSet<ResourceName>,
    organizations: &Organizations,
    batch: &InstanceBatch,
) -> Result<Vec<OrganizationId>, InstancesError> {
    let mut mistakes = Vec::new();
    let mut places = Vec::with_capacity(batch.put.len());
    for (place, item) in batch.put.iter().enumerate() {
        if mistakes.len() >= MISTAKES {
            break;
        }
        if !declared.contains(&item.resource) {
            let detail = format!("the service declares no resource `{}`", item.resource);
            let pointer = format_args!("/put/{place}/type").to_string();
            mistakes.push(Mistake::new(pointer, detail));
        }
        if let Some(organization) = organizations.find(&item.organization) {
            places.push(organization);
        } else {
            let detail = format!("there is no organization `{}`", item.organization);
            let pointer = format_args!("/put/{place}/organization").to_string();
            mistakes.push(Mistake::new(pointer, detail));
        }
    }
    refuse(mistakes).map(|()| places)
}

type Before = BTreeMap<ResourceName, BTreeMap<InstanceId, Registered>>;

/// What is registered of the instances that a batch names.
fn registered(
    tx: &mut dyn Tx,
    service: &ServiceName,
    batch: &InstanceBatch,
) -> Result<Before, StoreError> {
    let put = batch.put.iter().map(|item| (&item.resource, &item.id));
    let delete = batch.delete.iter().map(|item| (&item.resource, &item.id));
    let mut ids: BTreeMap<&ResourceName, Vec<&InstanceId>> = BTreeMap::new();
    for (resource, id) in put.chain(delete) {
        ids.entry(resource).or_default().push(id);
    }
    ids.into_iter()
        .map(|(resource, ids)| {
            let found = instances::registered(tx, service, resource, ids)?;
            Ok((resource.clone(), found))
        })
        .collect()
}

fn check_quota(
    organizations: &Organizations,
    changes: &Changes,
    quotas: Quotas,
) -> Result<(), InstancesError> {
    for (organization, gained) in &changes.gained {
        let now = organizations
            .counts
            .get(organization)
            .copied()
            .unwrap_or_default();
        let wanted = now.saturating_add_signed(*gained);
        // One that is over a quota that was lowered may still be emptied.
        if *gained > 0 && wanted > quotas.per_organization {
            return Err(InstancesError::Quota {
                organization: *organization,
                wanted,
                most: quotas.per_organization,
            });
        }
    }
    Ok(())
}

fn write(
    tx: &mut dyn Tx,
    change: &Change,
    service: &ServiceName,
    changes: Changes,
) -> Result<(), StoreError> {
    let Changes {
        put, delete, view, ..
    } = changes;
    let resources: BTreeSet<String> = put
        .iter()
        .map(|(resource, ..)| resource)
        .chain(delete.keys())
        .map(ToString::to_string)
        .collect();
    for (resource, ids) in &delete {
        instances::delete(tx, service, resource, ids)?;
    }
    instances::put(tx, service, put, change.now)?;
    change.record(
        tx,
        Event {
            name: "resources.registered",
            organization: None,
            target: Some(format!("service:{service}")),
            details: json!({
                "types": resources,
                "created": view.created,
                "updated": view.updated,
                "deleted": view.deleted,
            }),
        },
    )
}

/// Removes one instance.
///
/// # Errors
///
/// [`InstancesError::NotRegistered`] when there is none.
pub fn remove(
    tx: &mut dyn Tx,
    change: &Change,
    service: &ServiceName,
    item: &InstanceRef,
    quotas: Quotas,
) -> Result<(), InstancesError> {
    let batch = InstanceBatch {
        put: Vec::new(),
        delete: vec![item.clone()],
    };
    match apply(tx, change, service, &batch, quotas)?.deleted {
        0 => Err(InstancesError::NotRegistered {
            resource: item.resource.clone(),
        }),
        _ => Ok(()),
    }
}

/// A page of a service's instances in order of resource and id, by bytes.
///
/// # Errors
///
/// [`InstancesError::UnknownService`].
pub fn page(
    tx: &mut dyn Tx,
    service: &ServiceName,
    shown: &Shown,
    limit: u32,
) -> Result<Page<InstanceView>, InstancesError> {
    if manifests::find(tx, service)?.is_none() {
        return Err(InstancesError::UnknownService(service.clone()));
    }
    let mut rows = instances::page(tx, service, shown, limit.saturating_add(1))?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let last = rows.last().filter(|_| more);
    let next = last.map(|row| format!("{}:{}", row.key.resource, row.key.id));
    Ok(Page {
        items: rows.into_iter().map(InstanceView::from).collect(),
        next,
    })
}
