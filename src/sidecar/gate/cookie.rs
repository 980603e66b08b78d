//! The cookies of a gate.

use std::time::Duration;

use super::gates::Site;

/// Stands for the token of whoever is signed in. The prefix makes browsers refuse it with a domain,
/// a path or without `Secure`: no neighbouring host can plant one.
pub(super) const SESSION: &str = "__Host-doorward-gate";
/// What names of attempts begin with; the attempt's id follows.
pub(super) const ATTEMPT: &str = "__Host-doorward-try-";
/// Holds the sealed ID token for signing out at the authority. It is sent to the reserved path only,
/// so that not every request carries it.
pub(super) const HINT: &str = "__Secure-doorward-hint";

/// The longest cookie: browsers keep 4096 bytes of name, value and attributes.
pub(super) const COOKIE_MAX: usize = 3900;

/// The `Set-Cookie` of a cookie of the whole host.
pub(super) fn set(name: &str, value: &str, lifetime: Duration) -> String {
    format!(
        "{name}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        lifetime.as_secs()
    )
}

/// The `Set-Cookie` that takes such a cookie away.
pub(super) fn clear(name: &str) -> String {
    set(name, "", Duration::ZERO)
}

/// The `Set-Cookie` of the hint.
pub(super) fn set_hint(site: &Site, value: &str, lifetime: Duration) -> String {
    format!(
        "{HINT}={value}; Path={}; Max-Age={}; Secure; HttpOnly; SameSite=Lax",
        site.gate().path,
        lifetime.as_secs()
    )
}
