//! One attempt to sign in, from the redirect to the authority to its answer. It lives in a sealed
//! cookie of its own.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use http::HeaderMap;
use http::header::COOKIE;
use serde::{Deserialize, Serialize};

use super::cookie::{self, ATTEMPT, COOKIE_MAX};
use super::gates::{Purpose, Site};
use crate::crypto::digest::{constant_time_eq, sha256};
use crate::crypto::seal::SealError;
use crate::domain::Timestamp;
use crate::protocol::cookies;

/// How long people may take at the authority.
pub(super) const TIME: Duration = Duration::from_mins(30);
/// How long the cookie is kept: who comes late is still known by where they wanted to go.
const KEPT: Duration = Duration::from_hours(12);
/// The most bytes of all attempts' cookies: with them a request still has room for its own head in
/// the buffers of proxies, nginx's of 8 kB first.
const ALL_MAX: usize = 3 * 1024;

/// An attempt.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    /// What `state`, `nonce` and PKCE's verifier are made of: one secret keeps the cookie small.
    seed: String,
    /// A path and query of this host.
    pub(super) return_to: String,
    /// When it began, in microseconds.
    started_at: i64,
}

/// An attempt that has begun.
pub(super) struct Begun {
    pub(super) transaction: Transaction,
    /// `state` of the request.
    pub(super) state: String,
    /// `Set-Cookie` headers: the attempt's, and the ends of attempts given up.
    pub(super) cookies: Vec<String>,
}

impl Transaction {
    fn word(&self, label: &str) -> String {
        BASE64URL_NOPAD.encode(&sha256(format!("{label} {}", self.seed).as_bytes()))
    }

    /// Binds the ID token to this attempt.
    pub(super) fn nonce(&self) -> String {
        self.word("nonce")
    }

    /// PKCE's verifier (RFC 7636 §4.1).
    pub(super) fn verifier(&self) -> String {
        self.word("verifier")
    }

    /// S256 of the verifier.
    pub(super) fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&sha256(self.verifier().as_bytes()))
    }

    /// Whether the attempt is over. One from the future began at a replica whose clock is ahead.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        now.since(Timestamp::from_unix_micros(self.started_at)) >= TIME
    }
}

/// Begins an attempt.
pub(super) fn begin(
    site: &Site,
    headers: &HeaderMap,
    return_to: &str,
    now: Timestamp,
) -> Result<Begun, SealError> {
    let entropy = &site.gate().entropy;
    let id = HEXLOWER.encode(&entropy.id_bits());
    let transaction = Transaction {
        seed: BASE64URL_NOPAD.encode(entropy.token_bits().as_slice()),
        return_to: return_to.to_owned(),
        started_at: now.unix_micros(),
    };
    let mut sealed = site.seal(Purpose::Attempt, &transaction)?;
    let mut transaction = transaction;
    if sealed.len() > COOKIE_MAX.min(ALL_MAX) {
        // Rather the way in without its query than none.
        "/".clone_into(&mut transaction.return_to);
        sealed = site.seal(Purpose::Attempt, &transaction)?;
    }
    let mut cookies = crowded_out(site, headers, sealed.len());
    cookies.push(cookie::set(&format!("{ATTEMPT}{id}"), &sealed, KEPT));
    let state = format!("{id}.{}", transaction.word("state"));
    Ok(Begun {
        transaction,
        state,
        cookies,
    })
}

/// The attempt of this browser that a callback's `state` belongs to.
pub(super) fn find(site: &Site, headers: &HeaderMap, state: &str) -> Option<Transaction> {
    let (id, secret) = state.split_once('.').filter(|(id, _)| is_id(id))?;
    let sealed = cookies::cookie(headers, &format!("{ATTEMPT}{id}"))?;
    let transaction: Transaction = site.open(Purpose::Attempt, sealed)?;
    constant_time_eq(transaction.word("state").as_bytes(), secret.as_bytes()).then_some(transaction)
}

/// The `Set-Cookie` that ends the attempt of a `state`.
pub(super) fn end(state: &str) -> Option<String> {
    let (id, _) = state.split_once('.')?;
    is_id(id).then(|| cookie::clear(&format!("{ATTEMPT}{id}")))
}

fn is_id(text: &str) -> bool {
    text.len() == 20
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Ends of the attempts that no longer fit beside a new one: what cannot be opened first, then the
/// oldest.
fn crowded_out(site: &Site, headers: &HeaderMap, new: usize) -> Vec<String> {
    let mut held: Vec<(i64, &str, usize)> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(name, value)| Some((name.strip_prefix(ATTEMPT)?, value)))
        .filter(|(id, _)| is_id(id))
        .map(|(id, value)| {
            let opened: Option<Transaction> = site.open(Purpose::Attempt, value);
            let began = opened.map_or(i64::MIN, |attempt| attempt.started_at);
            (began, id, value.len())
        })
        .collect();
    held.sort_unstable_by(|left, right| right.cmp(left));
    let mut room = ALL_MAX.saturating_sub(new);
    let mut gone = Vec::new();
    for (began, id, size) in held {
        if began == i64::MIN || size > room {
            room = if began == i64::MIN { room } else { 0 };
            gone.push(cookie::clear(&format!("{ATTEMPT}{id}")));
        } else {
            room -= size;
        }
    }
    gone
}
