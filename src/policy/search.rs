//! What a search has to look at: the inverse of a decision.
//!
//! Nothing here decides. A search puts every candidate to [`Engine::decide`] or
//! [`Engine::evaluate`]; what is told here is only where no candidate can be.

use cedar_policy::{Effect, EntityUid, Policy, PrincipalConstraint};

use crate::domain::RoleId;

use super::engine::{ActionIndex, Engine};

/// The members among whom those are who may do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// Whoever holds one of these roles. With none, nobody may.
    Holders(Vec<RoleId>),
    /// Any member: a hand-written permit does not go by roles.
    Members,
}

impl Engine {
    /// Among whom to look for those who may do `action`.
    ///
    /// A permit is needed to be allowed: a role's, which its holders have, or a hand-written one.
    pub fn candidates(&self, action: ActionIndex) -> Candidates {
        let Some(compiled) = self.compiled_action(action) else {
            return Candidates::Holders(Vec::new());
        };
        let mut roles: Vec<RoleId> = self.roles(&compiled.granting).map(|role| role.id).collect();
        for custom in self.matching(action) {
            if custom.policy.effect() != Effect::Permit {
                continue;
            }
            let Some(uid) = role_of_scope(&custom.policy) else {
                return Candidates::Members;
            };
            // A role that nobody declares is held by nobody.
            let named = self.compiled.roles.iter().find(|role| role.uid == uid);
            roles.extend(named.map(|role| role.id));
        }
        roles.sort_unstable();
        roles.dedup();
        Candidates::Holders(roles)
    }

    /// How many hand-written policies an evaluation of `action` looks at.
    pub fn policies_on(&self, action: ActionIndex) -> usize {
        self.matching(action).count()
    }

    /// The actions declared on a resource type, in order of name.
    pub fn actions_on(&self, resource_type: &str) -> Vec<(&str, ActionIndex)> {
        let mut actions: Vec<(&str, ActionIndex)> = self.lookup_of(resource_type).collect();
        actions.sort_unstable_by_key(|(name, _)| *name);
        actions
    }
}

/// The role that a policy's scope asks the principal to hold, if it asks for that.
fn role_of_scope(policy: &Policy) -> Option<EntityUid> {
    match policy.principal_constraint() {
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            (uid.type_name().to_string() == "Role").then_some(uid)
        }
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) | PrincipalConstraint::Eq(_) => None,
    }
}
