//! What a request says of who asks: a token, and under which scheme.

use http::HeaderValue;

use super::ask::Asked;
use super::outcome::DoorOutcome;
use crate::protocol::oauth::dpop::DPOP;

/// How a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Whoever has it may use it (RFC 6750).
    Bearer,
    /// With a proof of the key that it is bound to (RFC 9449 §7.1).
    Dpop,
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
