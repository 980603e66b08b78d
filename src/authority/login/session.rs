//! The session cookie.

use std::time::Duration;

use http::HeaderMap;
use http::header::COOKIE as COOKIE_HEADER;

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::token_digest;
use crate::domain::{PlainToken, TokenDigest};
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

/// The value of a cookie that stands there once; several of one name are none.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = headers
        .get_all(COOKIE_HEADER)
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"=")
        });
    let first = found.next()?;
    if found.next().is_some() || !first.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    std::str::from_utf8(first)
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_read_from_any_header_and_never_guessed_among_several() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1; __Host-doorward=x"));
        headers.append("cookie", HeaderValue::from_static("b=2;empty="));
        assert_eq!(cookie(&headers, COOKIE), Some("x"));
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "empty"), None);
        headers.append("cookie", HeaderValue::from_static("b=3"));
        assert_eq!(cookie(&headers, "b"), None);
    }

    #[test]
    fn a_cookie_that_nobody_can_read_is_one_of_several_all_the_same() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1"));
        headers.append("cookie", HeaderValue::from_bytes(b"a=\xf4").unwrap());
        headers.append("cookie", HeaderValue::from_bytes(b"b=\xf4").unwrap());
        assert_eq!(cookie(&headers, "a"), None);
        assert_eq!(cookie(&headers, "b"), None);
    }
}
