//! What is known of a decision before the resource is: for services that list their own rows.
//!
//! Cedar's stable interface evaluates whole requests only. So nothing is evaluated in part here:
//! hand-written policies whose scope rules the member out are left out, the conditions of the rest
//! are handed on in their own words, and only where none is left the answer is a plain one.

use cedar_policy::{Effect, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};
use serde::Serialize;

use crate::domain::{OrganizationId, RoleId, UserId};

use super::compile::CompiledAction;
use super::custom::CustomPolicy;
use super::engine::{ActionIndex, Engine, SetState};
use super::entities;

/// What a member may do in one organization, as far as the resource does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing there, whatever the resource.
    Never,
    /// Everything of the type that belongs to the organization.
    Always,
    /// What meets the conditions.
    Conditional(Residual),
}

/// What is left to ask of each resource: allowed when `granted` or one of `permits` applies, and
/// none of `forbids` does. One that cannot be evaluated counts against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Residual {
    /// Whether a role grants it already.
    pub granted: bool,
    /// Hand-written permits that may apply; none where a role grants it.
    pub permits: Vec<Condition>,
    /// Hand-written forbids that may apply.
    pub forbids: Vec<Condition>,
}

/// A hand-written policy that may apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Its id.
    pub policy: String,
    /// Its `@reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The policy in Cedar.
    pub text: String,
}

/// Whether a policy applies to a member and an action, by its scope and conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Applies {
    Never,
    Always,
    Perhaps,
}

impl Engine {
    /// What the member may do to resources of its own organization.
    pub fn plan(
        &self,
        organization: OrganizationId,
        user: UserId,
        roles: &[RoleId],
        action: ActionIndex,
    ) -> Plan {
        let Some(compiled) = self.compiled_action(action) else {
            return Plan::Never;
        };
        let mut uninterned = None;
        let state = self.state_of(roles, &mut uninterned);
        let member = Member {
            uid: entities::membership(organization, user),
            roles: self.roles(&state.held).map(|role| &role.uid).collect(),
            organization: entities::organization(organization),
        };
        let mut granted = grants(compiled, state);
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for custom in self.matching(action) {
            let permit = custom.policy.effect() == Effect::Permit;
            match (member.applies(&custom.policy), permit) {
                (Applies::Never, _) => {}
                (Applies::Always, false) => return Plan::Never,
                (Applies::Always, true) => granted = true,
                (Applies::Perhaps, true) => permits.push(condition(custom)),
                (Applies::Perhaps, false) => forbids.push(condition(custom)),
            }
        }
        if granted {
            permits.clear();
        }
        match (granted || !permits.is_empty(), forbids.is_empty()) {
            (false, _) => Plan::Never,
            (true, true) if granted => Plan::Always,
            (true, _) => Plan::Conditional(Residual {
                granted,
                permits,
                forbids,
            }),
        }
    }
}

fn grants(action: &CompiledAction, state: &SetState) -> bool {
    let mut held = state.held.iter();
    held.any(|place| action.granting.binary_search(place).is_ok())
}

fn condition(custom: &CustomPolicy) -> Condition {
    Condition {
        policy: custom.id.as_ref().to_owned(),
        reason: custom.policy.annotation("reason").map(ToOwned::to_owned),
        text: custom.policy.to_string(),
    }
}

/// What scopes can tell apart of a membership.
struct Member<'e> {
    uid: EntityUid,
    roles: Vec<&'e EntityUid>,
    organization: EntityUid,
}

impl Member<'_> {
    /// The scope's action and resource type are not looked at: policies come by them already.
    fn applies(&self, policy: &Policy) -> Applies {
        let holds = |uid: &EntityUid| *uid == self.uid || self.roles.contains(&uid);
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => holds(&uid),
            PrincipalConstraint::Eq(uid) => uid == self.uid,
        };
        // Whichever resource it is, it is in its organization.
        let any_resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => true,
            ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                uid == self.organization
            }
            ResourceConstraint::Eq(_) => false,
        };
        if !principal || self.elsewhere(policy) {
            Applies::Never
        } else if any_resource && !policy.has_non_scope_constraint() {
            Applies::Always
        } else {
            Applies::Perhaps
        }
    }

    /// Whether it is about another organization's resources.
    fn elsewhere(&self, policy: &Policy) -> bool {
        match policy.resource_constraint() {
            ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                uid != self.organization && uid.type_name() == self.organization.type_name()
            }
            ResourceConstraint::Any | ResourceConstraint::Is(_) | ResourceConstraint::Eq(_) => {
                false
            }
        }
    }
}
