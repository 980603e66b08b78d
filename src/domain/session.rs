//! How long a login lives in places that nobody is asked at.

use std::time::Duration;

/// The longest that a cookie of a sidecar's gate may stand for the token it was set with. For as long
/// the authority keeps telling which sessions and grants have ended: a cookie that outlived the news
/// of its end would count again.
pub const GATE_SESSION_MAX: Duration = Duration::from_hours(12);
