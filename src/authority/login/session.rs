//! The session cookie.

use std::time::Duration;

use http::HeaderMap;

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::token_digest;
use crate::domain::{PlainToken, TokenDigest};
use crate::protocol::cookies::cookie;
use crate::store::StoreError;
use crate::store::sessions::{self, Session};

use super::remembered::Remembered;

/// The cookie's name. The prefix makes browsers refuse it with a domain, a path or without `Secure`.
pub const COOKIE: &str = "__Host-doorward";

/// How often a use is noted.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// The session of a request's cookie, if it has not ended and its user may act. A use, and from
/// where, is noted at most once a minute.
pub async fn current(
    authority: &Authority,
    headers: &HeaderMap,
    address: ClientAddress,
) -> Result<Option<Session>, StoreError> {
    let Some(digest) = digest(headers) else {
        return Ok(None);
    };
    let now = authority.clock.now();
    let found = authority
        .store
        .look::<_, StoreError>(move |tx| sessions::find_by_digest(tx, digest, now))
        .await?;
    let Some(mut session) = found else {
        return Ok(None);
    };
    if now.since(session.last_seen_at) >= TOUCH_EVERY {
        let (id, idle) = (session.id, authority.config.lifetimes.session_idle);
        let network = address.network();
        authority
            .store
            .write::<_, StoreError>(move |tx| {
                sessions::touch(tx, id, (now, idle), network.as_deref())
            })
            .await?;
        session.last_seen_at = now;
        session.idle_expires_at = now.plus(idle);
    }
    authority.sessions.put(digest, &session, TOUCH_EVERY);
    Ok(Some(session))
}

/// The same as it was when it was last read, if that is less than a minute ago.
pub fn remembered(authority: &Authority, headers: &HeaderMap) -> Option<Remembered> {
    let now = authority.clock.now();
    authority.sessions.get(digest(headers)?, now, TOUCH_EVERY)
}

fn digest(headers: &HeaderMap) -> Option<TokenDigest> {
    let token = cookie(headers, COOKIE)?;
    Some(token_digest(&PlainToken::presented(token.to_owned())))
}

/// The `Set-Cookie` of a new session.
pub fn set_cookie(token: &PlainToken, lifetime: Duration) -> String {
    format!(
        "{COOKIE}={}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        token.expose(),
        lifetime.as_secs()
    )
}

/// The `Set-Cookie` that takes the session's cookie away.
pub fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}
