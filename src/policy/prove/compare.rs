//! Two sets of policies, permission by permission: what one allows and the other does not.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Effect, Policy, RequestEnv};
use serde::Serialize;

use super::super::engine::Engine;
use super::example::Example;
use super::solver::{Answer, Relation, Reply, Solver};
use super::theory::{Side, Theory};
use crate::domain::{Decision, PermissionKey};

/// What the hand-written policies make of a change, for the permissions that they have a say in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// By permission, in order of name.
    pub permissions: BTreeMap<PermissionKey, ActionDifference>,
}

/// One permission's difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActionDifference {
    /// Whether the old policies allow all that the new ones do; the example is what was widened.
    pub no_wider: Answer<Example>,
    /// Whether the new policies allow all that the old ones did; the example is what was narrowed.
    pub no_narrower: Answer<Example>,
}

impl ActionDifference {
    /// Whether both allow the same, and that is sure.
    pub fn is_same(&self) -> bool {
        self.no_wider == Answer::Proved && self.no_narrower == Answer::Proved
    }
}

/// Compares two engines where a hand-written policy of either can have a say. Everywhere else roles
/// decide alone, and sets of permissions tell the difference exactly: see
/// [`RoleDifference`](super::super::difference::RoleDifference).
pub async fn compare(old: &Engine, new: &Engine, solver: &mut Solver) -> Comparison {
    let keys: BTreeSet<&PermissionKey> = [old, new]
        .into_iter()
        .flat_map(|engine| {
            engine
                .permissions()
                .filter(|key| engine.permission(key).is_some_and(|at| engine.depends(at)))
        })
        .collect();
    let side = |engine| Side {
        engine,
        roles: true,
    };
    let theory = Theory::new([side(old), side(new)]);
    let mut permissions = BTreeMap::new();
    for key in keys {
        let difference = match &theory {
            Ok(theory) => ActionDifference {
                no_wider: holds(theory, Relation::Implies, (1, 0), key, solver).await,
                no_narrower: holds(theory, Relation::Implies, (0, 1), key, solver).await,
            },
            Err(why) => ActionDifference {
                no_wider: Answer::Undecided { why: why.clone() },
                no_narrower: Answer::Undecided { why: why.clone() },
            },
        };
        permissions.insert(key.clone(), difference);
    }
    Comparison { permissions }
}

/// Whether two sides are related in this way, for one permission.
pub(super) async fn holds(
    theory: &Theory<'_>,
    relation: Relation,
    (left, right): (usize, usize),
    key: &PermissionKey,
    solver: &mut Solver,
) -> Answer<Example> {
    match asked(theory, relation, (left, right), key, solver).await {
        Ok(answer) => answer,
        Err(why) => Answer::Undecided { why },
    }
}

async fn asked(
    theory: &Theory<'_>,
    relation: Relation,
    (left, right): (usize, usize),
    key: &PermissionKey,
    solver: &mut Solver,
) -> Result<Answer<Example>, String> {
    let Some(environment) = theory.environment(key) else {
        // Nobody declares it: both deny.
        return Ok(Answer::Proved);
    };
    let allowing = theory.policies(left, key)?;
    let limiting = theory.policies(right, key)?;
    if relation == Relation::Implies && same(&allowing, &limiting) && alike(theory, key) {
        return Ok(Answer::Proved);
    }
    let first = theory.pose(&allowing, &environment)?;
    let second = theory.pose(&limiting, &environment)?;
    let reply = solver.ask(relation, &first, &second).await;
    match reply {
        Reply::Unknown(why) => Ok(Answer::Undecided { why }),
        Reply::Holds if relation == Relation::Disjoint => Ok(Answer::Proved),
        Reply::Holds => {
            // Cedar skips a forbid that fails. One that only the right side has may deny there what
            // the left side allows.
            let own: Vec<&Policy> = limiting
                .iter()
                .filter(|policy| policy.effect() == Effect::Forbid)
                .filter(|policy| {
                    !allowing
                        .iter()
                        .any(|other| other.to_string() == policy.to_string())
                })
                .collect();
            unfailing(theory, &own, &environment, solver).await
        }
        Reply::Fails(env) => {
            let known = |role: &_| {
                [left, right].iter().any(|number| {
                    let mut roles = theory.side(*number).engine.compiled.roles.iter();
                    roles.any(|one| one.key == *role)
                })
            };
            let example = Example::of(&env, key, known)?;
            Ok(confirmed(theory, relation, (left, right), example))
        }
    }
}

/// Whether two lists have the same policies, in whatever order.
fn same(left: &[Policy], right: &[Policy]) -> bool {
    let texts = |policies: &[Policy]| -> BTreeSet<String> {
        policies.iter().map(ToString::to_string).collect()
    };
    texts(left) == texts(right)
}

/// Whether both sides declare the permission: where one does not, it denies.
fn alike(theory: &Theory<'_>, key: &PermissionKey) -> bool {
    (0..2).all(|number| theory.side(number).engine.permission(key).is_some())
}

/// Proved, if none of these policies can fail.
async fn unfailing(
    theory: &Theory<'_>,
    policies: &[&Policy],
    environment: &RequestEnv,
    solver: &mut Solver,
) -> Result<Answer<Example>, String> {
    for policy in policies {
        let compiled = theory.compile(policy, environment)?;
        let id: &str = policy.id().as_ref();
        match solver.may_fail(&compiled).await {
            Some(false) => {}
            Some(true) => {
                return Ok(Answer::Undecided {
                    why: format!(
                        "the forbid `{id}` can fail (arithmetic that overflows, most likely), and \
                         one that fails denies"
                    ),
                });
            }
            None => {
                return Ok(Answer::Undecided {
                    why: format!("whether the forbid `{id}` can fail is not known"),
                });
            }
        }
    }
    Ok(Answer::Proved)
}

/// The example, once the evaluator says the same.
fn confirmed(
    theory: &Theory<'_>,
    relation: Relation,
    (left, right): (usize, usize),
    example: Example,
) -> Answer<Example> {
    let says = |example: &Example, number: usize| -> (bool, Vec<String>, bool) {
        let side = theory.side(number);
        let Some(evaluation) = example.evaluate(side.engine) else {
            return (false, Vec::new(), false);
        };
        let failed = !evaluation.faults.is_empty();
        if side.roles {
            let allowed = evaluation.decision == Decision::Allow;
            return (allowed, evaluation.reasons, failed);
        }
        // A condition is met when its policy decided, whatever roles say.
        let met = evaluation.reasons.iter().any(|id| !id.starts_with("role:"));
        (met, Vec::new(), failed)
    };
    let expected = (true, relation == Relation::Disjoint);
    let tells = |example: &Example| (says(example, left).0, says(example, right).0) == expected;
    if tells(&example) {
        let mut example = example.shrunk(tells);
        let (by, against) = (says(&example, left).1, says(&example, right).1);
        example.decided_by = by.into_iter().chain(against).collect();
        return Answer::Disproved { example };
    }
    let ((first, _, failed), (second, _, failed_too)) =
        (says(&example, left), says(&example, right));
    if failed || failed_too {
        return Answer::Undecided {
            why: format!(
                "the solver skips a policy that fails, the evaluator does not; it failed where {}",
                example.words
            ),
        };
    }
    Answer::Contradiction {
        what: format!(
            "the solver says that {} tells them apart; the evaluator says {first} and {second}",
            example.words
        ),
    }
}
