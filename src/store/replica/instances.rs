//! Registered instances of a copy: one by its key, and pages of those in a user's organizations.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::ReplicaError;
use super::reader::{MemberFacts, ReplicaReader, id, member};
use super::search::{MembershipRow, Page, memberships, revision, revision_of};
use crate::domain::{OrganizationId, Revision, UserId};

/// The revision in any case, and the instance if there is one.
const INSTANCE: &str = "SELECT r.revision, i.organization_id, i.attributes FROM replica r \
     LEFT JOIN resource_instances i ON i.service = ?1 AND i.resource = ?2 AND i.id = ?3 \
     WHERE r.one = 1";

/// The next resource that has an instance.
const NEXT_RESOURCE: &str = "SELECT service, resource FROM resource_instances \
     WHERE (service, resource) > (?1, ?2) ORDER BY service, resource LIMIT 1";

/// `unlikely`: the planner would otherwise walk all instances of the resource.
const INSTANCES: &str = "SELECT id, attributes FROM resource_instances \
     WHERE service = ?1 AND resource = ?2 AND unlikely(organization_id = ?3) AND id > ?4 \
     ORDER BY id LIMIT ?5";

/// What is registered of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    /// Where it belongs.
    pub organization: OrganizationId,
    /// Its attributes, a JSON object.
    pub attributes: String,
}

/// An instance in one of a user's organizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// Its id.
    pub id: String,
    /// What is registered of it.
    pub facts: InstanceFacts,
    /// What the user is there.
    pub member: Arc<MemberFacts>,
}

/// After what a page of instances begins: the whole of an organization, or one of its instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceCursor {
    /// The organization.
    pub organization: OrganizationId,
    /// The instance; `None`: all of the organization's.
    pub id: Option<String>,
}

/// How much a page of instances looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceBounds {
    /// Memberships, at most.
    pub memberships: usize,
    /// Instances, at most.
    pub instances: usize,
}

impl ReplicaReader {
    /// What is registered of an instance, and where the copy stood. One statement, autocommit.
    pub fn instance(
        &mut self,
        (service, resource): (&str, &str),
        instance: &str,
    ) -> Result<(Revision, Option<InstanceFacts>), ReplicaError> {
        let mut statement = self.connection.prepare_cached(INSTANCE)?;
        let mut rows = statement.query((service, resource, instance))?;
        let row = rows
            .next()?
            .ok_or_else(|| ReplicaError::Corrupt("the meta row is missing".to_owned()))?;
        let revision = revision_of(row.get(0)?)?;
        if row.get_ref(1)?.as_blob_or_null()?.is_none() {
            return Ok((revision, None));
        }
        let facts = InstanceFacts {
            organization: OrganizationId::from_uuid(id(row, 1)?),
            attributes: row.get(2)?,
        };
        Ok((revision, Some(facts)))
    }

    /// Instances of a resource in those of the user's organizations that `wanted` picks, in order
    /// of organization and id, after `after`. All of one revision.
    pub fn page_of_instances(
        &mut self,
        (user, only): (UserId, Option<OrganizationId>),
        (service, resource): (&str, &str),
        after: Option<&InstanceCursor>,
        bounds: InstanceBounds,
        wanted: &mut dyn FnMut(&MembershipRow) -> bool,
    ) -> Result<Page<InstanceRow, InstanceCursor>, ReplicaError> {
        let transaction = self.connection.transaction()?;
        let (places, more) = places(&transaction, (user, only), after, bounds.memberships)?;
        let mut rows: Vec<InstanceRow> = Vec::new();
        for (place, begin) in places {
            let organization = place.organization;
            if !wanted(&place) {
                continue;
            }
            let room = bounds.instances.saturating_sub(rows.len());
            let member = Arc::new(place.facts);
            let kind = (service, resource);
            let found = instances_in(&transaction, kind, organization, &begin, room)?;
            let full = found.len() >= room;
            let last = found.last().map_or(begin, |(id, _)| id.clone());
            rows.extend(found.into_iter().map(|(id, attributes)| InstanceRow {
                id,
                facts: InstanceFacts {
                    organization,
                    attributes,
                },
                member: Arc::clone(&member),
            }));
            if full {
                let next = Some(InstanceCursor {
                    organization,
                    id: Some(last),
                });
                return page(transaction, rows, next);
            }
        }
        let next = more.map(|organization| InstanceCursor {
            organization,
            id: None,
        });
        page(transaction, rows, next)
    }
}

fn page(
    transaction: rusqlite::Transaction<'_>,
    rows: Vec<InstanceRow>,
    next: Option<InstanceCursor>,
) -> Result<Page<InstanceRow, InstanceCursor>, ReplicaError> {
    let revision = revision(&transaction)?;
    transaction.commit()?;
    Ok(Page {
        revision,
        rows,
        next,
    })
}

/// A membership to look into, and the id after which to begin.
type Place = (MembershipRow, String);

/// The memberships to look into, each with the id after which to begin, and after which organization
/// there may be more.
fn places(
    connection: &Connection,
    (user, only): (UserId, Option<OrganizationId>),
    after: Option<&InstanceCursor>,
    limit: usize,
) -> Result<(Vec<Place>, Option<OrganizationId>), ReplicaError> {
    let one = |organization| {
        let facts = member(connection, organization, user)?;
        Ok::<_, ReplicaError>(facts.map(|facts| MembershipRow {
            organization,
            slug: None,
            facts,
        }))
    };
    let mut places = Vec::new();
    // The one that the page before was in the middle of.
    let begun = after.and_then(|cursor| Some((cursor.organization, cursor.id.clone()?)));
    if let Some((organization, id)) = begun
        && only.is_none_or(|only| only == organization)
        && let Some(row) = one(organization)?
    {
        places.push((row, id));
    }
    let after = after.map(|cursor| cursor.organization);
    if let Some(only) = only {
        if after.is_none_or(|after| after < only)
            && let Some(row) = one(only)?
        {
            places.push((row, String::new()));
        }
        return Ok((places, None));
    }
    let (rows, seen, last) = memberships(connection, user, after, limit)?;
    places.extend(rows.into_iter().map(|row| (row, String::new())));
    Ok((places, last.filter(|_| seen >= limit)))
}

fn instances_in(
    connection: &Connection,
    (service, resource): (&str, &str),
    organization: OrganizationId,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, String)>, ReplicaError> {
    let mut statement = connection.prepare_cached(INSTANCES)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(
        (
            service,
            resource,
            organization.as_uuid().as_bytes(),
            after,
            limit,
        ),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The types, `service:resource`, of which instances are registered. A step for each, whatever the
/// number of instances.
pub(super) fn instance_types(connection: &Connection) -> Result<Vec<String>, ReplicaError> {
    let mut statement = connection.prepare_cached(NEXT_RESOURCE)?;
    let mut types = Vec::new();
    let mut last = (String::new(), String::new());
    loop {
        let next: Option<(String, String)> = statement
            .query_row((&last.0, &last.1), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some(next) = next else {
            return Ok(types);
        };
        types.push(format!("{}:{}", next.0, next.1));
        last = next;
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn instances_are_read_by_an_index_in_the_order_of_a_page() {
        let connection = Connection::open_in_memory().unwrap();
        let ddl = schema::tables() + schema::INDEXES;
        connection.execute_batch(&ddl).unwrap();
        for (sql, wanted) in [
            (INSTANCE, "PRIMARY KEY (service=? AND resource=? AND id=?)"),
            (
                INSTANCES,
                "resource_instances_organization (service=? AND resource=? AND organization_id=? AND id>?)",
            ),
            (NEXT_RESOURCE, "((service,resource)>(?,?))"),
        ] {
            let mut statement = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap();
            let steps: Vec<String> = statement
                .raw_query()
                .mapped(|row| row.get(3))
                .map(Result::unwrap)
                .collect();
            let steps = steps.join("\n");
            assert!(steps.contains(wanted), "{sql}: {steps}");
            assert!(!steps.contains("TEMP B-TREE"), "{sql}: {steps}");
        }
    }
}
