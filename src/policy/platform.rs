//! Who may do what on the authority's own API.
//!
//! The roles of the built-in service `auth` compile to one policy each, as every service's do; the
//! rules that do not follow from roles are written by hand in `policies/platform.cedar`. There are
//! two dozen actions and a handful of policies, so a question is asked of Cedar as it comes: no
//! slices, no memo.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy,
    PolicyId, PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};

use super::custom::{PolicyPlace, statements};
use crate::domain::manifest::Manifest;
use crate::domain::{ClientKind, OrganizationId, RoleKey, Scopes, ServiceName, UserId};

/// The rules written by hand.
const RULES: &str = include_str!("../../policies/platform.cedar");

/// Its name, for messages.
const RULES_FILE: &str = "policies/platform.cedar";

/// What the actions are about, and who acts.
const TYPES: &str = r"
entity Installation, User, Role, Service;
entity Organization { system: Bool };
entity Membership in [Role] { organization: Organization, user: User };
entity Client { kind: String, service?: Service };
entity Member in [Organization] { user: User, owner: Bool };
entity NewOrganization { owner: User };
entity Account { user: User };
";

/// Why the built-in rules cannot be used. Only a broken build has one.
#[derive(Debug, thiserror::Error)]
#[error("the platform's rules do not compile: {0}")]
pub struct PlatformError(String);

fn broken(error: impl std::fmt::Display) -> PlatformError {
    PlatformError(error.to_string())
}

/// An organization as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: OrganizationId,
    /// Whether it is the organization of the operators.
    pub system: bool,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Subject<'a> {
    /// A user as a member of an organization, with the roles held in it.
    Membership {
        /// The organization of the membership: not always the one acted on.
        organization: Tenant,
        /// The user.
        user: UserId,
        /// The roles held in it.
        roles: &'a [RoleKey],
    },
    /// A user apart from any organization.
    User(UserId),
    /// A program with credentials of its own.
    Client(&'a ClientKind),
}

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// What belongs to no organization: sidecars, keys, clients, the list of users.
    Installation,
    /// An organization that is still to be made.
    NewOrganization {
        /// Who is to own it.
        owner: UserId,
    },
    /// An organization.
    Organization(Tenant),
    /// A user's membership of an organization, there or to be made.
    Member {
        /// The organization.
        organization: Tenant,
        /// The user.
        user: UserId,
        /// Whether the user owns the organization.
        owner: bool,
    },
    /// A user's profile.
    Account(UserId),
    /// A service's manifest and what it declares.
    Service(ServiceName),
}

/// An answer with the policies behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Whether the subject may.
    pub allowed: bool,
    /// The permits of an allow; the forbids of a deny, none if nothing permitted it.
    pub policies: Vec<String>,
}

/// The compiled rules. Immutable.
#[derive(Debug)]
pub struct Platform {
    pub(super) policies: PolicySet,
    pub(super) schema: Schema,
    actions: Entities,
    pub(super) permissions: HashMap<String, EntityUid>,
    pub(super) covered: BTreeMap<String, BTreeSet<String>>,
}

impl Platform {
    /// Compiles the rules for the roles, permissions and scopes of `auth`, the built-in manifest.
    ///
    /// # Errors
    ///
    /// When manifest and hand-written rules do not fit together, which strict validation tells.
    pub fn new(auth: &Manifest) -> Result<Self, PlatformError> {
        Self::with_rules(auth, RULES)
    }

    /// As [`Self::new`], with other hand-written rules: to try a change of them out.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn with_rules(auth: &Manifest, rules: &str) -> Result<Self, PlatformError> {
        let (schema, _) = Schema::from_cedarschema_str(&schema_text(auth)).map_err(broken)?;
        let policies = policies(auth, rules)?;
        let verdict = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !verdict.validation_passed() {
            return Err(broken(verdict));
        }
        let actions = Entities::from_entities([], Some(&schema)).map_err(broken)?;
        let permissions = auth
            .declared
            .permissions
            .keys()
            .map(|key| Ok((key.to_string(), uid("Action", &key.to_string())?)))
            .collect::<Result<_, PlatformError>>()?;
        let covered = auth
            .declared
            .scopes
            .iter()
            .map(|(scope, permissions)| {
                (
                    scope.to_string(),
                    permissions.iter().map(ToString::to_string).collect(),
                )
            })
            .collect();
        Ok(Self {
            policies,
            schema,
            actions,
            permissions,
            covered,
        })
    }

    /// Where each policy stands: the hand-written ones in `policies/platform.cedar`, then those of
    /// roles, which no file holds.
    pub fn places(&self) -> Vec<PolicyPlace> {
        let mut places: Vec<PolicyPlace> = statements(RULES)
            .into_iter()
            .filter_map(|start| {
                let rule = RULES.get(start..)?;
                let (id, _) = rule.strip_prefix("@id(\"")?.split_once('"')?;
                let line = RULES.get(..start)?.matches('\n').count() + 1;
                Some(PolicyPlace {
                    id: id.to_owned(),
                    file: RULES_FILE.to_owned(),
                    line,
                })
            })
            .collect();
        let mut roles: Vec<String> = self
            .policies
            .policies()
            .map(|policy| policy.id().to_string())
            .filter(|id| id.starts_with("role:"))
            .collect();
        roles.sort();
        places.extend(roles.into_iter().map(|id| PolicyPlace {
            id,
            file: String::new(),
            line: 0,
        }));
        places
    }

    /// Whether one of the scopes covers the permission.
    pub fn in_scope(&self, scopes: &Scopes, permission: &str) -> bool {
        scopes.iter().any(|scope| {
            self.covered
                .get(scope.as_str())
                .is_some_and(|permissions| permissions.contains(permission))
        })
    }

    /// Whether `subject`, with a token of these scopes, has `permission` on `object`. Unsure means
    /// no: an unknown permission and a policy that fails count as denied.
    pub fn rule(
        &self,
        subject: &Subject<'_>,
        scopes: &Scopes,
        permission: &str,
        object: &Object,
    ) -> Ruling {
        self.ask(subject, scopes, permission, object)
            .unwrap_or_else(|error| Ruling {
                allowed: false,
                policies: vec![error.to_string()],
            })
    }

    fn ask(
        &self,
        subject: &Subject<'_>,
        scopes: &Scopes,
        permission: &str,
        object: &Object,
    ) -> Result<Ruling, PlatformError> {
        let action = self
            .permissions
            .get(permission)
            .ok_or_else(|| broken(format_args!("no permission `{permission}`")))?;
        let mut entities = Vec::with_capacity(8);
        let principal = subject_entities(subject, &mut entities)?;
        let resource = object_entities(object, &mut entities)?;
        let entities = self
            .actions
            .clone()
            .upsert_entities(entities, None)
            .map_err(broken)?;
        let context = Context::from_pairs([(
            "in_scope".to_owned(),
            RestrictedExpression::new_bool(self.in_scope(scopes, permission)),
        )])
        .map_err(broken)?;
        let request = Request::new(
            principal,
            action.clone(),
            resource,
            context,
            Some(&self.schema),
        )
        .map_err(broken)?;
        let answer = Authorizer::new().is_authorized(&request, &self.policies, &entities);
        let failed = answer.diagnostics().errors().next().is_some();
        Ok(Ruling {
            allowed: answer.decision() == Decision::Allow && !failed,
            policies: answer
                .diagnostics()
                .reason()
                .map(ToString::to_string)
                .collect(),
        })
    }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, PlatformError> {
    Ok(EntityUid::from_type_name_and_id(
        EntityTypeName::from_str(kind).map_err(broken)?,
        EntityId::new(id),
    ))
}

type Attributes = Vec<(&'static str, RestrictedExpression)>;

/// Adds an entity and tells its id.
fn add(
    entities: &mut Vec<Entity>,
    uid: EntityUid,
    attributes: Attributes,
    parents: HashSet<EntityUid>,
) -> Result<EntityUid, PlatformError> {
    let attributes: HashMap<String, RestrictedExpression> = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    entities.push(Entity::new(uid.clone(), attributes, parents).map_err(broken)?);
    Ok(uid)
}

fn tenant(entities: &mut Vec<Entity>, tenant: Tenant) -> Result<EntityUid, PlatformError> {
    let uid = uid("Organization", &tenant.id.to_string())?;
    let system = RestrictedExpression::new_bool(tenant.system);
    add(entities, uid, vec![("system", system)], HashSet::new())
}

fn user(id: UserId) -> Result<EntityUid, PlatformError> {
    uid("User", &id.to_string())
}

fn link(uid: &EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid.clone())
}

fn subject_entities(
    subject: &Subject<'_>,
    entities: &mut Vec<Entity>,
) -> Result<EntityUid, PlatformError> {
    match subject {
        Subject::Membership {
            organization,
            user: id,
            roles,
        } => {
            let name = format!("{}/{id}", organization.id);
            let attributes = vec![
                ("organization", link(&tenant(entities, *organization)?)),
                ("user", link(&user(*id)?)),
            ];
            let parents = roles
                .iter()
                .map(|role| uid("Role", &role.to_string()))
                .collect::<Result<_, _>>()?;
            add(entities, uid("Membership", &name)?, attributes, parents)
        }
        Subject::User(id) => user(*id),
        Subject::Client(kind) => {
            let (name, service) = match kind {
                ClientKind::Operator => ("operator", None),
                ClientKind::Service(service) => ("service", Some(service)),
                ClientKind::Sidecar => ("sidecar", None),
                ClientKind::App => ("app", None),
            };
            let mut attributes = vec![("kind", RestrictedExpression::new_string(name.to_owned()))];
            if let Some(service) = service {
                attributes.push(("service", link(&uid("Service", service.as_str())?)));
            }
            add(entities, uid("Client", name)?, attributes, HashSet::new())
        }
    }
}

fn object_entities(
    object: &Object,
    entities: &mut Vec<Entity>,
) -> Result<EntityUid, PlatformError> {
    match object {
        Object::Installation => uid("Installation", "doorward"),
        Object::NewOrganization { owner } => {
            let attributes = vec![("owner", link(&user(*owner)?))];
            let new = uid("NewOrganization", "new")?;
            add(entities, new, attributes, HashSet::new())
        }
        Object::Organization(organization) => tenant(entities, *organization),
        Object::Member {
            organization,
            user: id,
            owner,
        } => {
            let parent = tenant(entities, *organization)?;
            let attributes = vec![
                ("user", link(&user(*id)?)),
                ("owner", RestrictedExpression::new_bool(*owner)),
            ];
            let member = uid("Member", &format!("{}/{id}", organization.id))?;
            add(entities, member, attributes, HashSet::from([parent]))
        }
        Object::Account(id) => {
            let attributes = vec![("user", link(&user(*id)?))];
            let account = uid("Account", &id.to_string())?;
            add(entities, account, attributes, HashSet::new())
        }
        Object::Service(service) => uid("Service", service.as_str()),
    }
}

/// The schema: the fixed types, a group per role, an action per permission.
fn schema_text(auth: &Manifest) -> String {
    let mut text = TYPES.to_owned();
    for role in auth.declared.roles.keys() {
        let _ = writeln!(text, "action \"role:{}/{role}\";", auth.service);
    }
    for permission in auth.declared.permissions.keys() {
        let groups: Vec<String> = auth
            .declared
            .roles
            .iter()
            .filter(|(_, role)| role.permissions.contains(permission))
            .map(|(name, _)| format!("\"role:{}/{name}\"", auth.service))
            .collect();
        let _ = writeln!(
            text,
            "action \"{permission}\" in [{}] appliesTo {{\n  principal: [Membership, User, Client],\n  \
             resource: [Installation, NewOrganization, Organization, Member, Account, Service],\n  \
             context: {{ in_scope: Bool }}\n}};",
            groups.join(", ")
        );
    }
    text
}

/// The hand-written rules under their `@id`s, and one policy per role. What operators may is
/// written by hand: held outside `system`, their role gives nothing.
fn policies(auth: &Manifest, rules: &str) -> Result<PolicySet, PlatformError> {
    let mut set = PolicySet::new();
    for rule in PolicySet::from_str(rules).map_err(broken)?.policies() {
        let id = rule
            .annotation("id")
            .ok_or_else(|| broken("a hand-written rule has no @id"))?;
        set.add(rule.new_id(PolicyId::new(id))).map_err(broken)?;
    }
    let compiled = auth.declared.roles.keys();
    for role in compiled.filter(|role| role.as_str() != "operator") {
        let name = format!("{}/{role}", auth.service);
        let text = format!(
            "permit (principal in Role::\"{name}\", action in Action::\"role:{name}\", resource) \
             when {{ resource in principal.organization }};"
        );
        let id = PolicyId::new(format!("role:{name}"));
        set.add(Policy::parse(Some(id), text).map_err(broken)?)
            .map_err(broken)?;
    }
    Ok(set)
}
