//! Proofs about the rules of the authority's own API.

use std::collections::BTreeMap;

use cedar_policy::{
    Authorizer, Decision, EntityUid, EvalResult, Policy, PolicyId, PolicySet, RequestEnv,
    ValidationMode, Validator,
};
use cedar_policy_symcc::{CompiledPolicySet, Env};
use serde::Serialize;
use uuid::Uuid;

use super::super::platform::{Object, Platform, Subject, Tenant};
use super::solver::{Answer, Relation, Reply, Solver, in_full};
use crate::domain::{ClientKind, OrganizationId, RoleKey, Scopes, ServiceName, UserId};

/// What holds of every client.
const ASSUMED: &str = r#"
forbid (principal is Client, action, resource) unless {
  ["operator", "service", "sidecar", "app"].contains(principal.kind) &&
  (principal has service) == (principal.kind == "service")
};"#;

/// A request to the authority that is allowed where none should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformExample {
    /// It in a sentence.
    pub words: String,
    /// The policies that allow it.
    pub decided_by: Vec<String>,
}

/// Whether nothing is allowed where a condition is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformProof {
    /// What is not proved, by permission, kind of subject and kind of object.
    pub open: Vec<(String, Answer<PlatformExample>)>,
    /// How many kinds of request were looked at.
    pub environments: usize,
}

impl Platform {
    /// Asks whether any request that meets `condition` is allowed. The condition stands as in
    /// `when { … }` and has to fit every kind of request: ask `principal is …` and `resource is …`
    /// first.
    ///
    /// # Errors
    ///
    /// What is wrong with the condition.
    pub async fn never(
        &self,
        condition: &str,
        solver: &mut Solver,
    ) -> Result<PlatformProof, String> {
        let text = format!("permit (principal, action, resource) when {{\n{condition}\n}};");
        let met = Policy::parse(Some(PolicyId::new("condition")), text)
            .map_err(|error| in_full(&error))?;
        let met = PolicySet::from_policies([met]).map_err(|error| in_full(&error))?;
        let verdict = Validator::new(self.schema.clone()).validate(&met, ValidationMode::Strict);
        if let Some(error) = verdict.validation_errors().next() {
            return Err(error.to_string());
        }
        let mut rules = self.policies.clone();
        let assumed = Policy::parse(Some(PolicyId::new("assumed")), ASSUMED)
            .map_err(|error| in_full(&error))?;
        rules.add(assumed).map_err(|error| in_full(&error))?;
        let mut proof = PlatformProof {
            open: Vec::new(),
            environments: 0,
        };
        for environment in self.schema.request_envs() {
            proof.environments += 1;
            let answer = self
                .never_in(&environment, &rules, &met, solver)
                .await
                .unwrap_or_else(|why| Answer::Undecided { why });
            if answer != Answer::Proved {
                let name = format!(
                    "{} by a {} on a {}",
                    environment.action().id().unescaped(),
                    environment.principal(),
                    environment.resource()
                );
                proof.open.push((name, answer));
            }
        }
        Ok(proof)
    }

    async fn never_in(
        &self,
        environment: &RequestEnv,
        rules: &PolicySet,
        met: &PolicySet,
        solver: &mut Solver,
    ) -> Result<Answer<PlatformExample>, String> {
        let compile = |set: &PolicySet| {
            CompiledPolicySet::compile(set, environment, &self.schema)
                .map_err(|error| in_full(&error))
        };
        let (allowed, met_too) = (compile(rules)?, compile(met)?);
        match solver.ask(Relation::Disjoint, &allowed, &met_too).await {
            Reply::Holds => Ok(Answer::Proved),
            Reply::Unknown(why) => Ok(Answer::Undecided { why }),
            Reply::Fails(env) => self.confirm(&env, met),
        }
    }

    /// Puts the solver's example to the rules as a request of the API would be.
    fn confirm(&self, env: &Env, met: &PolicySet) -> Result<Answer<PlatformExample>, String> {
        let mut names = Names::default();
        let action = env
            .request
            .action()
            .map(|uid| uid.id().unescaped().to_owned())
            .unwrap_or_default();
        let object = object(env, &mut names)?;
        let subject = SubjectParts::of(env, &mut names)?;
        let in_scope = env
            .request
            .context()
            .and_then(|context| context.get("in_scope"))
            == Some(EvalResult::Bool(true));
        let scope = self
            .covered
            .iter()
            .find(|(_, permissions)| in_scope && permissions.contains(&action))
            .map_or("", |(scope, _)| scope.as_str());
        let scopes = Scopes::parse(scope).map_err(|error| error.to_string())?;
        let ruling = self.rule(&subject.as_subject(), &scopes, &action, &object);
        let words = format!(
            "{}, with a token whose scopes {} it, asks for `{action}` on {}",
            subject.words(&names),
            if in_scope { "cover" } else { "do not cover" },
            names.of_object(&object)
        );
        let condition = Authorizer::new().is_authorized(&env.request, met, &env.entities);
        if ruling.allowed && condition.decision() == Decision::Allow {
            let decided_by = ruling.policies;
            return Ok(Answer::Disproved {
                example: PlatformExample { words, decided_by },
            });
        }
        Ok(Answer::Contradiction {
            what: format!("the solver says that {words} is allowed; the rules deny it"),
        })
    }
}

/// A subject that owns what it is made of.
enum SubjectParts {
    Membership {
        organization: Tenant,
        user: UserId,
        roles: Vec<RoleKey>,
    },
    User(UserId),
    Client(ClientKind),
}

impl SubjectParts {
    fn of(env: &Env, names: &mut Names) -> Result<Self, String> {
        let uid = env.request.principal().ok_or("no principal")?;
        match uid.type_name().to_string().as_str() {
            "User" => Ok(Self::User(names.user(id(uid)))),
            "Membership" => {
                let organization = linked(env, uid, "organization")?;
                let user = linked(env, uid, "user")?;
                let mut roles: Vec<RoleKey> = env
                    .entities
                    .ancestors(uid)
                    .into_iter()
                    .flatten()
                    .filter(|parent| parent.type_name().to_string() == "Role")
                    .filter_map(|role| id(role).parse().ok())
                    .collect();
                roles.sort();
                Ok(Self::Membership {
                    organization: names.tenant(env, &organization),
                    user: names.user(id(&user)),
                    roles,
                })
            }
            "Client" => Ok(Self::Client(match attribute(env, uid, "kind") {
                Some(EvalResult::String(kind)) => match kind.as_str() {
                    "operator" => ClientKind::Operator,
                    "sidecar" => ClientKind::Sidecar,
                    "app" => ClientKind::App,
                    _ => ClientKind::Service(names.service(id(&linked(env, uid, "service")?))?),
                },
                _ => return Err("the client has no kind".to_owned()),
            })),
            other => Err(format!("a subject of the type `{other}`")),
        }
    }

    fn as_subject(&self) -> Subject<'_> {
        match self {
            Self::Membership {
                organization,
                user,
                roles,
            } => Subject::Membership {
                organization: *organization,
                user: *user,
                roles,
            },
            Self::User(user) => Subject::User(*user),
            Self::Client(kind) => Subject::Client(kind),
        }
    }

    fn words(&self, names: &Names) -> String {
        match self {
            Self::Membership {
                organization,
                user,
                roles,
            } => {
                let held: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
                let held = if held.is_empty() {
                    "without any role".to_owned()
                } else {
                    format!("who holds {}", held.join(", "))
                };
                format!(
                    "{}, a member of {} {held}",
                    names.of_user(*user),
                    names.of_tenant(*organization)
                )
            }
            Self::User(user) => format!("{}, as a user", names.of_user(*user)),
            Self::Client(ClientKind::Operator) => "an operator's client".to_owned(),
            Self::Client(ClientKind::Sidecar) => "a sidecar's client".to_owned(),
            Self::Client(ClientKind::App) => "an app's client".to_owned(),
            Self::Client(ClientKind::Service(service)) => {
                format!("the client of the service `{service}`")
            }
        }
    }
}

fn object(env: &Env, names: &mut Names) -> Result<Object, String> {
    let uid = env.request.resource().ok_or("no resource")?;
    Ok(match uid.type_name().to_string().as_str() {
        "Installation" => Object::Installation,
        "NewOrganization" => Object::NewOrganization {
            owner: names.user(id(&linked(env, uid, "owner")?)),
        },
        "Organization" => Object::Organization(names.tenant(env, uid)),
        "Member" => {
            let own = env
                .request
                .principal()
                .and_then(|principal| linked(env, principal, "organization").ok());
            let parents: Vec<&EntityUid> =
                env.entities.ancestors(uid).into_iter().flatten().collect();
            // A member is of one organization; which of several others does not matter.
            let home = parents
                .iter()
                .find(|parent| own.as_ref() == Some(**parent))
                .or(parents.first());
            Object::Member {
                organization: match home {
                    Some(home) => names.tenant(env, home),
                    None => Tenant {
                        id: names.organization("/"),
                        system: false,
                    },
                },
                user: names.user(id(&linked(env, uid, "user")?)),
                owner: attribute(env, uid, "owner") == Some(EvalResult::Bool(true)),
            }
        }
        "Account" => Object::Account(names.user(id(&linked(env, uid, "user")?))),
        "Service" => Object::Service(names.service(id(uid))?),
        other => return Err(format!("an object of the type `{other}`")),
    })
}

fn id(uid: &EntityUid) -> &str {
    uid.id().unescaped()
}

fn attribute(env: &Env, uid: &EntityUid, name: &str) -> Option<EvalResult> {
    env.entities.get(uid)?.attr(name)?.ok()
}

fn linked(env: &Env, uid: &EntityUid, name: &str) -> Result<EntityUid, String> {
    match attribute(env, uid, name) {
        Some(EvalResult::EntityUid(linked)) => Ok(linked),
        _ => Err(format!(
            "the solver's example does not say the {name} of {uid}"
        )),
    }
}

/// The solver's ids as Doorward's, each the same wherever it stands.
#[derive(Default)]
struct Names {
    organizations: BTreeMap<String, OrganizationId>,
    users: BTreeMap<String, UserId>,
    services: BTreeMap<String, ServiceName>,
}

impl Names {
    fn organization(&mut self, id: &str) -> OrganizationId {
        let next = Uuid::from_u128(self.organizations.len() as u128 + 1);
        *self
            .organizations
            .entry(id.to_owned())
            .or_insert(OrganizationId::from_uuid(next))
    }

    fn tenant(&mut self, env: &Env, uid: &EntityUid) -> Tenant {
        Tenant {
            id: self.organization(id(uid)),
            system: attribute(env, uid, "system") == Some(EvalResult::Bool(true)),
        }
    }

    fn user(&mut self, id: &str) -> UserId {
        let next = Uuid::from_u128(self.users.len() as u128 + 1);
        *self
            .users
            .entry(id.to_owned())
            .or_insert(UserId::from_uuid(next))
    }

    fn service(&mut self, id: &str) -> Result<ServiceName, String> {
        if let Some(known) = self.services.get(id) {
            return Ok(known.clone());
        }
        let name: ServiceName = format!("service-{}", self.services.len() + 1)
            .parse()
            .map_err(|error| format!("{error}"))?;
        self.services.insert(id.to_owned(), name.clone());
        Ok(name)
    }

    fn of_tenant(&self, tenant: Tenant) -> String {
        let place = self
            .organizations
            .len()
            .min(usize::try_from(tenant.id.as_uuid().as_u128()).unwrap_or(usize::MAX));
        let letter =
            u8::try_from(place).map_or('?', |place| char::from(b'@'.saturating_add(place)));
        if tenant.system {
            format!("organization {letter} (the operators')")
        } else {
            format!("organization {letter}")
        }
    }

    fn of_user(&self, user: UserId) -> String {
        debug_assert!(self.users.values().any(|known| *known == user));
        format!("user {}", user.as_uuid().as_u128())
    }

    fn of_object(&self, object: &Object) -> String {
        match object {
            Object::Installation => "the installation".to_owned(),
            Object::NewOrganization { owner } => {
                format!("a new organization of {}", self.of_user(*owner))
            }
            Object::Organization(organization) => self.of_tenant(*organization),
            Object::Member {
                organization,
                user,
                owner,
            } => format!(
                "the membership of {} in {}{}",
                self.of_user(*user),
                self.of_tenant(*organization),
                if *owner { ", which they own" } else { "" }
            ),
            Object::Account(user) => format!("the account of {}", self.of_user(*user)),
            Object::Service(service) => format!("the service `{service}`"),
        }
    }
}
