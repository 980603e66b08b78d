//! What became of a request at a door: a closed set, so that metrics can count by it.

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum DoorOutcome {
    /// Let through.
    Allowed,
    /// Nobody said who asks, and the route wants to know.
    Anonymous,
    /// The same of a person on the way to a page, who is sent to log in.
    Login,
    /// What was said does not count: another scheme, a token that is refused.
    BadToken,
    /// It can be read in two ways, or not at all.
    Malformed,
    /// No route is for it.
    Unmatched,
    /// It is known who asks, and they may not.
    Denied,
    /// The sidecar cannot tell: no copy, or facts that are too old.
    Unsure,
    /// The decision took longer than a proxy waits.
    Late,
}

impl DoorOutcome {
    /// All of them, in order of their number.
    pub const ALL: [Self; 9] = [
        Self::Allowed,
        Self::Anonymous,
        Self::Login,
        Self::BadToken,
        Self::Malformed,
        Self::Unmatched,
        Self::Denied,
        Self::Unsure,
        Self::Late,
    ];

    /// The word for metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Anonymous => "anonymous",
            Self::Login => "login",
            Self::BadToken => "bad_token",
            Self::Malformed => "malformed",
            Self::Unmatched => "unmatched",
            Self::Denied => "denied",
            Self::Unsure => "unsure",
            Self::Late => "late",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_number_and_a_word_of_its_own() {
        let mut codes = std::collections::BTreeSet::new();
        for (place, outcome) in DoorOutcome::ALL.into_iter().enumerate() {
            assert_eq!(place, outcome as usize);
            assert!(codes.insert(outcome.code()));
        }
    }
}
