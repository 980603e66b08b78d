//! What a check answers: allow or deny, and how fresh the facts behind it were.

use std::time::Duration;

use super::change::Revision;

/// Allow or deny. There is no third: unsure means deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The request may go ahead.
    Allow,
    /// It may not.
    Deny,
}

impl Decision {
    /// Whether this is [`Decision::Allow`].
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// How far behind the authority an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The last change the answer knows of.
    pub revision: Revision,
    /// Time since a verified heartbeat said that there was no later change; `None` means unknown,
    /// which no maximum allows.
    pub staleness: Option<Duration>,
}
