//! Properties that somebody states about policies, and what is found about each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::super::compile::PolicyFacts;
use super::super::custom::{CustomError, CustomPolicies};
use super::super::engine::Engine;
use super::super::role_sets::RoleSets;
use super::compare::holds;
use super::example::Example;
use super::solver::{Answer, Relation, Solver};
use super::theory::{Side, Theory};
use crate::domain::PermissionKey;

/// The name that mistakes in a condition are reported under.
const CONDITION: &str = "condition";

/// Something that is to hold for every request.
#[derive(Debug)]
pub struct Property<'a> {
    /// The permissions it is about; none stands for every one.
    pub permissions: &'a [PermissionKey],
    /// What is claimed.
    pub claim: Claim<'a>,
}

/// What is claimed. Conditions are what stands in `when { … }` of a Cedar policy.
#[derive(Debug, Clone, Copy)]
pub enum Claim<'a> {
    /// Nothing is allowed where the condition is met.
    NeverAllow(&'a str),
    /// Everything is allowed where the condition is met.
    AlwaysAllow(&'a str),
    /// These policies allow the same.
    SameAs(&'a Engine),
    /// These policies allow everything that is allowed.
    NoWiderThan(&'a Engine),
}

/// Why a property cannot be asked about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A permission that nobody declares.
    #[error("no service declares `{0}`")]
    UnknownPermission(PermissionKey),
    /// A condition that is not one. Lines count from its first.
    #[error("the condition is wrong: {0}")]
    Condition(CustomError),
    /// The sides cannot be compared.
    #[error("{0}")]
    Apart(String),
}

/// What was found for each permission, in order of name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proof {
    /// By permission; the first answer that is not *proved*, where both directions were asked.
    pub permissions: BTreeMap<PermissionKey, Answer<Example>>,
}

/// Asks about one property of `engine`, which was built from `facts`.
///
/// # Errors
///
/// [`ClaimError`]: the property itself is wrong.
pub async fn prove(
    facts: &PolicyFacts,
    engine: &Engine,
    property: &Property<'_>,
    solver: &mut Solver,
) -> Result<Proof, ClaimError> {
    let (other, roles, directions): (_, _, &[_]) = match property.claim {
        Claim::NeverAllow(text) => {
            let condition = condition(facts, engine, property.permissions, text)?;
            (
                Other::Made(Box::new(condition)),
                false,
                &[(Relation::Disjoint, (0, 1))],
            )
        }
        Claim::AlwaysAllow(text) => {
            let condition = condition(facts, engine, property.permissions, text)?;
            (
                Other::Made(Box::new(condition)),
                false,
                &[(Relation::Implies, (1, 0))],
            )
        }
        Claim::SameAs(other) => (
            Other::Given(other),
            true,
            &[(Relation::Implies, (0, 1)), (Relation::Implies, (1, 0))],
        ),
        Claim::NoWiderThan(other) => (Other::Given(other), true, &[(Relation::Implies, (0, 1))]),
    };
    let other = match &other {
        Other::Made(engine) => engine.as_ref(),
        Other::Given(engine) => engine,
    };
    let mut keys: Vec<PermissionKey> = property.permissions.to_vec();
    if keys.is_empty() {
        keys = engine
            .permissions()
            .chain(other.permissions())
            .cloned()
            .collect();
    }
    if let Some(unknown) = keys
        .iter()
        .find(|key| engine.permission(key).or(other.permission(key)).is_none())
    {
        return Err(ClaimError::UnknownPermission(unknown.clone()));
    }
    let theory = Theory::new([
        Side {
            engine,
            roles: true,
        },
        Side {
            engine: other,
            roles,
        },
    ])
    .map_err(ClaimError::Apart)?;
    let mut permissions = BTreeMap::new();
    for key in keys {
        let mut answer = Answer::Proved;
        for (relation, sides) in directions {
            if answer == Answer::Proved {
                answer = holds(&theory, *relation, *sides, &key, solver).await;
            }
        }
        permissions.insert(key, answer);
    }
    Ok(Proof { permissions })
}

enum Other<'a> {
    Made(Box<Engine>),
    Given(&'a Engine),
}

/// A condition as an engine with one permit, over the same declarations.
fn condition(
    facts: &PolicyFacts,
    engine: &Engine,
    permissions: &[PermissionKey],
    text: &str,
) -> Result<Engine, ClaimError> {
    let mut scope = String::from("permit (principal is Membership, action");
    if !permissions.is_empty() {
        scope.push_str(" in [");
        for (place, key) in permissions.iter().enumerate() {
            let lead = if place == 0 { "" } else { ", " };
            _ = write!(scope, "{lead}Action::\"{key}\"");
        }
        scope.push(']');
    }
    let policy = format!("{scope}, resource) when {{\n{text}\n}};");
    let attributes = engine.custom.attributes().clone();
    let files = vec![(CONDITION.to_owned(), policy)];
    let custom = CustomPolicies::load(files, attributes, facts).map_err(|mut error| {
        for problem in &mut error.problems {
            problem.line = problem.line.saturating_sub(1).max(1);
        }
        ClaimError::Condition(error)
    })?;
    Engine::build(facts, &custom, Arc::new(RoleSets::new(1)))
        .map_err(|error| ClaimError::Apart(error.to_string()))
}
