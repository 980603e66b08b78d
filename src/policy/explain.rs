//! Why: made only when asked for, in words for a person.

use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::RoleKey;

use super::attributes::WrongType;
use super::engine::Engine;
use super::evaluate::{Evaluation, Fault, Question};

/// The most names an explanation lists.
const LISTED: usize = 50;

/// Why a question is answered as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub allowed: bool,
    /// The whole of it in one sentence.
    pub summary: String,
    /// The permission asked for, as `service:resource:action`.
    pub permission: String,
    /// The cause, for programs.
    pub cause: Cause,
    /// The roles that the member holds.
    pub roles_held: Vec<RoleKey>,
    /// What went wrong on the way.
    pub faults: Vec<Fault>,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// Allowed.
    Granted {
        /// By these roles.
        roles: Vec<RoleKey>,
        /// By these hand-written policies.
        policies: Vec<PolicyNote>,
    },
    /// Denied by hand-written policies.
    Forbidden {
        /// The forbids that fired.
        policies: Vec<PolicyNote>,
    },
    /// Denied because a forbid could not be evaluated.
    PolicyFailed {
        /// The forbids that failed.
        policies: Vec<PolicyNote>,
    },
    /// Denied because a declared attribute was of another type.
    WrongType(WrongType),
    /// Denied because the request cannot be put to Cedar.
    BadRequest,
    /// Denied: a role held grants it, but the resource is another organization's.
    OtherOrganization,
    /// Denied: the nearest miss.
    NotHeld {
        /// Roles that would grant it.
        granting: Vec<RoleKey>,
    },
    /// Denied: no role at all grants it.
    NoRoleGrants,
    /// Denied: no service declares it.
    UnknownAction {
        /// What is declared nearby.
        declared: Vec<String>,
    },
}

/// A hand-written policy, and what its author said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyNote {
    /// The policy's id.
    pub id: String,
    /// Its `@reason` annotation.
    pub reason: Option<String>,
}

impl Engine {
    /// Evaluates a question and says why the answer is what it is.
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let evaluation = self.evaluate(question);
        let mut roles_held: Vec<RoleKey> = question
            .roles
            .iter()
            .filter_map(|id| self.role(*id).cloned())
            .collect();
        roles_held.sort();
        roles_held.dedup();
        let permission = self
            .key(question.action)
            .map_or_else(|| "?".to_owned(), ToString::to_string);
        let cause = self.cause(question, &evaluation);
        Explanation {
            allowed: evaluation.decision.is_allow(),
            summary: summary(&cause, &permission, &roles_held, &evaluation.faults),
            permission,
            cause,
            roles_held,
            faults: evaluation.faults,
        }
    }

    /// The explanation for a permission that [`Engine::action`] does not find.
    pub fn explain_unknown(&self, resource_type: &str, action: &str) -> Explanation {
        let nearby = |prefix: &str| -> Vec<String> {
            self.permissions()
                .map(ToString::to_string)
                .filter(|name| name.starts_with(prefix))
                .take(LISTED)
                .collect()
        };
        let mut declared = nearby(&format!("{resource_type}:"));
        if declared.is_empty()
            && let Some((service, _)) = resource_type.split_once(':')
        {
            declared = nearby(&format!("{service}:"));
        }
        let permission = format!("{resource_type}:{action}");
        let cause = Cause::UnknownAction { declared };
        Explanation {
            allowed: false,
            summary: summary(&cause, &permission, &[], &[]),
            permission,
            cause,
            roles_held: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn cause(&self, question: &Question<'_>, evaluation: &Evaluation) -> Cause {
        let (generated, written): (Vec<&String>, Vec<&String>) = evaluation
            .reasons
            .iter()
            .partition(|id| id.starts_with("role:"));
        let notes = |ids: &[&String]| ids.iter().map(|id| self.note(id)).collect::<Vec<_>>();
        if evaluation.decision.is_allow() {
            return Cause::Granted {
                roles: generated
                    .iter()
                    .filter_map(|id| id.strip_prefix("role:")?.parse().ok())
                    .collect(),
                policies: notes(&written),
            };
        }
        let mut failed = Vec::new();
        for fault in &evaluation.faults {
            match fault {
                Fault::WrongType(wrong) => return Cause::WrongType(wrong.clone()),
                Fault::Request { .. } => return Cause::BadRequest,
                Fault::Forbid { policy, .. } => failed.push(policy),
                Fault::Permit { .. } => {}
            }
        }
        let fired: Vec<&String> = written
            .iter()
            .copied()
            .filter(|id| !failed.contains(id))
            .collect();
        if !fired.is_empty() {
            Cause::Forbidden {
                policies: notes(&fired),
            }
        } else if !failed.is_empty() {
            Cause::PolicyFailed {
                policies: notes(&failed),
            }
        } else {
            self.miss(question)
        }
    }

    fn note(&self, id: &str) -> PolicyNote {
        let custom = self
            .custom
            .policies()
            .iter()
            .find(|custom| *custom.id == *id);
        PolicyNote {
            id: id.to_owned(),
            reason: custom
                .and_then(|custom| custom.policy.annotation("reason"))
                .map(ToOwned::to_owned),
        }
    }

    /// Why nothing allowed.
    fn miss(&self, question: &Question<'_>) -> Cause {
        let Some(action) = self.compiled_action(question.action) else {
            return Cause::BadRequest;
        };
        let granting: Vec<_> = self.roles(&action.granting).collect();
        if granting
            .iter()
            .any(|role| question.roles.contains(&role.id))
        {
            return Cause::OtherOrganization;
        }
        if granting.is_empty() {
            return Cause::NoRoleGrants;
        }
        // Roles of the permission's own service first: those are the ones people are given.
        let mut names: Vec<RoleKey> = granting.iter().map(|role| role.key.clone()).collect();
        names.sort_by_key(|role| (role.service != action.key.service, role.clone()));
        names.truncate(LISTED);
        Cause::NotHeld { granting: names }
    }
}

fn summary(cause: &Cause, permission: &str, held: &[RoleKey], faults: &[Fault]) -> String {
    let mut text = match cause {
        Cause::Granted { roles, policies } => {
            let mut by = Vec::new();
            if !roles.is_empty() {
                by.push(format!("{} {}", plural("role", roles.len()), names(roles)));
            }
            if !policies.is_empty() {
                by.push(format!(
                    "{} {}",
                    plural("policy", policies.len()),
                    noted(policies)
                ));
            }
            let verb = if roles.len() + policies.len() == 1 {
                "grants"
            } else {
                "grant"
            };
            format!("allowed: {} {verb} `{permission}`", by.join(" and "))
        }
        Cause::Forbidden { policies } => format!(
            "denied: `{permission}` is forbidden by {} {}",
            plural("policy", policies.len()),
            noted(policies)
        ),
        Cause::PolicyFailed { policies } => format!(
            "denied: {} {} could not be evaluated, and a forbid that fails denies",
            plural("policy", policies.len()),
            noted(policies)
        ),
        Cause::WrongType(wrong) => format!("denied: {wrong}"),
        Cause::BadRequest => "denied: the request cannot be evaluated".to_owned(),
        Cause::OtherOrganization => format!(
            "denied: a role held grants `{permission}`, but the resource belongs to another \
             organization"
        ),
        Cause::NotHeld { granting } => {
            let held = if held.is_empty() {
                "holds no role".to_owned()
            } else {
                format!("holds {}", names(held))
            };
            format!(
                "denied: the member {held}; `{permission}` would be granted by {}",
                names(granting)
            )
        }
        Cause::NoRoleGrants => format!("denied: no role grants `{permission}`"),
        Cause::UnknownAction { declared } if declared.is_empty() => {
            format!("denied: no service declares `{permission}`")
        }
        Cause::UnknownAction { declared } => {
            let listed: Vec<String> = declared.iter().map(|name| format!("`{name}`")).collect();
            format!(
                "denied: no service declares `{permission}`; declared are {}",
                listed.join(", ")
            )
        }
    };
    for fault in faults {
        match fault {
            Fault::Permit { policy, message } => {
                _ = write!(text, "; policy `{policy}` was ignored: {message}");
            }
            Fault::Forbid { policy, message } => _ = write!(text, "; policy `{policy}`: {message}"),
            Fault::Request { message } => _ = write!(text, ": {message}"),
            Fault::WrongType(_) => {}
        }
    }
    text
}

fn plural(word: &'static str, count: usize) -> &'static str {
    match (word, count) {
        ("policy", 2..) => "policies",
        ("role", 2..) => "roles",
        (word, _) => word,
    }
}

fn names(roles: &[RoleKey]) -> String {
    let quoted: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
    quoted.join(", ")
}

fn noted(policies: &[PolicyNote]) -> String {
    let quoted: Vec<String> = policies
        .iter()
        .map(|note| match &note.reason {
            Some(reason) => format!("`{}` ({reason})", note.id),
            None => format!("`{}`", note.id),
        })
        .collect();
    quoted.join(", ")
}
