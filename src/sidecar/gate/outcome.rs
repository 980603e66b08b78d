//! What became of a visit to a gate: a closed set, so that metrics can count by it.

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GateOutcome {
    /// Sent to the authority.
    Begun,
    /// Back with a code that was redeemed: a cookie was set.
    SignedIn,
    /// Back with an answer that belongs to no attempt of this browser.
    Lost,
    /// Back too late.
    Late,
    /// The authority, or the person there, said no.
    Refused,
    /// The authority could not be asked, or what it gave cannot be believed yet.
    Failed,
    /// Signed out.
    SignedOut,
    /// A request that is none of these, or that another site sent.
    Malformed,
}

impl GateOutcome {
    /// The word for metrics.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::SignedIn => "signed_in",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::SignedOut => "signed_out",
            Self::Malformed => "malformed",
        }
    }

    /// Counts it.
    pub(super) fn count(self) {
        metrics::counter!("doorward_sidecar_gate_total", "outcome" => self.code()).increment(1);
    }
}
