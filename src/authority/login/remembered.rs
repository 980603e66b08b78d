//! Sessions as they were read last. A browser that an app sends here again within the minute gets its
//! code by one transaction, which looks at the session anyway, instead of a look before it.
//!
//! What is remembered does not say that the session still lives, or that its cookie is still this
//! one: whoever acts on it has the transaction ask ([`sessions::lives_behind`]), and looks the
//! session up when the answer is no.
//!
//! [`sessions::lives_behind`]: crate::store::sessions::lives_behind

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::domain::{Timestamp, TokenDigest};
use crate::store::sessions::Session;

/// The most sessions that are remembered. Half a KiB each.
const REMEMBERED: usize = 4096;

/// A session and the digest of the cookie that it was found by.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// Of the cookie.
    pub cookie: TokenDigest,
    /// As it was read.
    pub session: Arc<Session>,
}

/// Those that were read.
#[derive(Default)]
pub struct RememberedSessions(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    /// By digests of cookies, which nobody can choose.
    sessions: HashMap<[u8; 32], Arc<Session>>,
    /// When those that are of no use any more were let go.
    swept_at: Option<Timestamp>,
}

impl fmt::Debug for RememberedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RememberedSessions").finish_non_exhaustive()
    }
}

impl RememberedSessions {
    /// The session of this cookie, if it was used within `fresh`: its use need not be noted.
    pub(super) fn get(
        &self,
        cookie: TokenDigest,
        now: Timestamp,
        fresh: Duration,
    ) -> Option<Remembered> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known
            .sessions
            .get(cookie.as_bytes())
            .filter(|session| session.last_seen_at <= now)
            .filter(|session| now.since(session.last_seen_at) < fresh)
            .map(|session| Remembered {
                cookie,
                session: Arc::clone(session),
            })
    }

    /// Remembers a session that was just read.
    pub(super) fn put(&self, cookie: TokenDigest, session: &Session, fresh: Duration) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let now = session.last_seen_at;
        // Nobody's name and address stays for longer than it is of use.
        if known.swept_at.is_none_or(|at| now.since(at) >= fresh) {
            known.swept_at = Some(now);
            known
                .sessions
                .retain(|_, kept| now.since(kept.last_seen_at) < fresh);
        }
        if known.sessions.len() >= REMEMBERED {
            known.sessions.clear();
        }
        known
            .sessions
            .insert(*cookie.as_bytes(), Arc::new(session.clone()));
    }
}
