//! Ending what was given out before its time: sessions, grants, everything of a user.
//!
//! Everybody who ends one of these calls here, inside the transaction that has its own reason for
//! it. What dies at once at the sidecars is told by replicated rows: ids of sessions and grants,
//! token epochs of users.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::{GATE_SESSION_MAX, GrantId, SessionId, Timestamp, UserId};
use crate::store::revocations::{self, Logout};
use crate::store::{StoreError, Tx, grants, users};

use super::config::Lifetimes;

/// Clocks differ, and a token accepted for a moment after its end must be refused for as long.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a client is told of a logout before it is given up.
const TELLING: Duration = Duration::from_hours(24);

/// What ended with a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// Whose it was.
    pub user: UserId,
    /// The grants that ended with it.
    pub grants: Vec<GrantId>,
    /// How many clients will be told.
    pub told: usize,
}

/// Until when tokens that exist at `now`, and cookies that stand for them at a sidecar's gate, may
/// have to be refused.
fn refused_until(now: Timestamp, lifetimes: &Lifetimes) -> Timestamp {
    let longest = lifetimes.access.max(lifetimes.user);
    // A cookie may be set with a token at the end of its life.
    now.plus(longest).plus(GATE_SESSION_MAX).plus(MARGIN)
}

/// Ends a login session: its row goes, its tokens are refused everywhere, grants bound to it are
/// revoked, and clients that want to hear of it are queued to be told, each under an id of `ids`.
/// `None` when there is no such session.
pub fn end_session(
    tx: &mut dyn Tx,
    session: SessionId,
    now: Timestamp,
    lifetimes: &Lifetimes,
    ids: &mut dyn FnMut() -> Uuid,
) -> Result<Option<EndedSession>, StoreError> {
    let Some(user) = revocations::delete_session(tx, session)? else {
        return Ok(None);
    };
    revocations::revoke_session(tx, session, refused_until(now, lifetimes))?;
    let clients = revocations::clients_to_tell(tx, user, session)?;
    for client in &clients {
        let logout = Logout {
            id: ids(),
            client: *client,
            user,
            session,
            now,
            expires_at: now.plus(TELLING),
        };
        revocations::queue_logout(tx, &logout)?;
    }
    let mut ended = Vec::new();
    for grant in grants::of_session(tx, user, session)? {
        // Its access tokens carry the session's id: they are refused by that already.
        if grant.bound_session().is_some() && grants::revoke(tx, grant.id, now, "session_ended")? {
            ended.push(grant.id);
        }
    }
    Ok(Some(EndedSession {
        user,
        grants: ended,
        told: clients.len(),
    }))
}

/// Revokes a grant: its code, its refresh token and its access tokens. `reason` is a short word for
/// the row. `false` when it was revoked before or is not there.
pub fn revoke_grant(
    tx: &mut dyn Tx,
    grant: GrantId,
    now: Timestamp,
    lifetimes: &Lifetimes,
    reason: &str,
) -> Result<bool, StoreError> {
    let changed = grants::revoke(tx, grant, now, reason)?;
    if changed {
        revocations::revoke_grant(tx, grant, refused_until(now, lifetimes))?;
    }
    Ok(changed)
}

/// Ends everything a user is logged in to: all sessions, all grants, and by the token epoch every
/// access token. The user's state stays as it is.
pub fn sign_out_everywhere(
    tx: &mut dyn Tx,
    user: UserId,
    now: Timestamp,
    lifetimes: &Lifetimes,
    ids: &mut dyn FnMut() -> Uuid,
) -> Result<Vec<SessionId>, StoreError> {
    let Some((state, epoch)) = users::find_state(tx, user)? else {
        return Ok(Vec::new());
    };
    users::put_state(tx, user, state, epoch.saturating_add(1))?;
    let sessions = revocations::sessions_of(tx, user)?;
    for session in &sessions {
        end_session(tx, *session, now, lifetimes, ids)?;
    }
    for grant in grants::of_user(tx, user, now)? {
        // The epoch refuses its access tokens: the sidecars need no row for each.
        grants::revoke(tx, grant.id, now, "signed_out_everywhere")?;
    }
    Ok(sessions)
}
