//! Hand-written policies: text files, read by the caller.
//!
//! A policy's id is its `@id` annotation, or `<file>#<n>` counted from one; its `@reason` is what an
//! explanation tells people. A set is taken whole or
//! refused whole with every problem's place; the caller then keeps the set it has.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ResourceConstraint, Schema, ValidationError, ValidationMode, Validator,
};
use serde_json::Value;

use super::attributes::{Attributes, NOW};
use super::compile::{Compiled, PolicyFacts, compile, role_policy_text};
use super::entities::STATIC_TYPES;
use super::schema;

/// How many allowed names a message lists.
const LISTED: usize = 20;

/// One thing wrong with a set of policies, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file's name as the caller gave it.
    pub file: String,
    /// Line, from one.
    pub line: usize,
    /// Column in characters, from one.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be allowed there, when that is a list or a hint.
    pub allowed: Option<String>,
}

impl Problem {
    /// A problem at a byte offset of a file's text.
    pub(super) fn at(file: &str, text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).map_or(0, |s| s.chars().count()) + 1,
            message,
            allowed: None,
        }
    }

    pub(super) fn allowing(mut self, allowed: String) -> Self {
        self.allowed = Some(allowed);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            allowed,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")?;
        match allowed {
            Some(allowed) => write!(f, " ({allowed})"),
            None => Ok(()),
        }
    }
}

/// Why a set of hand-written policies was refused. One line a problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct CustomError {
    /// Every problem found, in order of place.
    pub problems: Vec<Problem>,
}

impl From<Vec<Problem>> for CustomError {
    fn from(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        problems.dedup();
        Self { problems }
    }
}

/// A set of hand-written policies with their attribute declarations. Cheap to clone.
#[derive(Clone, Default)]
pub struct CustomPolicies(Arc<Set>);

#[derive(Default)]
struct Set {
    files: Vec<(String, String)>,
    policies: Vec<CustomPolicy>,
    attributes: Attributes,
}

/// Where a hand-written policy stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PolicyPlace {
    /// The policy's id.
    pub id: String,
    /// The file's name as the caller gave it.
    pub file: String,
    /// The line it begins on, from one.
    pub line: usize,
}

/// A hand-written policy and what its scope says.
pub(super) struct CustomPolicy {
    pub(super) id: Arc<str>,
    pub(super) policy: Policy,
    /// The place in [`Set::files`].
    file: usize,
    /// Ids of the actions and action groups that its scope or conditions name.
    pub(super) named_actions: Vec<String>,
    pub(super) scope: Scope,
    /// Whether its answer can change with the time alone.
    pub(super) reads_now: bool,
}

/// What requests a policy's scope lets through, as far as it can be told without the request.
pub(super) struct Scope {
    /// Whether a membership can be the principal.
    pub(super) principal: bool,
    /// The actions or groups, or all.
    pub(super) actions: Option<Vec<String>>,
    /// The resource's entity type, or any.
    pub(super) resource_type: Option<String>,
}

impl CustomPolicies {
    /// No hand-written policies at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Parses files and validates them strictly against what services declare now.
    ///
    /// Validation belongs to loading, not to building an engine: a service that later withdraws an
    /// action must not keep a revocation from taking effect.
    ///
    /// # Errors
    ///
    /// Every problem found. The caller keeps the set it has.
    pub fn load(
        files: Vec<(String, String)>,
        attributes: Attributes,
        facts: &PolicyFacts,
    ) -> Result<Self, CustomError> {
        let custom = Self::parse(files, attributes)?;
        custom.validate(facts)?;
        Ok(custom)
    }

    /// Parses files of (name, text) without validating them: see [`Self::load`].
    ///
    /// # Errors
    ///
    /// Every problem found.
    pub fn parse(
        files: Vec<(String, String)>,
        attributes: Attributes,
    ) -> Result<Self, CustomError> {
        let mut problems = Vec::new();
        let mut policies = Vec::new();
        let mut seen: HashMap<Arc<str>, String> = HashMap::new();
        for (index, (file, text)) in files.iter().enumerate() {
            match parse_file(index, file, text) {
                Ok(parsed) => {
                    for policy in parsed {
                        let other = seen.insert(Arc::clone(&policy.id), file.clone());
                        if let Some(problem) = id_problem(&policy.id, other, file, text) {
                            problems.push(problem);
                        }
                        policies.push(policy);
                    }
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(Self(Arc::new(Set {
                files,
                policies,
                attributes,
            })))
        } else {
            Err(problems.into())
        }
    }

    /// Validates strictly against what services declare.
    ///
    /// Warnings count: a forbid that can never match, or text that only looks like what it says,
    /// guards nothing.
    ///
    /// # Errors
    ///
    /// Every problem found.
    pub fn validate(&self, facts: &PolicyFacts) -> Result<(), CustomError> {
        if self.0.policies.is_empty() {
            return Ok(());
        }
        let internal = |message: String| CustomError::from(vec![Problem::at("", "", 0, message)]);
        let compiled = compile(facts, None, role_policy_text)
            .map_err(|source| internal(source.to_string()))?;
        let text = schema::render(&compiled, &self.0.attributes);
        let (schema, _) = Schema::from_cedarschema_str(&text)
            .map_err(|source| internal(format!("the schema does not parse: {source}")))?;
        let policies = self.policies().iter().map(|custom| custom.policy.clone());
        let set = PolicySet::from_policies(policies).map_err(|e| internal(e.to_string()))?;
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let mut problems: Vec<Problem> = result
            .validation_errors()
            .map(|error| self.validation_problem(error, &compiled))
            .collect();
        problems.extend(result.validation_warnings().map(|warning| {
            let detail = DetailedError::from(warning);
            self.problem(warning.policy_id(), &detail)
        }));
        problems.extend(self.unknown_roles(&compiled));
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems.into())
        }
    }

    /// Where each policy stands, in order of the files.
    pub fn places(&self) -> Vec<PolicyPlace> {
        let mut seen: HashMap<usize, std::vec::IntoIter<usize>> = HashMap::new();
        self.policies()
            .iter()
            .map(|custom| {
                let (file, text) = self
                    .0
                    .files
                    .get(custom.file)
                    .map_or(("", ""), |(file, text)| (file, text));
                // Policies of a file come in the order of its text.
                let starts = seen
                    .entry(custom.file)
                    .or_insert_with(|| statements(text).into_iter());
                PolicyPlace {
                    id: custom.id.to_string(),
                    file: file.to_owned(),
                    line: Problem::at(file, text, starts.next().unwrap_or(0), String::new()).line,
                }
            })
            .collect()
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.0.policies.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.policies.is_empty()
    }

    pub(super) fn policies(&self) -> &[CustomPolicy] {
        &self.0.policies
    }

    pub(super) fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }

    fn problem(&self, id: &PolicyId, detail: &DetailedError) -> Problem {
        let custom = self
            .policies()
            .iter()
            .find(|custom| custom.policy.id() == id);
        let (file, text) = custom
            .and_then(|custom| self.0.files.get(custom.file))
            .map_or(("", ""), |(file, text)| (file, text));
        detailed(file, text, detail)
    }

    fn validation_problem(&self, error: &ValidationError, compiled: &Compiled) -> Problem {
        let problem = self.problem(error.policy_id(), &DetailedError::from(error));
        let allowed = match error {
            ValidationError::UnrecognizedEntityType(_) => {
                let declared = compiled.actions.iter().map(|a| a.resource_type.to_string());
                list(
                    STATIC_TYPES
                        .iter()
                        .map(|&name| name.to_owned())
                        .chain(declared),
                )
            }
            ValidationError::UnrecognizedActionId(_) => {
                list(compiled.actions.iter().map(|action| action.key.to_string()))
            }
            _ => return problem,
        };
        match &problem.allowed {
            Some(help) => {
                let allowed = format!("{help}; {allowed}");
                problem.allowing(allowed)
            }
            None => problem.allowing(allowed),
        }
    }

    /// Cedar knows entity types, not entities: that a role exists is ours to check.
    fn unknown_roles<'a>(&'a self, compiled: &'a Compiled) -> impl Iterator<Item = Problem> + 'a {
        let known: HashSet<&EntityUid> = compiled.roles.iter().map(|role| &role.uid).collect();
        self.policies().iter().flat_map(move |custom| {
            let literals: HashSet<EntityUid> =
                custom.policy.entity_literals().into_iter().collect();
            let (file, text) = self
                .0
                .files
                .get(custom.file)
                .map_or(("", ""), |(file, text)| (file.as_str(), text.as_str()));
            literals
                .into_iter()
                .filter(|uid| uid.type_name().to_string() == "Role" && !known.contains(uid))
                .map(|uid| {
                    let start = text.find(&uid.to_string()).unwrap_or(0);
                    Problem::at(file, text, start, format!("no service declares `{uid}`"))
                        .allowing(list(compiled.roles.iter().map(|role| role.key.to_string())))
                })
                .collect::<Vec<_>>()
        })
    }
}

impl fmt::Debug for CustomPolicies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.policies.iter().map(|custom| &custom.id))
            .finish()
    }
}

/// `allowed: a, b, c and 7 more`.
fn list(names: impl Iterator<Item = String>) -> String {
    let names: BTreeSet<String> = names.collect();
    let mut text = String::from("allowed: ");
    if names.is_empty() {
        text.push_str("none is declared");
    }
    for (n, name) in names.iter().take(LISTED).enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        text.push_str(name);
    }
    if names.len() > LISTED {
        _ = write!(text, " and {} more", names.len() - LISTED);
    }
    text
}

fn detailed(file: &str, text: &str, detail: &DetailedError) -> Problem {
    let start = detail
        .source_locations
        .first()
        .map_or(0, |label| label.loc.start);
    let problem = Problem::at(file, text, start, detail.message.clone());
    match &detail.help {
        Some(help) => problem.allowing(help.clone()),
        None => problem,
    }
}

fn parse_file(index: usize, file: &str, text: &str) -> Result<Vec<CustomPolicy>, Vec<Problem>> {
    let set = PolicySet::from_str(text).map_err(|errors| {
        errors
            .iter()
            .map(|error| detailed(file, text, &DetailedError::from(error)))
            .collect::<Vec<_>>()
    })?;
    if let Some(template) = set.templates().next() {
        let start = template
            .slots()
            .next()
            .and_then(|slot| text.find(&slot.to_string()))
            .unwrap_or(0);
        let message = "templates are not supported: write the policy out".to_owned();
        return Err(vec![Problem::at(file, text, start, message)]);
    }
    let mut policies: Vec<&Policy> = set.policies().collect();
    // The parser names policies `policy0`, `policy1`… in order of the text.
    policies.sort_by_key(|policy| {
        let name: &str = policy.id().as_ref();
        name.strip_prefix("policy")
            .and_then(|number| number.parse::<usize>().ok())
    });
    Ok((1..)
        .zip(policies)
        .map(|(n, policy)| {
            let id: Arc<str> = match policy.annotation("id") {
                Some(id) => id.into(),
                None => format!("{file}#{n}").into(),
            };
            CustomPolicy::new(id, policy, index)
        })
        .collect())
}

/// Where each statement of a text that parsed begins: a policy ends with a semicolon, and one stands
/// nowhere else but in strings and comments.
pub(super) fn statements(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut inside = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '/' if characters.peek().is_some_and(|(_, next)| *next == '/') => {
                while characters.next_if(|(_, next)| *next != '\n').is_some() {}
                continue;
            }
            '"' => {
                while let Some((_, next)) = characters.next() {
                    match next {
                        '\\' => _ = characters.next(),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            ';' => {
                inside = false;
                continue;
            }
            blank if blank.is_whitespace() => continue,
            _ => {}
        }
        if !inside {
            starts.push(at);
            inside = true;
        }
    }
    starts
}

fn id_problem(id: &str, other: Option<String>, file: &str, text: &str) -> Option<Problem> {
    let message = if id.trim().is_empty() {
        "a policy's `@id` cannot be empty".to_owned()
    } else if id.starts_with("role:") {
        format!("the id `{id}` is reserved: `role:…` names the policies of declared roles")
    } else if let Some(other) = other {
        format!("the id `{id}` is already taken in `{other}`")
    } else {
        return None;
    };
    let start = text.rfind(&format!("\"{id}\"")).unwrap_or(0);
    Some(Problem::at(file, text, start, message))
}

impl CustomPolicy {
    fn new(id: Arc<str>, policy: &Policy, file: usize) -> Self {
        let policy = policy.new_id(PolicyId::new(&id));
        let mut named_actions: Vec<String> = policy
            .entity_literals()
            .iter()
            .filter(|uid| uid.type_name().to_string() == "Action")
            .map(|uid| uid.id().unescaped().to_owned())
            .collect();
        named_actions.sort();
        named_actions.dedup();
        Self {
            id,
            file,
            named_actions,
            scope: Scope::of(&policy),
            reads_now: reads_now(&policy),
            policy,
        }
    }
}

impl Scope {
    fn of(policy: &Policy) -> Self {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => {
                name.to_string() == "Membership"
            }
            PrincipalConstraint::Any | PrincipalConstraint::In(_) | PrincipalConstraint::Eq(_) => {
                true
            }
        };
        let id = |uid: &EntityUid| uid.id().unescaped().to_owned();
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(uid) => Some(vec![id(&uid)]),
            ActionConstraint::In(uids) => Some(uids.iter().map(id).collect()),
        };
        let resource_type = match policy.resource_constraint() {
            ResourceConstraint::Is(name) | ResourceConstraint::IsIn(name, _) => {
                Some(name.to_string())
            }
            ResourceConstraint::Eq(uid) => Some(uid.type_name().to_string()),
            // A resource is in itself and in its organization.
            ResourceConstraint::Any | ResourceConstraint::In(_) => None,
        };
        Self {
            principal,
            actions,
            resource_type,
        }
    }
}

/// Whether a policy reads `context.now`, or the context as a whole. Unsure means yes.
fn reads_now(policy: &Policy) -> bool {
    policy.to_json().map_or(true, |json| mentions_now(&json))
}

fn mentions_now(json: &Value) -> bool {
    let is_context = |value: &Value| value.get("Var").and_then(Value::as_str) == Some("context");
    match json {
        Value::Array(values) => values.iter().any(mentions_now),
        Value::Object(fields) => {
            if is_context(json) {
                return true;
            }
            fields.iter().any(|(operator, operand)| {
                let attribute = operand.get("attr").and_then(Value::as_str);
                match (operator.as_str(), operand.get("left"), attribute) {
                    ("." | "has", Some(left), Some(attribute)) if is_context(left) => {
                        attribute == NOW
                    }
                    _ => mentions_now(operand),
                }
            })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CustomPolicies, CustomError> {
        CustomPolicies::parse(vec![("a.cedar".into(), text.into())], Attributes::default())
    }

    fn facts() -> PolicyFacts {
        use crate::domain::{PermissionId, RoleId};
        PolicyFacts {
            roles: vec![(RoleId::from_u128(1), "docs/editor".parse().unwrap())],
            permissions: vec![(
                PermissionId::from_u128(1),
                "docs:document:read".parse().unwrap(),
            )],
            grants: vec![(RoleId::from_u128(1), PermissionId::from_u128(1))],
        }
    }

    #[test]
    fn ids_are_the_annotation_or_the_file_and_the_place_in_it() {
        let custom = parse(
            "permit (principal, action, resource);\n@id(\"named\")\nforbid (principal, action, \
             resource);\npermit (principal, action, resource);",
        )
        .unwrap();
        let ids: Vec<&str> = custom.policies().iter().map(|p| p.id.as_ref()).collect();
        assert_eq!(ids, ["a.cedar#1", "named", "a.cedar#3"]);
        assert_eq!(custom.policies()[1].policy.id().to_string(), "named");
    }

    #[test]
    fn a_policy_stands_where_its_statement_begins() {
        let custom = parse(
            "// a; b\n\n@id(\"one; \\\"two\")\npermit (principal, action, resource);\n\n  // c\n  \
             forbid (principal, action, resource); permit\n(principal, action, resource);",
        )
        .unwrap();
        let places: Vec<(String, usize)> = custom
            .places()
            .into_iter()
            .map(|place| (place.id, place.line))
            .collect();
        let wanted = [("one; \"two", 3), ("a.cedar#2", 7), ("a.cedar#3", 7)];
        assert_eq!(places, wanted.map(|(id, line)| (id.to_owned(), line)));
    }

    #[test]
    fn text_that_is_not_cedar_is_refused_with_line_and_column() {
        let error =
            parse("permit (principal, action, resource);\nforbid (principal);").unwrap_err();
        assert_eq!(error.problems[0].line, 2, "{error}");
        let error = parse("permit (principal, action, resource)\nwhen { é };").unwrap_err();
        assert_eq!(
            (error.problems[0].line, error.problems[0].column),
            (2, 8),
            "{error}"
        );
        let error = parse("permit (principal == ?principal, action, resource);").unwrap_err();
        assert!(error.to_string().contains("1:22: templates"), "{error}");
    }

    #[test]
    fn an_id_is_unique_and_never_a_roles() {
        let error = parse("@id(\"role:docs/editor\")\npermit (principal, action, resource);");
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("a.cedar:1:5: the id")
        );
        let twice = "@id(\"x\") permit (principal, action, resource);";
        let error = CustomPolicies::parse(
            vec![
                ("a".into(), twice.into()),
                ("b".into(), format!("\n{twice}")),
            ],
            Attributes::default(),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "b:2:5: the id `x` is already taken in `a`"
        );
    }

    #[test]
    fn validation_names_what_is_wrong_where_it_is_and_what_is_allowed() {
        for (text, wanted) in [
            (
                "permit (principal, action == Action::\"docs:document:raed\", resource);",
                "docs:document:read",
            ),
            (
                "permit (principal, action, resource is docs::documnet);",
                "docs::document",
            ),
            (
                "forbid (principal in Role::\"docs/edit\", action, resource);",
                "a.cedar:1:22: no service declares `Role::\"docs/edit\"` (allowed: docs/editor)",
            ),
            (
                "permit (principal, action, resource) when { resource.owner == principal.user };",
                "a.cedar:1:45: ",
            ),
            (
                "forbid (principal is User, action, resource);",
                "a.cedar:1:",
            ),
            (
                "permit (principal, action, resource) when { context.mfa };",
                "mfa",
            ),
            (
                "permit (principal, action, resource) when { resource < 1 };",
                "a.cedar:1:45: ",
            ),
        ] {
            let error = parse(text).unwrap().validate(&facts()).unwrap_err();
            assert!(error.to_string().contains(wanted), "{text}\n{error}");
        }
    }

    #[test]
    fn an_optional_attribute_has_to_be_asked_for_first() {
        let attributes = Attributes::parse(
            "attributes.toml",
            "[resources.\"docs:document\"]\nowner = \"User\"\n[action]\nmethod = \"String\"",
        )
        .unwrap();
        let load = |text: &str| {
            CustomPolicies::load(
                vec![("a.cedar".into(), text.into())],
                attributes.clone(),
                &facts(),
            )
        };
        let bare =
            "permit (principal, action, resource) when { resource.owner == principal.user };";
        assert!(load(bare).is_err());
        load(
            "permit (principal, action, resource) when { resource has owner && resource.owner == \
             principal.user && context has action.method && context.action.method == \"GET\" };",
        )
        .unwrap();
    }

    #[test]
    fn a_policy_that_reads_the_time_is_known_whatever_way_it_is_spelled() {
        for (condition, expected) in [
            ("context.now > datetime(\"2026-01-01\")", true),
            ("context has now", true),
            ("context[\"n\\u{6f}w\"] > datetime(\"2026-01-01\")", true),
            ("context == resource.copy", true),
            ("context.mfa", false),
            ("context has mfa && context.mfa == \"now\"", false),
            ("principal.now", false),
        ] {
            let text = format!("permit (principal, action, resource) when {{ {condition} }};");
            let custom = parse(&text).unwrap();
            assert_eq!(custom.policies()[0].reads_now, expected, "{condition}");
        }
    }
}
