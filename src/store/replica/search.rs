//! Pages of members and of organizations, by the copy's inverted indexes.
//!
//! A page is read in one short transaction, so that its rows are all of one revision; its size
//! bounds the work, however many members there are.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension as _};

use super::ReplicaError;
use super::reader::{MemberFacts, ReplicaReader, id, member};
use crate::domain::organization::Slug;
use crate::domain::{OrganizationId, Revision, RoleId, UserId};

/// Holders of a role in an organization, by their primary role and by a further one.
const HOLDERS: [&str; 2] = [
    "SELECT user_id FROM organization_members \
     WHERE organization_id = ?1 AND role_id = ?2 AND user_id > ?3 ORDER BY user_id LIMIT ?4",
    "SELECT user_id FROM organization_member_roles \
     WHERE organization_id = ?1 AND role_id = ?2 AND user_id > ?3 ORDER BY user_id LIMIT ?4",
];

const MEMBERS: &str = "SELECT user_id FROM organization_members \
     WHERE organization_id = ?1 AND user_id > ?2 ORDER BY user_id LIMIT ?3";

const ORGANIZATIONS: &str = "SELECT m.organization_id, o.slug FROM organization_members m \
     LEFT JOIN organizations o ON o.id = m.organization_id \
     WHERE m.user_id = ?1 AND m.organization_id > ?2 ORDER BY m.organization_id LIMIT ?3";

/// The fewest rows that are read of a role's holders at once.
const CHUNK_MIN: usize = 8;

/// Rows of one revision, in order of id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// Where the copy stood.
    pub revision: Revision,
    /// At most as many as were asked for.
    pub rows: Vec<T>,
    /// After which id the next page begins; `None` when there are no more.
    pub next: Option<K>,
}

/// One of a user's memberships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipRow {
    /// Where.
    pub organization: OrganizationId,
    /// Its slug, if the organization is known.
    pub slug: Option<Slug>,
    /// What the member is.
    pub facts: MemberFacts,
}

impl ReplicaReader {
    /// Members of an organization in order of id, after `after`, at most `limit`: those who hold
    /// one of `roles`, or all. Suspended users are among them.
    pub fn page_of_members(
        &mut self,
        organization: OrganizationId,
        roles: Option<&[RoleId]>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Page<(UserId, MemberFacts), UserId>, ReplicaError> {
        let transaction = self.connection.transaction()?;
        let users = match roles {
            None => all_members(&transaction, organization, after, limit)?,
            Some(roles) => holders(&transaction, organization, roles, after, limit)?,
        };
        let next = users.last().copied().filter(|_| users.len() >= limit);
        let mut rows = Vec::with_capacity(users.len());
        for user in users {
            // Somebody may hold a further role whose membership is gone: that is no member.
            if let Some(facts) = member(&transaction, organization, user)? {
                rows.push((user, facts));
            }
        }
        let revision = revision(&transaction)?;
        transaction.commit()?;
        Ok(Page {
            revision,
            rows,
            next,
        })
    }

    /// One membership of a user, as a page of it.
    pub fn page_of_one_membership(
        &mut self,
        user: UserId,
        organization: OrganizationId,
    ) -> Result<Page<MembershipRow, OrganizationId>, ReplicaError> {
        let transaction = self.connection.transaction()?;
        let slug: Option<String> = transaction
            .prepare_cached("SELECT slug FROM organizations WHERE id = ?1")?
            .query_row([organization.as_uuid().as_bytes()], |row| row.get(0))
            .optional()?;
        let row = member(&transaction, organization, user)?.map(|facts| MembershipRow {
            organization,
            slug: slug.and_then(|slug| slug.parse().ok()),
            facts,
        });
        let revision = revision(&transaction)?;
        transaction.commit()?;
        Ok(Page {
            revision,
            rows: row.into_iter().collect(),
            next: None,
        })
    }

    /// A user's memberships in order of the organization's id, after `after`, at most `limit`.
    pub fn page_of_memberships(
        &mut self,
        user: UserId,
        after: Option<OrganizationId>,
        limit: usize,
    ) -> Result<Page<MembershipRow, OrganizationId>, ReplicaError> {
        let transaction = self.connection.transaction()?;
        let (rows, seen, next) = memberships(&transaction, user, after, limit)?;
        let next = next.filter(|_| seen >= limit);
        let revision = revision(&transaction)?;
        transaction.commit()?;
        Ok(Page {
            revision,
            rows,
            next,
        })
    }
}

/// A user's memberships after `after`, how many rows were looked at, and the last of them.
pub(super) fn memberships(
    connection: &Connection,
    user: UserId,
    after: Option<OrganizationId>,
    limit: usize,
) -> Result<(Vec<MembershipRow>, usize, Option<OrganizationId>), ReplicaError> {
    let mut rows = Vec::new();
    let (mut seen, mut last) = (0, None);
    let mut statement = connection.prepare_cached(ORGANIZATIONS)?;
    let after = after.map_or_else(Vec::new, |id| id.as_uuid().as_bytes().to_vec());
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = statement.query((user.as_uuid().as_bytes(), after, most))?;
    while let Some(row) = found.next()? {
        let organization = OrganizationId::from_uuid(id(row, 0)?);
        let slug: Option<String> = row.get(1)?;
        if let Some(facts) = member(connection, organization, user)? {
            rows.push(MembershipRow {
                organization,
                slug: slug.and_then(|slug| slug.parse().ok()),
                facts,
            });
        }
        seen += 1;
        last = Some(organization);
    }
    Ok((rows, seen, last))
}

pub(super) fn revision(connection: &Connection) -> Result<Revision, ReplicaError> {
    let revision: i64 = connection
        .prepare_cached("SELECT revision FROM replica")?
        .query_row([], |row| row.get(0))?;
    revision_of(revision)
}

pub(super) fn revision_of(revision: i64) -> Result<Revision, ReplicaError> {
    u64::try_from(revision)
        .map(Revision::new)
        .map_err(|_| ReplicaError::Corrupt("a negative revision".to_owned()))
}

fn all_members(
    connection: &Connection,
    organization: OrganizationId,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<UserId>, ReplicaError> {
    let mut statement = connection.prepare_cached(MEMBERS)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((organization.as_uuid().as_bytes(), key(after), limit))?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(UserId::from_uuid(id(row, 0)?));
    }
    Ok(users)
}

fn key(after: Option<UserId>) -> Vec<u8> {
    after.map_or_else(Vec::new, |user| user.as_uuid().as_bytes().to_vec())
}

/// The holders of one role, read in chunks as they are needed.
struct Run {
    sql: &'static str,
    role: RoleId,
    ahead: VecDeque<UserId>,
    /// The last one read.
    last: Option<UserId>,
    ended: bool,
}

impl Run {
    /// The next holder; reads a chunk when none is at hand.
    fn head(
        &mut self,
        connection: &Connection,
        organization: OrganizationId,
        chunk: usize,
    ) -> Result<Option<UserId>, ReplicaError> {
        if self.ahead.is_empty() && !self.ended {
            let mut statement = connection.prepare_cached(self.sql)?;
            let mut rows = statement.query((
                organization.as_uuid().as_bytes(),
                self.role.as_uuid().as_bytes(),
                key(self.last),
                i64::try_from(chunk).unwrap_or(i64::MAX),
            ))?;
            while let Some(row) = rows.next()? {
                self.ahead.push_back(UserId::from_uuid(id(row, 0)?));
            }
            self.ended = self.ahead.len() < chunk;
            self.last = self.ahead.back().copied().or(self.last);
        }
        Ok(self.ahead.front().copied())
    }
}

/// Merges the holders of several roles, nobody twice.
fn holders(
    connection: &Connection,
    organization: OrganizationId,
    roles: &[RoleId],
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<UserId>, ReplicaError> {
    let mut runs: Vec<Run> = roles
        .iter()
        .flat_map(|role| HOLDERS.map(|sql| (sql, *role)))
        .map(|(sql, role)| Run {
            sql,
            role,
            ahead: VecDeque::new(),
            last: after,
            ended: false,
        })
        .collect();
    let chunk = (limit / runs.len().max(1)).clamp(CHUNK_MIN, limit.max(CHUNK_MIN));
    let mut users = Vec::with_capacity(limit.min(1024));
    while users.len() < limit {
        let mut least: Option<UserId> = None;
        for run in &mut runs {
            if let Some(head) = run.head(connection, organization, chunk)? {
                least = Some(least.map_or(head, |least| least.min(head)));
            }
        }
        let Some(next) = least else { break };
        for run in &mut runs {
            if run.ahead.front() == Some(&next) {
                run.ahead.pop_front();
            }
        }
        // A role that nobody else holds is not asked again.
        runs.retain(|run| !run.ended || !run.ahead.is_empty());
        users.push(next);
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn every_page_is_read_by_an_index_in_its_order() {
        let connection = Connection::open_in_memory().unwrap();
        let ddl = schema::tables() + schema::INDEXES;
        connection.execute_batch(&ddl).unwrap();
        for (sql, wanted) in [
            (
                HOLDERS[0],
                "organization_members_role (organization_id=? AND role_id=? AND user_id>?)",
            ),
            (
                HOLDERS[1],
                "organization_member_roles_role (organization_id=? AND role_id=? AND user_id>?)",
            ),
            (MEMBERS, "PRIMARY KEY (organization_id=? AND user_id>?)"),
            (
                ORGANIZATIONS,
                "organization_members_user (user_id=? AND organization_id>?)",
            ),
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
            assert!(!steps.contains("SCAN"), "{sql}: {steps}");
            assert!(!steps.contains("TEMP B-TREE"), "{sql}: {steps}");
        }
    }
}
