//! By what a request says who asks: a token under its scheme, or the cookie of a gate.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::ask::Asked;
use super::outcome::DoorOutcome;
use crate::protocol::cookies::Cookie;
use crate::protocol::forward_auth::Original;
use crate::protocol::oauth::dpop::DPOP;
use crate::sidecar::decide::Worker;
use crate::sidecar::gate::{Site, session_cookie};
use crate::sidecar::refusal::Refusal;
use crate::sidecar::tokens::{Rules, Verified, verify};
use crate::sidecar::view::State;

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Whoever has it may use it (RFC 6750).
    Bearer,
    /// With a proof of the key that it is bound to (RFC 9449 §7.1).
    Dpop,
}

/// What says who asks.
pub(super) enum Credential<'a> {
    /// `Authorization`.
    Token(Presented<'a>),
    /// The cookie of a gate.
    Cookie(&'a Site, &'a str),
}

impl<'a> Credential<'a> {
    /// The one credential of a request. Two of them, of whatever kind, are none: which of them counts
    /// would be the sender's to choose.
    pub(super) fn read(
        original: &Original<'a>,
        headers: &'a HeaderMap,
        site: Option<&'a Site>,
    ) -> Result<Option<Self>, Asked> {
        let cookie = site.map_or(Cookie::Absent, |_| session_cookie(headers));
        match (original.authorization, cookie, site) {
            (None, Cookie::Absent, _) | (None, Cookie::One(_), None) => Ok(None),
            (Some(authorization), Cookie::Absent, _) => {
                Presented::read(authorization).map(|token| Some(Self::Token(token)))
            }
            (None, Cookie::One(value), Some(site)) => Ok(Some(Self::Cookie(site, value))),
            (Some(_), Cookie::One(_), _) | (_, Cookie::Unclear, _) => {
                Err(Asked::plain(DoorOutcome::Malformed, "credentials"))
            }
        }
    }

    pub(super) fn verify(
        &self,
        state: &State,
        worker: &mut Worker,
        rules: &Rules,
    ) -> Result<Arc<Verified>, Refusal> {
        match self {
            Self::Token(presented) => verify(state, worker, rules, presented.token),
            Self::Cookie(site, value) => site.verify(state, worker, rules, value),
        }
    }

    /// Under which scheme it counts: whoever has a cookie may use it.
    pub(super) const fn scheme(&self) -> Scheme {
        match self {
            Self::Token(presented) => presented.scheme,
            Self::Cookie(..) => Scheme::Bearer,
        }
    }

    /// It, as it was sent.
    pub(super) const fn text(&self) -> &'a str {
        match self {
            Self::Token(presented) => presented.token,
            Self::Cookie(_, value) => value,
        }
    }
}

/// A token as it is presented.
#[derive(Clone, Copy)]
pub(super) struct Presented<'r> {
    pub(super) scheme: Scheme,
    pub(super) token: &'r str,
}

impl<'r> Presented<'r> {
    /// Reads `Authorization`. Two tokens that a proxy joined are none: no token has a comma or a space
    /// in it.
    pub(super) fn read(value: &'r HeaderValue) -> Result<Self, Asked> {
        let malformed = || Asked::plain(DoorOutcome::Malformed, "credentials");
        let text = value.to_str().map_err(|_| malformed())?;
        let (name, token) = text.split_once(' ').unwrap_or((text, ""));
        let scheme = if name.eq_ignore_ascii_case("bearer") {
            Scheme::Bearer
        } else if name.eq_ignore_ascii_case(DPOP) {
            Scheme::Dpop
        } else {
            return Err(Asked::plain(DoorOutcome::BadToken, "scheme"));
        };
        if token.contains([',', ' ', '\t']) {
            return Err(malformed());
        }
        if token.is_empty() {
            return Err(Asked {
                scheme,
                ..Asked::plain(DoorOutcome::BadToken, "scheme")
            });
        }
        Ok(Self { scheme, token })
    }
}
