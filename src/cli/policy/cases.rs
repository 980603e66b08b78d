//! Cases of a service's policies: facts, requests, and what is expected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::super::error::CliError;
use super::super::manifest::load;
use super::test::{Outcome, Tested};
use super::yaml::{Document, Step};
use crate::domain::{Decision, OrganizationId, PermissionKey, RoleId, RoleKey, Timestamp, UserId};
use crate::policy::custom::CustomPolicies;
use crate::policy::engine::Engine;
use crate::policy::{PolicyFacts, Question, Resource, RoleSets};
use crate::protocol::manifest::from_value;
use crate::runtime::chain;
use crate::sidecar::app::load_policies;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    /// Manifests: each a file beside this one, or written out.
    manifests: Vec<Value>,
    /// The directory of hand-written policies, from here.
    policies: Option<PathBuf>,
    /// Who is a member of what, by a name for the cases.
    members: BTreeMap<String, Member>,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    /// The user; the member's name, if it is not said.
    user: Option<String>,
    organization: String,
    #[serde(default)]
    roles: Vec<RoleKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    member: String,
    permission: PermissionKey,
    #[serde(default)]
    resource: CaseResource,
    #[serde(default)]
    subject: Map<String, Value>,
    #[serde(default)]
    action: Map<String, Value>,
    #[serde(default)]
    context: Map<String, Value>,
    now: Option<Timestamp>,
    expect: Expected,
    /// Ids of the policies that decide, in any order.
    reasons: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CaseResource {
    id: String,
    /// The member's, if it is not said.
    organization: Option<String>,
    properties: Map<String, Value>,
}

/// What a case expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expected {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
}

impl Expected {
    pub(super) const fn of(allowed: bool) -> Self {
        if allowed { Self::Allow } else { Self::Deny }
    }
}

/// Runs the cases of a file.
///
/// # Errors
///
/// What in the file is wrong, with line and field.
pub(super) fn run(document: &Document, path: &Path, tested: &mut Tested) -> Result<(), CliError> {
    let file: CaseFile = document.read()?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (engine, facts) = engine(document, &file, folder, tested)?;
    let mut names = Names::default();
    for (number, case) in file.cases.iter().enumerate() {
        let steps =
            |field: &'static str| [Step::Key("cases"), Step::Place(number), Step::Key(field)];
        let member = file.members.get(&case.member).ok_or_else(|| {
            let known: Vec<&str> = file.members.keys().map(String::as_str).collect();
            let what = format!(
                "no member is called `{}`; there are {}",
                case.member,
                known.join(", ")
            );
            document.mistake(&steps("member"), what)
        })?;
        let roles = roles(document, &case.member, member, &facts)?;
        let action = engine.permission(&case.permission).ok_or_else(|| {
            let what = format!("no manifest declares `{}`", case.permission);
            document.mistake(&steps("permission"), what)
        })?;
        let organization = names.organization(&member.organization);
        let user = names.user(member.user.as_ref().unwrap_or(&case.member));
        let home = case.resource.organization.as_ref();
        let resource_type = format!("{}:{}", case.permission.service, case.permission.resource);
        let (subject, properties) = (
            names.named(&case.subject),
            names.named(&case.resource.properties),
        );
        let (action_properties, context) = (names.named(&case.action), names.named(&case.context));
        let question = Question {
            organization,
            user,
            roles: &roles,
            action,
            resource: Resource {
                resource_type: &resource_type,
                id: &case.resource.id,
                organization: home.map(|name| names.organization(name)),
                properties: Some(&properties),
            },
            subject_properties: Some(&subject),
            action_properties: Some(&action_properties),
            context: Some(&context),
            now: case.now,
        };
        let evaluation = engine.evaluate(&question);
        let reasons: BTreeSet<String> = evaluation.reasons.into_iter().collect();
        tested.ran(Outcome {
            place: document.place(&[Step::Key("cases"), Step::Place(number)]),
            name: case.name.clone(),
            wanted: (case.expect, case.reasons.clone()),
            got: (
                Expected::of(evaluation.decision == Decision::Allow),
                reasons,
            ),
            why: engine.explain(&question).summary,
        });
    }
    Ok(())
}

fn engine(
    document: &Document,
    file: &CaseFile,
    folder: &Path,
    tested: &mut Tested,
) -> Result<(Engine, PolicyFacts), CliError> {
    let mut manifests = Vec::new();
    for (number, manifest) in file.manifests.iter().enumerate() {
        let steps = [Step::Key("manifests"), Step::Place(number)];
        manifests.push(match manifest {
            Value::String(name) => load(&folder.join(name))?,
            written => {
                from_value(written, None).map_err(|error| document.mistake(&steps, error))?
            }
        });
    }
    let facts = PolicyFacts::of_manifests(&manifests);
    let custom = match &file.policies {
        None => CustomPolicies::none(),
        Some(policies) => {
            let policies = folder.join(policies);
            let custom = load_policies(&policies)
                .map_err(|error| document.mistake(&[Step::Key("policies")], chain(&error)))?;
            custom
                .validate(&facts)
                .map_err(|error| document.mistake(&[Step::Key("policies")], error))?;
            tested.has(&policies.display().to_string(), custom.places());
            custom
        }
    };
    let engine = Engine::build(&facts, &custom, Arc::new(RoleSets::new(64)))
        .map_err(|error| document.mistake(&[Step::Key("manifests")], error))?;
    Ok((engine, facts))
}

fn roles(
    document: &Document,
    name: &str,
    member: &Member,
    facts: &PolicyFacts,
) -> Result<Vec<RoleId>, CliError> {
    let id = |(place, role): (usize, &RoleKey)| {
        facts
            .roles
            .iter()
            .find(|(_, known)| known == role)
            .map(|(id, _)| *id)
            .ok_or_else(|| {
                let steps = [
                    Step::Key("members"),
                    Step::Key(name),
                    Step::Key("roles"),
                    Step::Place(place),
                ];
                document.mistake(&steps, format!("no manifest declares the role `{role}`"))
            })
    };
    member.roles.iter().enumerate().map(id).collect()
}

/// Names of organizations and users as ids: one that is an id already stays.
#[derive(Default)]
struct Names {
    organizations: BTreeMap<String, OrganizationId>,
    users: BTreeMap<String, UserId>,
}

impl Names {
    fn organization(&mut self, name: &str) -> OrganizationId {
        let next = Uuid::from_u128(self.organizations.len() as u128 + 1);
        *self
            .organizations
            .entry(name.to_owned())
            .or_insert_with(|| OrganizationId::from_uuid(Uuid::parse_str(name).unwrap_or(next)))
    }

    fn user(&mut self, name: &str) -> UserId {
        let next = Uuid::from_u128(self.users.len() as u128 + 1);
        *self
            .users
            .entry(name.to_owned())
            .or_insert_with(|| UserId::from_uuid(Uuid::parse_str(name).unwrap_or(next)))
    }

    /// Attributes with `{user: name}` as that user's id.
    fn named(&mut self, fields: &Map<String, Value>) -> Map<String, Value> {
        fields
            .iter()
            .map(|(name, value)| (name.clone(), self.value(value)))
            .collect()
    }

    fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Array(values) => values.iter().map(|value| self.value(value)).collect(),
            Value::Object(fields) => match (fields.len(), fields.get("user")) {
                (1, Some(Value::String(name))) => self.user(name).to_string().into(),
                _ => Value::Object(self.named(fields)),
            },
            other => other.clone(),
        }
    }
}
