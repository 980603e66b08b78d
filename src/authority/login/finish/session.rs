//! The session that a login begins, or begins anew.

use serde_json::json;
use uuid::Uuid;

use crate::authority::revocation;
use crate::domain::{SessionId, Timestamp, UserId};
use crate::store::sessions::{self, NewSession, Session};
use crate::store::{StoreError, Tx};

use super::arrival::{Arrival, LINK_LIMIT};
use super::write::FinishError;

impl Arrival {
    /// When the person proved who they are. A provider that could say so and does not may have let
    /// in whoever sat at the browser, so its login counts as too old to link an account by; of one
    /// that never says, its own session is all there is.
    fn authenticated_at(&self) -> Timestamp {
        self.identity.authenticated_at.unwrap_or_else(|| {
            if self.provider.reauthenticates() {
                self.now.minus(LINK_LIMIT)
            } else {
                self.now
            }
        })
    }

    /// A session of the user's behind a new cookie. Somebody who proves again who they are goes on
    /// in the session that they have, begun anew under the new cookie: apps stay signed in. A
    /// session of somebody else's in this browser ends.
    pub(super) fn begin_session(
        &self,
        tx: &mut dyn Tx,
        user: UserId,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Result<(), FinishError> {
        let authenticated_at = self.authenticated_at();
        let mut session = Session {
            id: self.session_id,
            user_id: user,
            created_at: self.now,
            expires_at: self.now.plus(self.lifetimes.session),
            provider: self.provider.slug.clone(),
            upstream_subject: self.identity.subject.clone(),
            upstream_sid: self.identity.sid.clone(),
            authenticated_at,
            amr: self.identity.amr.clone(),
            acr: self.identity.acr.clone(),
            user_agent: self.user_agent.clone(),
            address: self.network.clone(),
            last_seen_at: self.now,
            idle_expires_at: self.now.plus(self.lifetimes.session_idle),
        };
        let held = match &self.current {
            Some(current) => sessions::find(tx, current.id)?,
            None => None,
        };
        let event = match held {
            Some(held) if held.user_id == user => {
                // It begins anew: whoever sent the user to log in sees by this that they did.
                session.id = held.id;
                let new = NewSession {
                    session,
                    digest: self.digest,
                };
                sessions::renew(tx, &new)?;
                return Ok(self.record_session(tx, "session.renewed", user, held.id)?);
            }
            Some(held) => {
                revocation::end_session(tx, held.id, self.now, &self.lifetimes, mint)?;
                self.record(
                    tx,
                    2,
                    "session.ended",
                    Some(held.user_id),
                    json!({ "session": held.id, "reason": "another_login" }),
                )?;
                "session.created"
            }
            None => "session.created",
        };
        let id = session.id;
        let new = NewSession {
            session,
            digest: self.digest,
        };
        sessions::insert(tx, &new)?;
        Ok(self.record_session(tx, event, user, id)?)
    }

    fn record_session(
        &self,
        tx: &mut dyn Tx,
        event: &'static str,
        user: UserId,
        session: SessionId,
    ) -> Result<(), StoreError> {
        let details = json!({ "session": session, "provider": self.provider.slug });
        self.record(tx, 3, event, Some(user), details)
    }
}
