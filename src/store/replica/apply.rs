//! Applying frames: whole revisions, verified before anything is touched.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, params_from_iter};

use super::instances::instance_types;
use super::meta::{self, ReplicaPosition};
use super::reader::{PolicyRows, policy_rows};
use super::schema::{Bind, TableShape, cells};
use super::{Replica, ReplicaError};
use crate::domain::{ClientId, Epoch, GrantId, Position, Revision, SessionId, Timestamp, UserId};
use crate::protocol::feed::{Cell, Frame, Op, SealedFrame, row_hash};

/// A new epoch whose proof came with the frames (or with a heartbeat, when there are none yet).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEpoch {
    /// Its id.
    pub epoch: Epoch,
    /// The number of its first change: the only jump in numbers there is.
    pub first_revision: Revision,
}

/// What to apply. The caller has verified the signature; frames up to the copy's own revision are
/// passed over.
#[derive(Debug, Clone, Copy)]
pub struct Advance<'a> {
    /// Frames in order.
    pub frames: &'a [SealedFrame],
    /// An epoch that begins before the first frame.
    pub epoch: Option<NewEpoch>,
    /// The time of the signature, kept so that an older one is known for a replay after a restart.
    pub signed_time: Option<Timestamp>,
}

impl<'a> Advance<'a> {
    /// Frames alone.
    pub const fn frames(frames: &'a [SealedFrame]) -> Self {
        Self {
            frames,
            epoch: None,
            signed_time: None,
        }
    }
}

/// What an [`Advance`] changed: what a reader's caches must forget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each tells another cache to forget; they are independent"
)]
pub struct Applied {
    /// Where the copy stands now.
    pub position: Position,
    /// Users with a changed membership, further role or state; each once.
    pub touched_users: Vec<UserId>,
    /// Roles, permissions, grants or scopes changed.
    pub policy_changed: bool,
    /// Organizations came, went or changed their slug.
    pub organizations_changed: bool,
    /// Public signing keys changed.
    pub keys_changed: bool,
    /// Clients whose state changed; each once.
    pub touched_clients: Vec<ClientId>,
    /// Sessions that were revoked, or whose revocation expired; each once.
    pub touched_sessions: Vec<SessionId>,
    /// Grants that were revoked, or whose revocation expired; each once.
    pub touched_grants: Vec<GrantId>,
    /// Instances that came, went or changed, each once as `service:resource:id`.
    pub touched_instances: Vec<String>,
    /// The types, `service:resource`, of which instances are registered now; `None` when none of
    /// them changed.
    pub instance_types: Option<Vec<String>>,
    /// Whether the commit waited for the disk: it took something away.
    pub durable: bool,
    /// How many frames were applied.
    pub frames: usize,
}

/// A change of what policies are compiled from, written but not yet committed: no reader sees it.
#[derive(Debug)]
pub struct Uncommitted<'a>(&'a Connection);

impl Uncommitted<'_> {
    /// What policies will be compiled from, and where the copy will stand.
    ///
    /// # Errors
    ///
    /// The rows cannot be read.
    pub fn policy_rows(&self) -> Result<PolicyRows, ReplicaError> {
        policy_rows(self.0)
    }
}

/// Asked before such a change is committed: an error leaves the copy as it was.
pub type BeforeCommit<'a> = dyn FnMut(&Uncommitted<'_>) -> Result<(), String> + 'a;

/// Tables by number, for what depends on which one it is.
mod table {
    pub(super) const ORGANIZATIONS: u16 = 1;
    pub(super) const PERMISSIONS: u16 = 2;
    pub(super) const ROLES: u16 = 3;
    pub(super) const ROLE_PERMISSIONS: u16 = 4;
    pub(super) const MEMBERS: u16 = 5;
    pub(super) const MEMBER_ROLES: u16 = 6;
    pub(super) const USER_STATES: u16 = 7;
    pub(super) const CLIENT_STATES: u16 = 8;
    pub(super) const REVOKED_SESSIONS: u16 = 9;
    pub(super) const REVOKED_GRANTS: u16 = 10;
    pub(super) const SIGNING_KEYS: u16 = 11;
    pub(super) const SCOPE_PERMISSIONS: u16 = 12;
    pub(super) use crate::store::replicated::RESOURCE_INSTANCES;
}

/// One row's way from before the batch to after it.
struct Change<'t> {
    shape: &'t TableShape,
    key: Vec<Cell>,
    before: Option<Vec<Cell>>,
    after: Option<Vec<Cell>>,
}

impl Replica {
    /// Applies frames in one transaction. Numbers and chain are verified before anything is read or
    /// written; either all frames are in the copy afterwards or none.
    ///
    /// The commit waits for the disk when a row was removed or changed, or one was added that takes
    /// something away (a suspension, a revocation); an addition may be lost with the power.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::needs_snapshot`] tells whether to go on with a snapshot. The copy is as it was.
    pub fn apply(&mut self, advance: &Advance<'_>) -> Result<Applied, ReplicaError> {
        self.apply_with(advance, &mut |_| Ok(()))
    }

    /// As [`Self::apply`], and where roles, permissions, grants or scopes change, `before_commit`
    /// gets ready for them while no reader sees them.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`]; [`ReplicaError::Refused`] with what `before_commit` says.
    pub fn apply_with(
        &mut self,
        advance: &Advance<'_>,
        before_commit: &mut BeforeCommit<'_>,
    ) -> Result<Applied, ReplicaError> {
        let mut next = self.meta.clone();
        if let Some(time) = advance.signed_time {
            next.signed_time = next.signed_time.max(time);
        }
        if let Some(epoch) = advance.epoch {
            begin_epoch(&mut next.position, epoch)?;
        }
        let frames = verify(&mut next.position, advance.frames)?;
        let changes = with_images(&self.connection, net_changes(&self.tables, frames)?)?;
        for change in &changes {
            let hash = |cells: &Vec<Cell>| row_hash(change.shape.id, cells);
            if let Some(before) = change.before.as_ref().map(hash) {
                meta::subtract(&mut next.state, before);
            }
            if let Some(after) = change.after.as_ref().map(hash) {
                meta::add(&mut next.state, after);
            }
        }
        let durable = advance.epoch.is_some() || changes.iter().any(takes_away);
        let mut applied = applied(next.position, &changes, durable, frames.len());
        let transaction = self.begin(durable)?;
        write_all(&transaction, &next, advance.epoch, &changes, frames)?;
        if !applied.touched_instances.is_empty() {
            applied.instance_types = Some(instance_types(&transaction)?);
        }
        if applied.policy_changed {
            before_commit(&Uncommitted(&transaction)).map_err(ReplicaError::Refused)?;
        }
        transaction.commit()?;
        self.meta = next;
        Ok(applied)
    }

    fn begin(&self, durable: bool) -> Result<rusqlite::Transaction<'_>, ReplicaError> {
        let level = if durable { "FULL" } else { "NORMAL" };
        self.connection.pragma_update(None, "synchronous", level)?;
        Ok(rusqlite::Transaction::new_unchecked(
            &self.connection,
            rusqlite::TransactionBehavior::Immediate,
        )?)
    }
}

fn write_all(
    transaction: &Connection,
    next: &ReplicaPosition,
    epoch: Option<NewEpoch>,
    changes: &[Change<'_>],
    frames: &[SealedFrame],
) -> Result<(), ReplicaError> {
    if let Some(new) = epoch {
        transaction.execute(
            "INSERT INTO replica_epochs (epoch, first_revision) VALUES (?1, ?2) \
             ON CONFLICT DO NOTHING",
            (
                new.epoch.as_uuid().as_bytes(),
                i64::try_from(new.first_revision.get()).unwrap_or(i64::MAX),
            ),
        )?;
    }
    let at = frames
        .last()
        .map_or(next.position.revision, |frame| frame.revision);
    for change in changes {
        write(transaction, change).map_err(|error| match error.sqlite_error_code() {
            Some(
                rusqlite::ErrorCode::ConstraintViolation
                | rusqlite::ErrorCode::TypeMismatch
                | rusqlite::ErrorCode::TooBig,
            ) => ReplicaError::Poison {
                revision: at,
                detail: error.to_string(),
            },
            _ => error.into(),
        })?;
    }
    next.write(transaction)?;
    Ok(())
}

/// Moves to just before the new epoch's first change; the chain runs on.
fn begin_epoch(position: &mut Position, new: NewEpoch) -> Result<(), ReplicaError> {
    let before = Revision::new(new.first_revision.get().saturating_sub(1));
    if before < position.revision {
        return Err(ReplicaError::Gap {
            at: position.revision,
            found: new.first_revision,
        });
    }
    position.epoch = new.epoch;
    position.revision = before;
    Ok(())
}

/// Walks the chain. Returns the frames that are new.
fn verify<'f>(
    position: &mut Position,
    frames: &'f [SealedFrame],
) -> Result<&'f [SealedFrame], ReplicaError> {
    let known = frames
        .iter()
        .take_while(|frame| frame.revision <= position.revision)
        .count();
    let new = frames.get(known..).unwrap_or_default();
    for frame in new {
        if frame.revision != position.revision.next() || frame.revision.get() == u64::MAX {
            return Err(ReplicaError::Gap {
                at: position.revision,
                found: frame.revision,
            });
        }
        let expected = position.chain.extend(frame.revision, &frame.payload);
        if expected != frame.chain {
            return Err(ReplicaError::Chain {
                revision: frame.revision,
                expected,
                found: frame.chain,
            });
        }
        position.revision = frame.revision;
        position.chain = expected;
    }
    Ok(new)
}

type Net<'t> = HashMap<(u16, Vec<Cell>), (&'t TableShape, Option<Vec<Cell>>)>;

/// The last word on each row. Frames are after-images, so what came before it does not matter.
fn net_changes<'t>(
    tables: &'t [TableShape],
    frames: &[SealedFrame],
) -> Result<Net<'t>, ReplicaError> {
    let mut net = Net::new();
    for sealed in frames {
        let frame = Frame::decode(&sealed.payload)
            .map_err(|error| ReplicaError::poison(sealed.revision, &error))?;
        if frame.reset {
            return Err(ReplicaError::Reset {
                revision: sealed.revision,
            });
        }
        let misfit = |table: u16| ReplicaError::Poison {
            revision: sealed.revision,
            detail: format!("a row of table {table} with too few columns"),
        };
        for op in frame.ops {
            let (number, mut row, put) = match op {
                Op::Put { table, cells } => (table, cells, true),
                Op::Delete { table, key } => (table, key, false),
            };
            // A table this file does not have yet: it comes with the next snapshot.
            let Some(shape) = tables.iter().find(|shape| shape.id == number) else {
                continue;
            };
            let wanted = if put { shape.columns } else { shape.key_len };
            if row.len() < wanted {
                return Err(misfit(number));
            }
            // Columns this file does not have yet are at the end.
            row.truncate(wanted);
            let key = row.get(..shape.key_len).unwrap_or_default().to_vec();
            net.insert((number, key), (shape, put.then_some(row)));
        }
    }
    Ok(net)
}

/// Adds what each row is now, and drops what stays as it is. This is the file's only writer, so the
/// rows cannot change before they are written.
fn with_images<'t>(connection: &Connection, net: Net<'t>) -> Result<Vec<Change<'t>>, ReplicaError> {
    let mut changes = Vec::with_capacity(net.len());
    for ((_, key), (shape, after)) in net {
        let before = {
            let mut statement = connection.prepare_cached(&shape.find)?;
            let mut rows = statement.query(params_from_iter(key.iter().map(Bind)))?;
            match rows.next()? {
                Some(row) => Some(cells(row, shape.columns)?),
                None => None,
            }
        };
        if before != after {
            changes.push(Change {
                shape,
                key,
                before,
                after,
            });
        }
    }
    Ok(changes)
}

fn write(connection: &Connection, change: &Change<'_>) -> rusqlite::Result<()> {
    match &change.after {
        Some(cells) => connection
            .prepare_cached(&change.shape.put)?
            .execute(params_from_iter(cells.iter().map(Bind)))?,
        None => connection
            .prepare_cached(&change.shape.delete)?
            .execute(params_from_iter(change.key.iter().map(Bind)))?,
    };
    Ok(())
}

/// Whether losing this change with the power could let somebody do what was forbidden.
fn takes_away(change: &Change<'_>) -> bool {
    change.before.is_some()
        || matches!(
            change.shape.id,
            table::USER_STATES
                | table::CLIENT_STATES
                | table::REVOKED_SESSIONS
                | table::REVOKED_GRANTS
        )
}

/// A key of texts, with `:` between them.
fn joined(key: &[Cell]) -> String {
    let texts: Vec<&str> = key
        .iter()
        .map(|cell| match cell {
            Cell::Text(text) => text.as_str(),
            Cell::Null | Cell::Int(_) | Cell::Bytes(_) => "",
        })
        .collect();
    texts.join(":")
}

fn applied(position: Position, changes: &[Change<'_>], durable: bool, frames: usize) -> Applied {
    let mut applied = Applied {
        position,
        touched_users: Vec::new(),
        policy_changed: false,
        organizations_changed: false,
        keys_changed: false,
        touched_clients: Vec::new(),
        touched_sessions: Vec::new(),
        touched_grants: Vec::new(),
        touched_instances: Vec::new(),
        instance_types: None,
        durable,
        frames,
    };
    // A row of a client, session, grant or instance is of one id, and there is one change of each row.
    let mut users = BTreeSet::new();
    for change in changes {
        let id = |place: usize| match change.key.get(place) {
            Some(Cell::Bytes(bytes)) => uuid::Uuid::from_slice(bytes).ok(),
            _ => None,
        };
        match change.shape.id {
            table::ORGANIZATIONS => applied.organizations_changed = true,
            table::PERMISSIONS
            | table::ROLES
            | table::ROLE_PERMISSIONS
            | table::SCOPE_PERMISSIONS => applied.policy_changed = true,
            table::MEMBERS | table::MEMBER_ROLES => users.extend(id(1).map(UserId::from_uuid)),
            table::USER_STATES => users.extend(id(0).map(UserId::from_uuid)),
            table::CLIENT_STATES => {
                let client = id(0).map(ClientId::from_uuid);
                applied.touched_clients.extend(client);
            }
            table::REVOKED_SESSIONS => {
                let session = id(0).map(SessionId::from_uuid);
                applied.touched_sessions.extend(session);
            }
            table::REVOKED_GRANTS => {
                let grant = id(0).map(GrantId::from_uuid);
                applied.touched_grants.extend(grant);
            }
            table::RESOURCE_INSTANCES => applied.touched_instances.push(joined(&change.key)),
            table::SIGNING_KEYS => applied.keys_changed = true,
            _ => {}
        }
    }
    applied.touched_users = users.into_iter().collect();
    applied
}
