//! Rows of sessions: who is logged in on the authority's own pages, how they proved it, from where.

use std::time::Duration;

use crate::domain::{SessionId, Timestamp, TokenDigest, UserId};

use super::{Row, StoreError, Tx};

/// The longest user agent that is kept, in characters.
const USER_AGENT_MAX: usize = 255;

/// A session as the store tells it. Its cookie is not in here: only the cookie's hash is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, `sid` in tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// Its absolute end.
    pub expires_at: Timestamp,
    /// The identity provider that vouched.
    pub provider: String,
    /// The user's name there.
    pub upstream_subject: String,
    /// The provider's own session, for its back-channel logout.
    pub upstream_sid: Option<String>,
    /// When the user proved who they are, as far as the provider says.
    pub authenticated_at: Timestamp,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// How strongly.
    pub acr: Option<String>,
    /// The browser, in its own words.
    pub user_agent: Option<String>,
    /// The network of the last use: a /24 or a /48.
    pub address: Option<String>,
    /// The last use, to the minute.
    pub last_seen_at: Timestamp,
    /// Its end unless it is used before.
    pub idle_expires_at: Timestamp,
}

/// A session to be stored, with the hash of its cookie.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// What is known of it.
    pub session: Session,
    /// Of the cookie's value.
    pub digest: TokenDigest,
}

const SELECT: &str = "SELECT s.id, s.user_id, s.created_at, s.expires_at, d.provider, \
     d.upstream_subject, d.upstream_sid, d.authenticated_at, d.amr, d.acr, d.user_agent, \
     d.address, d.last_seen_at, d.idle_expires_at \
     FROM sessions s JOIN session_details d ON d.session_id = s.id";

fn from_row(row: &Row) -> Result<Session, StoreError> {
    let text = |index| Ok::<_, StoreError>(row.optional_text(index)?.map(str::to_owned));
    Ok(Session {
        id: SessionId::from_uuid(row.uuid(0)?),
        user_id: UserId::from_uuid(row.uuid(1)?),
        created_at: row.time(2)?,
        expires_at: row.time(3)?,
        provider: row.text(4)?.to_owned(),
        upstream_subject: row.text(5)?.to_owned(),
        upstream_sid: text(6)?,
        authenticated_at: row.time(7)?,
        amr: row.text(8)?.split_whitespace().map(str::to_owned).collect(),
        acr: text(9)?,
        user_agent: text(10)?,
        address: text(11)?,
        last_seen_at: row.time(12)?,
        idle_expires_at: row.time(13)?,
    })
}

/// Stores a session.
///
/// # Errors
///
/// [`StoreError::ForeignKey`] when there is no such user.
pub fn insert(tx: &mut dyn Tx, new: &NewSession) -> Result<(), StoreError> {
    let session = &new.session;
    tx.exec(
        "INSERT INTO sessions (id, user_id, token_hash, expires_at, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        &[
            session.id.into(),
            session.user_id.into(),
            new.digest.into(),
            session.expires_at.into(),
            session.created_at.into(),
        ],
    )?;
    tx.exec(
        "INSERT INTO session_details (session_id, provider, upstream_subject, upstream_sid, \
         authenticated_at, amr, acr, user_agent, address, last_seen_at, idle_expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        &[
            session.id.into(),
            session.provider.as_str().into(),
            session.upstream_subject.as_str().into(),
            session.upstream_sid.as_deref().into(),
            session.authenticated_at.into(),
            session.amr.join(" ").into(),
            session.acr.as_deref().into(),
            kept_user_agent(session).into(),
            session.address.as_deref().into(),
            session.last_seen_at.into(),
            session.idle_expires_at.into(),
        ],
    )?;
    Ok(())
}

/// Puts a session that goes on behind another cookie, with a new proof, as if it began now. Its id
/// and what hangs on it stay.
pub fn renew(tx: &mut dyn Tx, new: &NewSession) -> Result<(), StoreError> {
    let session = &new.session;
    tx.exec(
        "UPDATE sessions SET token_hash = ?2, created_at = ?3, expires_at = ?4 WHERE id = ?1",
        &[
            session.id.into(),
            new.digest.into(),
            session.created_at.into(),
            session.expires_at.into(),
        ],
    )?;
    tx.exec(
        "UPDATE session_details SET provider = ?2, upstream_subject = ?3, upstream_sid = ?4, \
         authenticated_at = ?5, amr = ?6, acr = ?7, user_agent = ?8, last_seen_at = ?9, \
         idle_expires_at = ?10, address = COALESCE(?11, address) WHERE session_id = ?1",
        &[
            session.id.into(),
            session.provider.as_str().into(),
            session.upstream_subject.as_str().into(),
            session.upstream_sid.as_deref().into(),
            session.authenticated_at.into(),
            session.amr.join(" ").into(),
            session.acr.as_deref().into(),
            kept_user_agent(session).into(),
            session.last_seen_at.into(),
            session.idle_expires_at.into(),
            session.address.as_deref().into(),
        ],
    )?;
    Ok(())
}

fn kept_user_agent(session: &Session) -> Option<String> {
    session
        .user_agent
        .as_ref()
        .map(|text| text.chars().take(USER_AGENT_MAX).collect())
}

/// Whether this session of this user has not ended. Whether the user may act is for others to ask.
pub fn lives(
    tx: &mut dyn Tx,
    id: SessionId,
    user: UserId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let rows = tx.rows(
        "SELECT 1 FROM sessions s JOIN session_details d ON d.session_id = s.id \
         WHERE s.id = ?1 AND s.user_id = ?2 AND s.expires_at > ?3 AND d.idle_expires_at > ?3",
        &[id.into(), user.into(), now.into()],
    )?;
    Ok(!rows.is_empty())
}

/// Whether this session has not ended and its cookie still has this hash. Whether the user may act is
/// for others to ask.
pub fn lives_behind(
    tx: &mut dyn Tx,
    id: SessionId,
    cookie: TokenDigest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let rows = tx.rows(
        "SELECT 1 FROM sessions s JOIN session_details d ON d.session_id = s.id \
         WHERE s.id = ?1 AND s.token_hash = ?2 AND s.expires_at > ?3 AND d.idle_expires_at > ?3",
        &[id.into(), cookie.into(), now.into()],
    )?;
    Ok(!rows.is_empty())
}

/// The session whose cookie has this hash, if it has not ended and its user may act.
pub fn find_by_digest(
    tx: &mut dyn Tx,
    digest: TokenDigest,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    let sql = format!(
        "{SELECT} LEFT JOIN user_states u ON u.user_id = s.user_id \
         WHERE s.token_hash = ?1 AND s.expires_at > ?2 AND d.idle_expires_at > ?2 \
         AND COALESCE(u.state, 'active') = 'active'"
    );
    tx.rows(&sql, &[digest.into(), now.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// The session with this id, ended or not.
pub fn find(tx: &mut dyn Tx, id: SessionId) -> Result<Option<Session>, StoreError> {
    let sql = format!("{SELECT} WHERE s.id = ?1");
    tx.rows(&sql, &[id.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// A user's sessions that have not ended, the latest used first.
pub fn of_user(tx: &mut dyn Tx, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE s.user_id = ?1 AND s.expires_at > ?2 AND d.idle_expires_at > ?2 \
         ORDER BY d.last_seen_at DESC, s.id"
    );
    tx.rows(&sql, &[user.into(), now.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// Sessions that an upstream provider speaks of: of one of its subjects, of one of its own
/// sessions, or of both. Neither named means none.
pub fn by_upstream(
    tx: &mut dyn Tx,
    provider: &str,
    subject: Option<&str>,
    sid: Option<&str>,
) -> Result<Vec<Session>, StoreError> {
    let (condition, values) = match (subject, sid) {
        (None, None) => return Ok(Vec::new()),
        (Some(subject), None) => ("d.upstream_subject = ?2", vec![subject]),
        (None, Some(sid)) => ("d.upstream_sid = ?2", vec![sid]),
        (Some(subject), Some(sid)) => (
            "d.upstream_subject = ?2 AND d.upstream_sid = ?3",
            vec![subject, sid],
        ),
    };
    let sql = format!("{SELECT} WHERE d.provider = ?1 AND {condition} ORDER BY s.id");
    let params: Vec<_> = std::iter::once(provider)
        .chain(values)
        .map(Into::into)
        .collect();
    tx.rows(&sql, &params)?.iter().map(from_row).collect()
}

/// Notes that a session was used, and moves its idle end.
pub fn touch(
    tx: &mut dyn Tx,
    id: SessionId,
    (now, idle): (Timestamp, Duration),
    address: Option<&str>,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE session_details SET last_seen_at = ?2, idle_expires_at = ?3, \
         address = COALESCE(?4, address) WHERE session_id = ?1",
        &[id.into(), now.into(), now.plus(idle).into(), address.into()],
    )?;
    Ok(())
}

/// Ends a session. Whoever calls this also sees to its tokens: `authority::revocation`.
pub fn delete(tx: &mut dyn Tx, id: SessionId) -> Result<bool, StoreError> {
    Ok(tx.exec("DELETE FROM sessions WHERE id = ?1", &[id.into()])? > 0)
}
