//! The last decisions, for a person who watches: kept only once somebody asked for them.

use std::collections::VecDeque;

use crate::domain::{OrganizationId, UserId};
use crate::sidecar::decide::{Check, Outcome};

/// How many decisions a thread keeps between two looks.
const MOST: usize = 16;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Who was asked about.
    pub user: UserId,
    /// Where.
    pub organization: OrganizationId,
    /// What, as `service:resource:action`.
    pub permission: String,
    /// The answer.
    pub outcome: Outcome,
}

/// The last decisions of one thread.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: VecDeque<Decided>,
}

impl Recent {
    pub(super) fn note(&mut self, check: &Check<'_>, outcome: Outcome) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(Decided {
            user: check.user,
            organization: check.organization,
            permission: format!("{}:{}", check.resource_type, check.action),
            outcome,
        });
    }

    /// Gives what is kept, oldest first, and forgets it.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Decided> {
        self.kept.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sidecar::decide::Properties;
    use crate::sidecar::why::Why;

    #[test]
    fn only_the_last_decisions_are_kept_and_each_is_given_once() {
        let mut recent = Recent::default();
        for user in 0..100 {
            let check = Check {
                user: UserId::from_u128(user),
                organization: OrganizationId::from_u128(1),
                resource_type: "billing:invoice".into(),
                action: "send",
                resource_id: "",
                properties: Properties::default(),
            };
            recent.note(&check, Outcome::deny(Why::Roles));
        }
        let taken: Vec<Decided> = recent.take().collect();
        let wanted: Vec<UserId> = (84..100).map(UserId::from_u128).collect();
        assert_eq!(taken.iter().map(|one| one.user).collect::<Vec<_>>(), wanted);
        assert_eq!(taken[0].permission, "billing:invoice:send");
        assert_eq!(recent.take().count(), 0);
    }
}
