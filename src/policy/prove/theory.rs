//! Sets of policies on common ground: one schema for all of them, and what holds of every request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};
use serde_json::Value;

use super::super::attributes::{Attributes, NOW};
use super::super::compile::{Compiled, CompiledAction, CompiledRole};
use super::super::engine::Engine;
use super::super::entities;
use super::super::schema;
use super::solver::in_full;
use crate::domain::PermissionKey;

/// The id of what is taken for granted: under the prefix that no hand-written policy may have, and
/// not the name of a role.
const ASSUMED: &str = "role:";

/// A set of policies that takes part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) engine: &'a Engine,
    /// Whether roles grant anything: a condition is a policy without any.
    pub(super) roles: bool,
}

/// Several sides over one schema. The action group of a role means another set of actions on each
/// side, so all but the first side's groups get names of their own.
pub(super) struct Theory<'a> {
    sides: [Side<'a>; 2],
    schema: Schema,
    assumed: Policy,
}

impl<'a> Theory<'a> {
    /// # Errors
    ///
    /// Why the sides have no common ground: attributes of other types, most of all.
    pub(super) fn new(sides: [Side<'a>; 2]) -> Result<Self, String> {
        let [first, second] = sides;
        let attributes = first
            .engine
            .custom
            .attributes()
            .union(second.engine.custom.attributes())?;
        let text = schema::render(&merged(sides), &attributes);
        let (schema, _) = Schema::from_cedarschema_str(&text)
            .map_err(|error| format!("there is no schema for both: {}", in_full(&error)))?;
        let assumed = assumed(sides, &attributes)?;
        Ok(Self {
            sides,
            schema,
            assumed,
        })
    }

    pub(super) const fn side(&self, number: usize) -> Side<'a> {
        let [first, second] = self.sides;
        if number == 0 { first } else { second }
    }

    /// The one environment of requests for a permission, if a side declares it.
    pub(super) fn environment(&self, key: &PermissionKey) -> Option<RequestEnv> {
        let action = self.sides.iter().find_map(|side| {
            let index = side.engine.permission(key)?;
            side.engine.compiled_action(index)
        })?;
        Some(RequestEnv::new(
            entities::membership_type(),
            action.uid.clone(),
            action.resource_type.clone(),
        ))
    }

    /// A side's policies that can match a permission, in the words of the common schema.
    pub(super) fn policies(
        &self,
        number: usize,
        key: &PermissionKey,
    ) -> Result<Vec<Policy>, String> {
        let side = self.side(number);
        let Some(index) = side.engine.permission(key) else {
            // Not declared there: denied, whatever the policies say.
            return Ok(Vec::new());
        };
        let mut policies = side
            .engine
            .matching(index)
            .map(|custom| renamed(&custom.policy, number))
            .collect::<Result<Vec<_>, _>>()?;
        if side.roles
            && let Some(action) = side.engine.compiled_action(index)
        {
            // The action is given, so a role's group need not be asked for: that keeps the policies
            // of roles the same on both sides.
            for role in side.engine.roles(&action.granting) {
                let text = format!(
                    "permit (principal in {}, action, resource) when {{ resource in \
                     principal.organization }};",
                    role.uid
                );
                let policy = Policy::parse(Some(PolicyId::new(&role.name)), text)
                    .map_err(|error| in_full(&error))?;
                policies.push(policy);
            }
        }
        Ok(policies)
    }

    /// The policies as the solver takes them, with what is taken for granted.
    pub(super) fn pose(
        &self,
        policies: &[Policy],
        environment: &RequestEnv,
    ) -> Result<CompiledPolicySet, String> {
        let set = PolicySet::from_policies(
            policies
                .iter()
                .cloned()
                .chain(std::iter::once(self.assumed.clone())),
        )
        .map_err(|error| in_full(&error))?;
        CompiledPolicySet::compile(&set, environment, &self.schema).map_err(|error| in_full(&error))
    }

    pub(super) fn compile(
        &self,
        policy: &Policy,
        environment: &RequestEnv,
    ) -> Result<CompiledPolicy, String> {
        CompiledPolicy::compile(policy, environment, &self.schema).map_err(|error| in_full(&error))
    }
}

fn group_prefix(number: usize) -> &'static str {
    if number == 0 { "" } else { "other " }
}

/// A policy with the names of role groups that its side has in the common schema.
fn renamed(policy: &Policy, number: usize) -> Result<Policy, String> {
    if number == 0 {
        return Ok(policy.clone());
    }
    let mut json = policy.to_json().map_err(|error| in_full(&error))?;
    rename(&mut json, group_prefix(number));
    Policy::from_json(Some(policy.id().clone()), json).map_err(|error| in_full(&error))
}

fn rename(json: &mut Value, prefix: &str) {
    match json {
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, prefix)),
        Value::Object(fields) => {
            let is_action = fields.get("type").and_then(Value::as_str) == Some("Action");
            if is_action
                && let Some(Value::String(id)) = fields.get_mut("id")
                && id.starts_with("role:")
            {
                *id = format!("{prefix}{id}");
                return;
            }
            fields.values_mut().for_each(|value| rename(value, prefix));
        }
        _ => {}
    }
}

/// The roles and actions of all sides, as one: what the schema is written from.
fn merged(sides: [Side<'_>; 2]) -> Compiled {
    let mut roles: Vec<Arc<CompiledRole>> = Vec::new();
    let mut actions: BTreeMap<PermissionKey, CompiledAction> = BTreeMap::new();
    for (number, side) in sides.iter().enumerate() {
        let compiled = &side.engine.compiled;
        let offset = u32::try_from(roles.len()).unwrap_or(u32::MAX);
        roles.extend(compiled.roles.iter().map(|role| {
            Arc::new(CompiledRole {
                id: role.id,
                key: role.key.clone(),
                name: format!("{}{}", group_prefix(number), role.name).into(),
                uid: role.uid.clone(),
                group: role.group.clone(),
                policy: role.policy.clone(),
            })
        }));
        for action in &compiled.actions {
            let granting = action.granting.iter().map(|place| place + offset);
            let merged = actions
                .entry(action.key.clone())
                .or_insert_with(|| CompiledAction {
                    key: action.key.clone(),
                    uid: action.uid.clone(),
                    resource_type: action.resource_type.clone(),
                    granting: Box::default(),
                });
            merged.granting = merged.granting.iter().copied().chain(granting).collect();
        }
    }
    Compiled {
        roles: roles.into(),
        role_index: std::collections::HashMap::default(),
        actions: actions.into_values().collect(),
    }
}

/// What holds of every request, as a forbid of all others.
fn assumed(sides: [Side<'_>; 2], attributes: &Attributes) -> Result<Policy, String> {
    let literals: BTreeSet<EntityUid> = sides
        .iter()
        .flat_map(|side| side.engine.custom.policies())
        .flat_map(|custom| custom.policy.entity_literals())
        .collect();
    let of_type = |name: &str| -> Vec<&EntityUid> {
        literals
            .iter()
            .filter(|uid| uid.type_name().to_string() == name)
            .collect()
    };
    let mut text = String::from("forbid (principal, action, resource) unless { true");
    // A resource is in one organization.
    let organizations = of_type("Organization");
    for (place, one) in organizations.iter().enumerate() {
        _ = write!(
            text,
            " && (if resource in principal.organization && resource in {one} \
             then principal.organization == {one} else true)"
        );
        for other in organizations.iter().skip(place + 1) {
            _ = write!(text, " && !(resource in {one} && resource in {other})");
        }
    }
    // A membership's id says whose it is.
    for one in of_type("Membership") {
        let id = one.id().unescaped();
        let Some((organization, user)) = id.split_once('/') else {
            _ = write!(text, " && principal != {one}");
            continue;
        };
        let organization = entities::named_organization(organization);
        let user = entities::user(user);
        _ = write!(
            text,
            " && (principal == {one}) == (principal.organization == {organization} && \
             principal.user == {user})"
        );
    }
    if attributes.declares_now() {
        // Times that a clock tells: solvers like to look for others.
        _ = write!(
            text,
            " && context has {NOW} && context.{NOW} >= datetime(\"1970-01-01\") && \
             context.{NOW} < datetime(\"9999-12-31\")"
        );
    }
    text.push_str(" };");
    Policy::parse(Some(PolicyId::new(ASSUMED)), text).map_err(|error| in_full(&error))
}
