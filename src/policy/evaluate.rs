//! One request, put to Cedar: the real membership with all its roles, once, on the right slice.

use std::collections::HashSet;

use cedar_policy::{
    AuthorizationError, Context, Decision as CedarDecision, Effect, Entities, Entity, EntityUid,
    PolicySet, Request,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::{Decision, OrganizationId, RoleId, Timestamp, UserId};

use super::attributes::{self, WrongType};
use super::compile::CompiledAction;
use super::engine::{ActionIndex, Engine, SetState};
use super::entities;

/// A request with the facts that bear on it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The organization the membership is of.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
    /// Every role the membership holds.
    pub roles: &'a [RoleId],
    /// The permission asked for, found by [`Engine::action`] on this same engine.
    pub action: ActionIndex,
    /// What it is asked for on.
    pub resource: Resource<'a>,
    /// What the caller says of the subject.
    pub subject_properties: Option<&'a Map<String, Value>>,
    /// What the caller says of the action.
    pub action_properties: Option<&'a Map<String, Value>>,
    /// What the caller says of the circumstances.
    pub context: Option<&'a Map<String, Value>>,
    /// The time, for policies that read `context.now`.
    pub now: Option<Timestamp>,
}

/// What is acted on.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// `service:resource`: the type that [`Question::action`] was found under.
    pub resource_type: &'a str,
    /// Its id, in the service's own terms.
    pub id: &'a str,
    /// The organization it belongs to; `None` means the membership's.
    pub organization: Option<OrganizationId>,
    /// What the caller says of it.
    pub properties: Option<&'a Map<String, Value>>,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Allow or deny.
    pub decision: Decision,
    /// Ids of the policies that decided, sorted: `role:svc/name` or a hand-written policy's. Empty
    /// when no policy allowed.
    pub reasons: Vec<String>,
    /// What went wrong on the way.
    pub faults: Vec<Fault>,
}

/// Something in a request or a policy that kept a policy from being evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// A declared attribute of another type: denied.
    WrongType(WrongType),
    /// A forbid that failed: denied. (Cedar alone would skip it.)
    Forbid {
        /// The policy's id.
        policy: String,
        /// What Cedar says.
        message: String,
    },
    /// A permit that failed: it allows nothing.
    Permit {
        /// The policy's id.
        policy: String,
        /// What Cedar says.
        message: String,
    },
    /// The request cannot be put to Cedar at all: denied.
    Request {
        /// What Cedar says.
        message: String,
    },
}

impl Evaluation {
    fn failed(fault: Fault) -> Self {
        Self {
            decision: Decision::Deny,
            reasons: Vec::new(),
            faults: vec![fault],
        }
    }
}

impl Engine {
    /// Evaluates a question of any column.
    pub fn evaluate(&self, question: &Question<'_>) -> Evaluation {
        let Some(action) = self.compiled_action(question.action) else {
            let message = "the action is not of this engine".to_owned();
            return Evaluation::failed(Fault::Request { message });
        };
        let mut uninterned = None;
        let state = self.state_of(question.roles, &mut uninterned);
        let (entities, context) = match self.present(question, action, state) {
            Ok(presented) => presented,
            Err(fault) => return Evaluation::failed(fault),
        };
        let pattern = self.pattern(question.action);
        let slice = self.slice(state, pattern);
        let action_entity = self.action_entity(action, state, pattern != 0);
        self.ask(&slice, entities, action_entity, context)
    }

    /// Fills a cell of the memo: any member with these roles, any resource of its organization.
    pub(super) fn fill(&self, state: &SetState, action: ActionIndex) -> bool {
        let Some(compiled) = self.compiled_action(action) else {
            return false;
        };
        let organization = OrganizationId::from_u128(0);
        let roles = self.roles(&state.held).map(|role| role.uid.clone());
        let user = UserId::from_u128(0);
        let resource = entities::uid(&compiled.resource_type, "");
        let (Ok(principal), Ok(resource)) = (
            entities::membership_entity(organization, user, roles, Vec::new()),
            entities::resource_entity(resource, organization, Vec::new()),
        ) else {
            return false;
        };
        // Not kept: each cell is filled once, and a world may have a set of roles for every member.
        let slice = self.make_slice(state, 0);
        let action = self.action_entity(compiled, state, false);
        self.ask(&slice, [principal, resource], action, Context::empty())
            .decision
            .is_allow()
    }

    /// The membership and the resource, and the context.
    fn present(
        &self,
        question: &Question<'_>,
        action: &CompiledAction,
        state: &SetState,
    ) -> Result<([Entity; 2], Context), Fault> {
        let declared = self.custom.attributes();
        let subject = attributes::expressions(
            "subject",
            &declared.subject,
            question.subject_properties,
            false,
        )
        .map_err(Fault::WrongType)?;
        let properties = match declared.of_resource(&action.key.service, &action.key.resource) {
            Some(part) => {
                attributes::expressions("resource", part, question.resource.properties, false)
                    .map_err(Fault::WrongType)?
            }
            None => Vec::new(),
        };
        let context = declared
            .context(question.context, question.action_properties, question.now)
            .map_err(Fault::WrongType)?;
        let roles = self.roles(&state.held).map(|role| role.uid.clone());
        let request = |message: String| Fault::Request { message };
        let principal =
            entities::membership_entity(question.organization, question.user, roles, subject)
                .map_err(request)?;
        let resource = entities::resource_entity(
            entities::uid(&action.resource_type, question.resource.id),
            question
                .resource
                .organization
                .unwrap_or(question.organization),
            properties,
        )
        .map_err(request)?;
        Ok(([principal, resource], context))
    }

    /// The action with those of its groups that a policy of the slice can ask for: the groups of
    /// the roles held, and the groups that hand-written policies name, held or not.
    fn action_entity(&self, action: &CompiledAction, state: &SetState, named: bool) -> Entity {
        let named: &[u32] = if named { &self.named_groups } else { &[] };
        let parents: HashSet<EntityUid> = state
            .held
            .iter()
            .chain(named)
            .filter(|place| action.granting.binary_search(place).is_ok())
            .filter_map(|place| self.compiled.roles.get(*place as usize))
            .map(|role| role.group.clone())
            .collect();
        entities::bare(action.uid.clone(), parents)
    }

    fn ask(
        &self,
        slice: &PolicySet,
        [principal, resource]: [Entity; 2],
        action: Entity,
        context: Context,
    ) -> Evaluation {
        let request = Request::new(principal.uid(), action.uid(), resource.uid(), context, None);
        // Added to nothing, and not `from_entities`: that finds a transitive closure anew, which
        // took a third of a whole request; this repairs one.
        let entities = Entities::empty().add_entities([principal, action, resource], None);
        match (request, entities) {
            (Ok(request), Ok(entities)) => judge(
                &self.authorizer.is_authorized(&request, slice, &entities),
                slice,
            ),
            (Err(source), _) => Evaluation::failed(Fault::Request {
                message: source.to_string(),
            }),
            (_, Err(source)) => Evaluation::failed(Fault::Request {
                message: source.to_string(),
            }),
        }
    }
}

/// Cedar's answer with our one rule on top: a forbid that failed denies.
pub(super) fn judge(response: &cedar_policy::Response, policies: &PolicySet) -> Evaluation {
    let mut faults = Vec::new();
    let mut failed_forbids = Vec::new();
    for error in response.diagnostics().errors() {
        let AuthorizationError::PolicyEvaluationError(error) = error;
        let policy: &str = error.policy_id().as_ref();
        let policy = policy.to_owned();
        let message = error.inner().to_string();
        let effect = policies
            .policy(error.policy_id())
            .map_or(Effect::Forbid, cedar_policy::Policy::effect);
        if effect == Effect::Forbid {
            failed_forbids.push(policy.clone());
            faults.push(Fault::Forbid { policy, message });
        } else {
            faults.push(Fault::Permit { policy, message });
        }
    }
    faults.sort_by(|a, b| a.policy().cmp(&b.policy()));
    let allowed = response.decision() == CedarDecision::Allow;
    let mut reasons: Vec<String> = if allowed && !failed_forbids.is_empty() {
        failed_forbids
    } else {
        let decided = response.diagnostics().reason().map(|id| {
            let id: &str = id.as_ref();
            id.to_owned()
        });
        decided.chain(failed_forbids.iter().cloned()).collect()
    };
    reasons.sort();
    let denied = faults.iter().any(|f| matches!(f, Fault::Forbid { .. }));
    Evaluation {
        decision: if allowed && !denied {
            Decision::Allow
        } else {
            Decision::Deny
        },
        reasons,
        faults,
    }
}

impl Fault {
    /// The policy at fault, if one is.
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::Forbid { policy, .. } | Self::Permit { policy, .. } => Some(policy),
            Self::WrongType(_) | Self::Request { .. } => None,
        }
    }
}
