//! Reading a copy beside its writer. Every read is an autocommit statement, or a short transaction
//! that ends before it returns: a read transaction left open would keep the WAL from shrinking.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};
use uuid::Uuid;

use super::ReplicaError;
use super::instances::instance_types;
use super::meta::ReplicaPosition;
use crate::domain::user::UserState;
use crate::domain::{
    ClientId, Epoch, GrantId, OrganizationId, PermissionId, PermissionKey, Position, Revision,
    RoleId, RoleKey, Scope, SessionId, UserId,
};
use crate::protocol::feed::EPOCH_JUMP;

/// The most of the file that is mapped: beyond it reads go through the page cache.
const MMAP_BYTES: i64 = 4 * 1024 * 1024 * 1024;

/// Membership, further roles and user state in one step. No `user_states` row means active.
const MEMBER: &str = "\
SELECT m.role_id, s.state, s.token_epoch, r.role_id, (SELECT revision FROM replica) \
FROM organization_members m \
LEFT JOIN user_states s ON s.user_id = m.user_id \
LEFT JOIN organization_member_roles r \
ON r.organization_id = m.organization_id AND r.user_id = m.user_id \
WHERE m.organization_id = ?1 AND m.user_id = ?2";

/// A read-only connection to a copy; one per thread.
#[derive(Debug)]
pub struct ReplicaReader {
    pub(super) connection: Connection,
}

/// What a member is: everything a decision asks of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFacts {
    /// The roles held, the primary one first; no role twice.
    pub roles: Vec<RoleId>,
    /// Whether the user may act.
    pub state: UserState,
    /// Tokens of the user minted under a lower number are refused.
    pub token_epoch: i64,
    /// Where the copy stood when this was read.
    pub revision: Revision,
}

/// What policies are compiled from, all of one position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRows {
    /// Where the copy stood.
    pub position: Position,
    /// All roles.
    pub roles: Vec<(RoleId, RoleKey)>,
    /// All permissions.
    pub permissions: Vec<(PermissionId, PermissionKey)>,
    /// Which role has which permission.
    pub grants: Vec<(RoleId, PermissionId)>,
    /// Which scope names which permission.
    pub scopes: Vec<(Scope, PermissionId)>,
    /// The types, `service:resource`, of which instances are registered.
    pub instance_types: Vec<String>,
}

/// A public key that tokens may be signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// Its id.
    pub kid: String,
    /// `access_token`, `id_token` or `feed`.
    pub purpose: String,
    /// The JWS algorithm.
    pub algorithm: String,
    /// The public key as JSON.
    pub public_jwk: String,
}

/// Whether a user or client may act. An absent row is active, token epoch 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// The state's text.
    pub state: String,
    /// Tokens minted under a lower number are refused.
    pub token_epoch: i64,
}

impl Default for StateRow {
    fn default() -> Self {
        Self {
            state: "active".to_owned(),
            token_epoch: 0,
        }
    }
}

impl ReplicaReader {
    /// Opens a copy for reading. The file must be there: the [`super::Replica`] is opened first.
    pub fn open(path: &Path) -> Result<Self, ReplicaError> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(Duration::from_secs(1))?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        let reader = Self { connection };
        reader.position()?;
        Ok(reader)
    }

    /// Where the copy stands now.
    pub fn position(&self) -> Result<Position, ReplicaError> {
        Ok(self.meta()?.position)
    }

    /// The copy's meta row.
    pub fn meta(&self) -> Result<ReplicaPosition, ReplicaError> {
        ReplicaPosition::read(&self.connection)
    }

    /// The epochs before the one the copy stands in, each with its last revision: what of them is
    /// part of the copy's history. Writes of such an epoch beyond it were lost.
    pub fn past_epochs(&self) -> Result<Vec<(Epoch, Revision)>, ReplicaError> {
        let epochs = collect(
            &self.connection,
            "SELECT epoch, first_revision FROM replica_epochs ORDER BY first_revision",
            |row| {
                let first = u64::try_from(row.get::<_, i64>(1)?)
                    .map_err(|_| ReplicaError::Corrupt("a negative revision".to_owned()))?;
                Ok((Epoch::from_uuid(id(row, 0)?), first))
            },
        )?;
        let next = epochs.iter().skip(1);
        Ok(epochs
            .iter()
            .zip(next)
            .map(|((epoch, _), (_, next))| (*epoch, Revision::new(next.saturating_sub(EPOCH_JUMP))))
            .collect())
    }

    /// A member's facts; `None` when the user is no member. One statement, autocommit.
    pub fn member(
        &mut self,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<MemberFacts>, ReplicaError> {
        member(&self.connection, organization, user)
    }

    /// An organization by its slug.
    pub fn organization_by_slug(
        &mut self,
        slug: &str,
    ) -> Result<Option<OrganizationId>, ReplicaError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id FROM organizations WHERE slug = ?1")?;
        let mut rows = statement.query([slug])?;
        match rows.next()? {
            Some(row) => Ok(Some(OrganizationId::from_uuid(id(row, 0)?))),
            None => Ok(None),
        }
    }

    /// Whether there is such an organization.
    pub fn organization_exists(
        &mut self,
        organization: OrganizationId,
    ) -> Result<bool, ReplicaError> {
        self.exists(
            "SELECT 1 FROM organizations WHERE id = ?1",
            organization.as_uuid(),
        )
    }

    /// Everything policies are compiled from, of one position.
    pub fn policy_facts(&mut self) -> Result<PolicyRows, ReplicaError> {
        let transaction = self.connection.transaction()?;
        let facts = policy_rows(&transaction)?;
        transaction.commit()?;
        Ok(facts)
    }

    /// All public keys.
    pub fn signing_keys(&mut self) -> Result<Vec<SigningKeyRow>, ReplicaError> {
        collect(
            &self.connection,
            "SELECT kid, purpose, algorithm, public_jwk FROM signing_keys",
            |row| {
                Ok(SigningKeyRow {
                    kid: row.get(0)?,
                    purpose: row.get(1)?,
                    algorithm: row.get(2)?,
                    public_jwk: row.get(3)?,
                })
            },
        )
    }

    /// A user's state, members or not.
    pub fn user_state(&mut self, user: UserId) -> Result<StateRow, ReplicaError> {
        self.state(
            "SELECT state, token_epoch FROM user_states WHERE user_id = ?1",
            user.as_uuid(),
        )
    }

    /// A client's state.
    pub fn client_state(&mut self, client: ClientId) -> Result<StateRow, ReplicaError> {
        self.state(
            "SELECT state, token_epoch FROM client_states WHERE client_id = ?1",
            client.as_uuid(),
        )
    }

    /// Whether a session was revoked.
    pub fn is_revoked_session(&mut self, session: SessionId) -> Result<bool, ReplicaError> {
        self.exists(
            "SELECT 1 FROM revoked_sessions WHERE session_id = ?1",
            session.as_uuid(),
        )
    }

    /// Whether a grant was revoked.
    pub fn is_revoked_grant(&mut self, grant: GrantId) -> Result<bool, ReplicaError> {
        self.exists(
            "SELECT 1 FROM revoked_grants WHERE grant_id = ?1",
            grant.as_uuid(),
        )
    }

    fn exists(&self, sql: &str, id: Uuid) -> Result<bool, ReplicaError> {
        Ok(self
            .connection
            .prepare_cached(sql)?
            .exists([id.as_bytes()])?)
    }

    fn state(&self, sql: &str, id: Uuid) -> Result<StateRow, ReplicaError> {
        let row = self
            .connection
            .prepare_cached(sql)?
            .query_row([id.as_bytes()], |row| {
                Ok(StateRow {
                    state: row.get(0)?,
                    token_epoch: row.get(1)?,
                })
            })
            .optional()?;
        Ok(row.unwrap_or_default())
    }
}

/// Everything policies are compiled from, inside a transaction.
pub(super) fn policy_rows(connection: &Connection) -> Result<PolicyRows, ReplicaError> {
    Ok(PolicyRows {
        position: ReplicaPosition::read(connection)?.position,
        roles: collect(connection, "SELECT id, service, name FROM roles", |row| {
            Ok((
                RoleId::from_uuid(id(row, 0)?),
                RoleKey {
                    service: name(row, 1)?,
                    name: name(row, 2)?,
                },
            ))
        })?,
        permissions: collect(
            connection,
            "SELECT id, service, resource, action FROM permissions",
            |row| {
                Ok((
                    PermissionId::from_uuid(id(row, 0)?),
                    PermissionKey {
                        service: name(row, 1)?,
                        resource: name(row, 2)?,
                        action: name(row, 3)?,
                    },
                ))
            },
        )?,
        grants: collect(
            connection,
            "SELECT role_id, permission_id FROM role_permissions",
            |row| {
                Ok((
                    RoleId::from_uuid(id(row, 0)?),
                    PermissionId::from_uuid(id(row, 1)?),
                ))
            },
        )?,
        scopes: collect(
            connection,
            "SELECT scope, permission_id FROM scope_permissions",
            |row| Ok((name(row, 0)?, PermissionId::from_uuid(id(row, 1)?))),
        )?,
        instance_types: instance_types(connection)?,
    })
}

/// A member's facts; `None` when the user is no member. One statement.
pub(super) fn member(
    connection: &Connection,
    organization: OrganizationId,
    user: UserId,
) -> Result<Option<MemberFacts>, ReplicaError> {
    let mut statement = connection.prepare_cached(MEMBER)?;
    let mut rows =
        statement.query((organization.as_uuid().as_bytes(), user.as_uuid().as_bytes()))?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut facts = MemberFacts {
        roles: vec![RoleId::from_uuid(id(row, 0)?)],
        state: match row.get_ref(1)?.as_str_or_null()? {
            None => UserState::Active,
            Some(text) => UserState::parse(text)
                .ok_or_else(|| ReplicaError::Corrupt(format!("user state `{text}`")))?,
        },
        token_epoch: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
        revision: Revision::new(
            u64::try_from(row.get::<_, i64>(4)?)
                .map_err(|_| ReplicaError::Corrupt("a negative revision".to_owned()))?,
        ),
    };
    further(&mut facts.roles, row)?;
    while let Some(row) = rows.next()? {
        further(&mut facts.roles, row)?;
    }
    Ok(Some(facts))
}

fn further(roles: &mut Vec<RoleId>, row: &Row<'_>) -> Result<(), ReplicaError> {
    if let Some(bytes) = row.get_ref(3)?.as_blob_or_null()? {
        let role = RoleId::from_uuid(uuid(bytes)?);
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    Ok(())
}

fn collect<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<T, ReplicaError>,
) -> Result<Vec<T>, ReplicaError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

impl From<rusqlite::types::FromSqlError> for ReplicaError {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

fn uuid(bytes: &[u8]) -> Result<Uuid, ReplicaError> {
    Uuid::from_slice(bytes).map_err(|_| ReplicaError::Corrupt("an id of another length".to_owned()))
}

pub(super) fn id(row: &Row<'_>, index: usize) -> Result<Uuid, ReplicaError> {
    uuid(row.get_ref(index)?.as_blob()?)
}

fn name<T: std::str::FromStr>(row: &Row<'_>, index: usize) -> Result<T, ReplicaError> {
    row.get_ref(index)?
        .as_str()?
        .parse()
        .map_err(|_| ReplicaError::Corrupt("a name that is none".to_owned()))
}
