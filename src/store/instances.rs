//! Rows of instances that services registered.

use std::collections::BTreeMap;

use crate::domain::instance::Attributes;
use crate::domain::{
    Instance, InstanceId, InstanceKey, OrganizationId, ResourceName, ServiceName, Slug, Timestamp,
};

use super::{Row, StoreError, Tx, Val, batch};

const TABLE: &str = "resource_instances";

/// What is registered of an instance: where it belongs, and its attributes as canonical JSON.
pub type Registered = (OrganizationId, String);

fn read(service: &ServiceName, row: &Row) -> Result<Instance, StoreError> {
    Ok(Instance {
        key: InstanceKey {
            service: service.clone(),
            resource: row.parse(0)?,
            id: row.parse(1)?,
        },
        organization: OrganizationId::from_uuid(row.uuid(2)?),
        attributes: row.parse::<Attributes>(3)?,
        updated_at: row.time(4)?,
    })
}

/// Which of these instances of a resource are registered, and as what.
pub fn registered<'i>(
    tx: &mut dyn Tx,
    service: &ServiceName,
    resource: &ResourceName,
    ids: impl IntoIterator<Item = &'i InstanceId>,
) -> Result<BTreeMap<InstanceId, Registered>, StoreError> {
    let rows = batch::rows_in(
        tx,
        "SELECT id, organization_id, attributes FROM resource_instances \
         WHERE service = ?1 AND resource = ?2 AND id IN",
        &[service.into(), resource.into()],
        ids.into_iter().map(Val::from),
    )?;
    rows.iter()
        .map(|row| {
            let organization = OrganizationId::from_uuid(row.uuid(1)?);
            Ok((row.parse(0)?, (organization, row.text(2)?.to_owned())))
        })
        .collect()
}

/// Registers instances, known or not. No instance may stand there twice.
///
/// # Errors
///
/// [`StoreError::ForeignKey`] when an organization is gone.
pub fn put(
    tx: &mut dyn Tx,
    service: &ServiceName,
    instances: impl IntoIterator<Item = (ResourceName, InstanceId, Registered)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows =
        instances
            .into_iter()
            .map(|(resource, id, (organization, attributes))| -> [Val; 6] {
                [
                    service.into(),
                    (&resource).into(),
                    (&id).into(),
                    organization.into(),
                    attributes.into(),
                    now.into(),
                ]
            });
    batch::upsert(
        tx,
        TABLE,
        [
            "service",
            "resource",
            "id",
            "organization_id",
            "attributes",
            "updated_at",
        ],
        3,
        rows,
    )
}

/// Removes instances of a resource. Those that are not registered are fine.
pub fn delete<'i>(
    tx: &mut dyn Tx,
    service: &ServiceName,
    resource: &ResourceName,
    ids: impl IntoIterator<Item = &'i InstanceId>,
) -> Result<(), StoreError> {
    batch::exec_in(
        tx,
        "DELETE FROM resource_instances WHERE service = ?1 AND resource = ?2 AND id IN",
        &[service.into(), resource.into()],
        ids.into_iter().map(Val::from),
    )
}

/// Removes all instances of a resource. Gives their number.
pub fn delete_all_of(
    tx: &mut dyn Tx,
    service: &ServiceName,
    resource: &ResourceName,
) -> Result<u64, StoreError> {
    tx.exec(
        "DELETE FROM resource_instances WHERE service = ?1 AND resource = ?2",
        &[service.into(), resource.into()],
    )
}

/// The organizations among these that there are, each with how many instances the service has
/// registered in it.
pub fn counts(
    tx: &mut dyn Tx,
    service: &ServiceName,
    organizations: impl IntoIterator<Item = OrganizationId>,
) -> Result<BTreeMap<OrganizationId, u64>, StoreError> {
    let rows = batch::rows_in(
        tx,
        "SELECT o.id, (SELECT count(*) FROM resource_instances i \
         WHERE i.organization_id = o.id AND i.service = ?1) FROM organizations o WHERE o.id IN",
        &[service.into()],
        organizations.into_iter().map(Val::from),
    )?;
    rows.iter()
        .map(|row| {
            let count = u64::try_from(row.int(1)?).unwrap_or_default();
            Ok((OrganizationId::from_uuid(row.uuid(0)?), count))
        })
        .collect()
}

/// The organizations that have or had these slugs.
pub fn organizations_of_slugs<'s>(
    tx: &mut dyn Tx,
    slugs: impl IntoIterator<Item = &'s Slug>,
) -> Result<BTreeMap<Slug, OrganizationId>, StoreError> {
    let rows = batch::rows_in(
        tx,
        "SELECT slug, organization_id FROM organization_slugs \
         WHERE organization_id IS NOT NULL AND slug IN",
        &[],
        slugs.into_iter().map(Val::from),
    )?;
    rows.iter()
        .map(|row| Ok((row.parse(0)?, OrganizationId::from_uuid(row.uuid(1)?))))
        .collect()
}

/// Which instances of a service a page shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Of this resource only.
    pub resource: Option<ResourceName>,
    /// Of this organization only.
    pub organization: Option<OrganizationId>,
    /// After this one.
    pub after: Option<(ResourceName, InstanceId)>,
}

/// A page of a service's instances in order of resource and id, by bytes.
pub fn page(
    tx: &mut dyn Tx,
    service: &ServiceName,
    shown: &Shown,
    limit: u32,
) -> Result<Vec<Instance>, StoreError> {
    let mut params: Vec<Val> = vec![service.into(), i64::from(limit).into()];
    let mut only = String::new();
    let mut narrow = |form: &str, value: Val| {
        params.push(value);
        only.push_str(&form.replace('#', &format!("?{}", params.len())));
    };
    if let Some(resource) = &shown.resource {
        narrow(" AND resource = #", resource.into());
    }
    if let Some(organization) = shown.organization {
        narrow(" AND organization_id = #", organization.into());
    }
    if let Some((resource, id)) = &shown.after {
        narrow(" AND (resource, id) > (#", resource.into());
        narrow(", #)", id.into());
    }
    let sql = format!(
        "SELECT resource, id, organization_id, attributes, updated_at FROM resource_instances \
         WHERE service = ?1{only} ORDER BY resource, id LIMIT ?2"
    );
    tx.rows(&sql, &params)?
        .iter()
        .map(|row| read(service, row))
        .collect()
}
