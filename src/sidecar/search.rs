//! Searches: candidates by the copy's indexes, each put to the same decision as a check.
//!
//! A page costs at most [`EXAMINED`] candidates, whatever it finds: where hand-written policies let
//! few of many pass, it ends early and the next one goes on. Its rows are of one revision, and are
//! never put to policies of another.

use crate::domain::{OrganizationId, Revision, UserId};
use crate::policy::{ActionIndex, Candidates, Plan, Verdict};
use crate::protocol::authzen::RequestError;
use crate::sidecar::decide::{
    Check, Outcome, ReadProperties, Worker, barred, decide, registered, standing, unreadable,
};
use crate::sidecar::view::{AsOf, State, View};
use crate::sidecar::why::Why;
use crate::store::replica::{
    InstanceBounds, InstanceCursor, InstanceRow, MemberFacts, MembershipRow, Page,
};

/// The most members or memberships that one page looks at.
pub const EXAMINED: usize = 1000;

/// The most policies that one page evaluates where hand-written ones have a say.
const EVALUATED: usize = 20_000;

/// What a page found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<T, K> {
    /// What the facts were of.
    pub(super) revision: Revision,
    pub(super) rows: Vec<T>,
    /// After what to go on; `None` at the end.
    pub(super) next: Option<K>,
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Nothing is found, for this reason.
    Nothing(Why),
    /// The request is refused.
    Refused(RequestError),
    /// Hand-written policies decide by the resource, and none of the type are known here.
    PerResource,
}

impl From<RequestError> for Stopped {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

impl From<Why> for Stopped {
    fn from(why: Why) -> Self {
        Self::Nothing(why)
    }
}

/// One search, on one view.
pub(super) struct Searching<'s> {
    pub(super) state: &'s State,
    pub(super) view: &'s View,
    /// The properties of the question, read.
    pub(super) read: &'s ReadProperties,
    /// Whether it is about a resource that may be registered: facts are then of the view's revision
    /// and not of a newer one.
    pub(super) exactly: bool,
}

impl Searching<'_> {
    fn action(&self, check: &Check<'_>) -> Result<ActionIndex, Stopped> {
        let found = self.view.engine.action(&check.resource_type, check.action);
        Ok(found.ok_or(match self.view.position {
            Some(_) => Why::PermissionUnknown,
            None => Why::NoCopy,
        })?)
    }

    /// Whether facts that were read go with the view's policies.
    fn fits(&self, worker: &mut Worker, copy: u64, revision: Revision) -> Result<(), Stopped> {
        let as_of = AsOf { copy, revision };
        let fits = if self.exactly {
            as_of <= self.view.as_of()
        } else {
            self.state.goes_with(self.view, as_of)
        };
        if fits {
            return Ok(());
        }
        worker.overtaken = true;
        Err(Why::Overtaken.into())
    }

    /// As a check would decide, of facts already read.
    fn allows(&self, check: &Check<'_>, action: ActionIndex, facts: &MemberFacts) -> bool {
        match self.verdict(action, facts) {
            Verdict::Allow => true,
            Verdict::Deny => false,
            Verdict::Depends => self.evaluates(self.read, check, action, facts),
        }
    }

    /// What the member's standing and roles alone say.
    fn verdict(&self, action: ActionIndex, facts: &MemberFacts) -> Verdict {
        if barred(standing(facts.state)).is_some() {
            return Verdict::Deny;
        }
        let engine = &self.view.engine;
        engine
            .sets()
            .intern(&facts.roles)
            .map_or(Verdict::Depends, |set| engine.decide(set, action))
    }

    fn evaluates(
        &self,
        read: &ReadProperties,
        check: &Check<'_>,
        action: ActionIndex,
        facts: &MemberFacts,
    ) -> bool {
        let question = read.question(self.state, check, action, &facts.roles);
        self.view.engine.evaluate(&question).decision.is_allow()
    }

    /// How many candidates a page looks at to find `limit`.
    fn budget(&self, action: ActionIndex, limit: usize) -> usize {
        match self.view.engine.policies_on(action) {
            0 => limit.min(EXAMINED),
            policies => (EVALUATED / (policies + 1)).clamp(1, EXAMINED),
        }
    }

    /// Users who may do what `check` asks, in order of id, after `after`. Its user counts for
    /// nothing.
    pub(super) fn subjects(
        &self,
        worker: &mut Worker,
        check: &Check<'_>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Found<UserId, UserId>, Stopped> {
        let action = self.action(check)?;
        let roles = match self.view.engine.candidates(action) {
            Candidates::Holders(roles) => Some(roles),
            Candidates::Members => None,
        };
        let budget = self.budget(action, limit);
        let (copy, page) = worker
            .read_numbered(self.state, |reader| {
                reader.page_of_members(check.organization, roles.as_deref(), after, budget)
            })
            .map_err(|error| unreadable(self.state, &error))?;
        self.fits(worker, copy, page.revision)?;
        let found = |(user, facts): (UserId, MemberFacts)| {
            let check = Check {
                user,
                ..check.clone()
            };
            (user, self.allows(&check, action, &facts).then_some(user))
        };
        Ok(sift(page, limit, found))
    }

    /// Organizations of the check's user for which `judge` finds something, in order of id. The
    /// one named, or all.
    fn memberships<T>(
        &self,
        worker: &mut Worker,
        (user, only): (UserId, Option<OrganizationId>),
        after: Option<OrganizationId>,
        limit: usize,
        mut judge: impl FnMut(&MembershipRow) -> Option<T>,
    ) -> Result<Found<T, OrganizationId>, Stopped> {
        let (copy, page) = worker
            .read_numbered(self.state, |reader| match only {
                Some(organization) => reader.page_of_one_membership(user, organization),
                None => reader.page_of_memberships(user, after, limit.min(EXAMINED)),
            })
            .map_err(|error| unreadable(self.state, &error))?;
        self.fits(worker, copy, page.revision)?;
        Ok(sift(page, limit, |row| {
            let barred = barred(standing(row.facts.state)).is_some();
            let found = if barred { None } else { judge(&row) };
            (row.organization, found)
        }))
    }

    /// Organizations in which the check's user may do what it asks to every resource of the type.
    /// The check's organization counts for nothing.
    pub(super) fn resources(
        &self,
        worker: &mut Worker,
        check: &Check<'_>,
        only: Option<OrganizationId>,
        after: Option<OrganizationId>,
        limit: usize,
    ) -> Result<Found<OrganizationId, OrganizationId>, Stopped> {
        let action = self.action(check)?;
        if self.view.engine.depends(action) {
            return Err(Stopped::PerResource);
        }
        self.memberships(worker, (check.user, only), after, limit, |row| {
            let check = Check {
                organization: row.organization,
                ..check.clone()
            };
            self.allows(&check, action, &row.facts)
                .then_some(row.organization)
        })
    }

    /// Registered instances to which the check's user may do what it asks, in order of organization
    /// and id. The check's organization and resource count for nothing.
    pub(super) fn instances(
        &self,
        worker: &mut Worker,
        check: &Check<'_>,
        only: Option<OrganizationId>,
        after: Option<&InstanceCursor>,
        limit: usize,
    ) -> Result<Found<(OrganizationId, String), InstanceCursor>, Stopped> {
        let action = self.action(check)?;
        let Some(kind) = check.resource_type.split_once(':') else {
            return Err(Why::PermissionUnknown.into());
        };
        let bounds = InstanceBounds {
            memberships: EXAMINED,
            instances: self.budget(action, limit),
        };
        let (copy, page) = worker
            .read_numbered(self.state, |reader| {
                reader.page_of_instances((check.user, only), kind, after, bounds, &mut |row| {
                    self.verdict(action, &row.facts) != Verdict::Deny
                })
            })
            .map_err(|error| unreadable(self.state, &error))?;
        self.fits(worker, copy, page.revision)?;
        let found = |row: InstanceRow| {
            let organization = row.facts.organization;
            let allowed = self.allows_instance(check, action, &row);
            let cursor = InstanceCursor {
                organization,
                id: Some(row.id.clone()),
            };
            (cursor, allowed.then_some((organization, row.id)))
        };
        Ok(sift(page, limit, found))
    }

    fn allows_instance(&self, check: &Check<'_>, action: ActionIndex, row: &InstanceRow) -> bool {
        match self.verdict(action, &row.member) {
            Verdict::Allow => return true,
            Verdict::Deny => return false,
            Verdict::Depends => {}
        }
        // What cannot be read is not found: a check would deny it too.
        let Ok(registered) = registered(&row.facts) else {
            return false;
        };
        let mut read = self.read.clone();
        read.register(&registered);
        let check = Check {
            organization: row.facts.organization,
            resource_id: &row.id,
            ..check.clone()
        };
        self.evaluates(&read, &check, action, &row.member)
    }

    /// As [`Self::resources`], with what is left to ask of each resource.
    pub(super) fn plans(
        &self,
        worker: &mut Worker,
        check: &Check<'_>,
        only: Option<OrganizationId>,
        after: Option<OrganizationId>,
        limit: usize,
    ) -> Result<Found<(MembershipRow, Plan), OrganizationId>, Stopped> {
        let action = self.action(check)?;
        let engine = &self.view.engine;
        self.memberships(
            worker,
            (check.user, only),
            after,
            limit,
            |row| match engine.plan(row.organization, check.user, &row.facts.roles, action) {
                Plan::Never => None,
                plan => Some((row.clone(), plan)),
            },
        )
    }

    /// Actions that the check's user may do to its resource, in order of name, after `after`.
    pub(super) fn actions(
        &self,
        worker: &mut Worker,
        check: &Check<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Found<String, String>, Stopped> {
        let names: Vec<&str> = self
            .view
            .engine
            .actions_on(&check.resource_type)
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| after.is_none_or(|after| *name > after))
            .collect();
        if names.is_empty() && self.view.position.is_none() {
            return Err(Why::NoCopy.into());
        }
        let mut found = Found {
            revision: self.view.revision(),
            rows: Vec::new(),
            next: None,
        };
        for (place, name) in names.iter().enumerate() {
            if found.rows.len() == limit || place == EXAMINED {
                found.next = names
                    .get(place.saturating_sub(1))
                    .map(|&name| name.to_owned());
                break;
            }
            let check = Check {
                action: name,
                ..check.clone()
            };
            let outcome = decide(self.state, self.view, worker, &check)?;
            if unsure(outcome) {
                return Err(outcome.why.into());
            }
            if outcome.decision.is_allow() {
                found.rows.push((*name).to_owned());
            }
        }
        Ok(found)
    }
}

/// Whether a denial says nothing of who may do what.
fn unsure(outcome: Outcome) -> bool {
    matches!(
        outcome.why,
        Why::Overtaken | Why::NoCopy | Why::CopyUnreadable
    )
}

/// Keeps what `judge` finds of a page's rows, until there are `limit`.
fn sift<R, T, K>(
    page: Page<R, K>,
    limit: usize,
    mut judge: impl FnMut(R) -> (K, Option<T>),
) -> Found<T, K> {
    let mut found = Found {
        revision: page.revision,
        rows: Vec::new(),
        next: page.next,
    };
    let mut rows = page.rows.into_iter();
    while let Some(row) = rows.next() {
        let (key, kept) = judge(row);
        found.rows.extend(kept);
        if found.rows.len() == limit {
            if rows.len() > 0 {
                found.next = Some(key);
            }
            break;
        }
    }
    found
}
