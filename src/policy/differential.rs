//! Memo ≡ slice ≡ the stock authorizer on the exported policies and the whole world's entities.
//!
//! Worlds are random and small, questions many. Each planted mistake has to be found.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision, Effect, Entities, EntityId, EntityTypeName, EntityUid, PolicyId,
    PolicySet, Request, RestrictedExpression,
};
use serde_json::{Map, Value, json};

use crate::domain::{OrganizationId, PermissionId, RoleId, RoleKey, UserId};

use super::*;

const ROLES: [&str; 5] = [
    "docs/viewer",
    "docs/editor",
    "docs/guest",
    "pay/clerk",
    "pay/owner",
];
const TYPES: [&str; 3] = ["docs:document", "docs:folder", "pay:invoice"];
const ACTIONS: [&str; 3] = ["read", "write", "delete"];
const ATTRIBUTES: &str = "[resources.\"docs:document\"]\nsecret = \"Bool\"\nlevel = \"Long\"\n\
                          [resources.\"pay:invoice\"]\nlevel = \"Long\"\n\
                          [subject]\nlevel = \"Long\"\n[context]\nmfa = \"Bool\"\n";
const ORGANIZATIONS: u64 = 3;
const USERS: u64 = 4;
const VARIANTS: usize = 3;

/// `SplitMix64`: worlds are told by their seed alone.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn of<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

fn organization(n: u64) -> OrganizationId {
    OrganizationId::from_u128(0x0a00 + u128::from(n))
}

fn user(n: u64) -> UserId {
    UserId::from_u128(0x0b00 + u128::from(n))
}

fn role(n: usize) -> RoleId {
    RoleId::from_u128(0x0c00 + n as u128)
}

/// A hand-written policy of a random kind with random names in it.
fn policy(random: &mut Random) -> String {
    let first = random.of(&ROLES);
    let second = random.of(&ROLES);
    let action = format!("{}:{}", random.of(&TYPES), random.of(&ACTIONS));
    let other = format!("{}:{}", random.of(&TYPES), random.of(&ACTIONS));
    let organization = organization(random.next() % ORGANIZATIONS);
    let user = user(random.next() % USERS);
    let variant = random.below(VARIANTS);
    match random.below(19) {
        0 => format!("forbid (principal in Role::\"{first}\", action, resource);"),
        1 => format!("forbid (principal is Membership, action == Action::\"{action}\", resource);"),
        2 => "forbid (principal, action, resource is docs::document) when { resource has secret \
              && resource.secret };"
            .to_owned(),
        3 => format!(
            "permit (principal, action in [Action::\"{action}\", Action::\"{other}\"], resource) \
             when {{ resource in principal.organization }};"
        ),
        4 => format!(
            "permit (principal is Membership in Role::\"{first}\", action in Action::\"role:{second}\", \
             resource);"
        ),
        // Fails wherever the level is missing.
        5 => format!(
            "forbid (principal, action == Action::\"{action}\", resource) when {{ resource.level \
             > 3 }};"
        ),
        6 => {
            "permit (principal, action, resource is docs::folder) when { context.mfa };".to_owned()
        }
        7 => format!(
            "forbid (principal, action in Action::\"role:{first}\", resource) unless {{ context has \
             mfa && context.mfa }};"
        ),
        8 => "forbid (principal is User, action, resource);".to_owned(),
        9 => format!(
            "forbid (principal == Membership::\"{organization}/{user}\", action, resource);"
        ),
        10 => format!(
            "forbid (principal, action, resource in Organization::\"{organization}\") when {{ principal.user \
             == User::\"{user}\" }};"
        ),
        11 => format!(
            "permit (principal, action, resource == docs::document::\"{organization}-{variant}\");"
        ),
        12 => format!(
            "forbid (principal, action == Action::\"{action}\", resource) when {{ principal has \
             level && principal.level < 2 }};"
        ),
        13 => format!(
            "forbid (principal, action, resource) when {{ action in Action::\"role:{first}\" && \
             principal in Role::\"{second}\" }};"
        ),
        14 => format!("forbid (principal in Organization::\"{organization}\", action, resource);"),
        15 => format!(
            "permit (principal, action, resource) when {{ resource in Organization::\"{organization}\" }};"
        ),
        16 => format!(
            "forbid (principal in Role::\"{first}\", action in Action::\"role:{second}\", resource) when \
             {{ resource.level * 9223372036854775807 > 0 }};"
        ),
        17 => format!(
            "permit (principal, action == Action::\"{action}\", resource) when {{ principal.level \
             > 2 }};"
        ),
        _ => format!(
            "forbid (principal, action in [Action::\"role:{first}\"], resource is pay::invoice);"
        ),
    }
}

/// Facts with random grants; the same roles and permissions, whatever the world.
fn facts(random: &mut Random) -> PolicyFacts {
    let mut facts = PolicyFacts::default();
    for (n, name) in ROLES.iter().enumerate() {
        facts.roles.push((role(n), name.parse().unwrap()));
    }
    let density = random.next() % 60;
    for (n, name) in TYPES
        .iter()
        .flat_map(|t| ACTIONS.iter().map(move |a| format!("{t}:{a}")))
        .enumerate()
    {
        let id = PermissionId::from_u128(n as u128);
        facts.permissions.push((id, name.parse().unwrap()));
        for n in 0..ROLES.len() {
            if random.chance(density) {
                facts.grants.push((role(n), id));
            }
        }
    }
    facts
}

struct World {
    before: PolicyFacts,
    facts: PolicyFacts,
    custom: CustomPolicies,
    members: Vec<(OrganizationId, UserId, Vec<RoleId>)>,
    limit: u32,
}

fn world(seed: u64) -> World {
    let mut random = Random(seed);
    let policies = if random.chance(30) {
        0
    } else {
        random.below(5)
    };
    let text: Vec<String> = (0..policies).map(|_| policy(&mut random)).collect();
    let attributes = Attributes::parse("attributes.toml", ATTRIBUTES).unwrap();
    let files = vec![("world.cedar".to_owned(), text.join("\n"))];
    let custom = CustomPolicies::parse(files, attributes).unwrap();
    let mut members = Vec::new();
    for o in 0..ORGANIZATIONS {
        for u in 0..USERS {
            if random.chance(75) {
                let mut roles: Vec<RoleId> = (0..random.below(4))
                    .map(|_| role(random.below(ROLES.len())))
                    .collect();
                // A role that no service declares any more.
                if random.chance(10) {
                    roles.push(role(99));
                }
                members.push((organization(o), user(u), roles));
            }
        }
    }
    World {
        before: facts(&mut random),
        facts: facts(&mut random),
        custom,
        members,
        limit: if random.chance(20) { 2 } else { 1000 },
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// The properties a variant of a resource, a subject or a context has.
struct Properties {
    resources: [[Option<Map<String, Value>>; VARIANTS]; 3],
    subjects: [Option<Map<String, Value>>; VARIANTS],
    contexts: [Option<Map<String, Value>>; VARIANTS],
}

impl Properties {
    fn new() -> Self {
        let level = |n: i64| object(json!({ "level": n }));
        Self {
            resources: [
                [
                    None,
                    object(json!({"secret": true, "level": 4, "undeclared": 1})),
                    object(json!({"secret": false})),
                ],
                [None, object(json!({"level": 9})), None],
                [None, level(2), level(i64::MAX)],
            ],
            subjects: [None, level(1), level(5)],
            contexts: [
                None,
                object(json!({"mfa": true})),
                object(json!({"mfa": false, "now": "2026-01-01"})),
            ],
        }
    }
}

/// What an evaluator says: allowed or not, and by which policies.
type Outcome = (bool, BTreeSet<String>);

/// The stock authorizer over the exported policies and every entity of the world.
struct Reference {
    policies: PolicySet,
    /// One store for each variant of the subjects.
    stores: Vec<Entities>,
    contexts: [Context; VARIANTS],
    types: BTreeMap<&'static str, EntityTypeName>,
    authorizer: Authorizer,
}

impl Reference {
    fn new(world: &World, engine: &Engine, properties: &Properties) -> Self {
        let export = engine.export();
        let parsed = PolicySet::from_str(&export.policies).unwrap();
        let named = parsed
            .policies()
            .map(|policy| policy.new_id(PolicyId::new(policy.annotation("id").unwrap())));
        let policies = PolicySet::from_policies(named).unwrap();
        let mut fixed = export.entities;
        for (t, resource_type) in TYPES.iter().enumerate() {
            for o in (0..ORGANIZATIONS).map(organization) {
                for (n, properties) in properties.resources[t].iter().enumerate() {
                    let resource = ExportedResource {
                        resource_type,
                        id: &format!("{o}-{n}"),
                        organization: o,
                        properties: properties.as_ref(),
                    };
                    fixed.push(engine.export_resource(&resource).unwrap());
                }
            }
        }
        for o in (0..ORGANIZATIONS).map(organization) {
            fixed.push(json!({"uid": {"type": "Organization", "id": o.to_string()}, "attrs": {}, "parents": []}));
        }
        for u in (0..USERS).map(user) {
            fixed.push(
                json!({"uid": {"type": "User", "id": u.to_string()}, "attrs": {}, "parents": []}),
            );
        }
        let stores = properties.subjects.iter().map(|subject| {
            let members = world.members.iter().map(|(organization, user, roles)| {
                engine
                    .export_member(&ExportedMember {
                        organization: *organization,
                        user: *user,
                        roles,
                        properties: subject.as_ref(),
                    })
                    .unwrap()
            });
            let all: Vec<Value> = fixed.iter().cloned().chain(members).collect();
            Entities::from_json_value(Value::Array(all), None).unwrap()
        });
        let mfa = |value: bool| {
            let value = RestrictedExpression::new_bool(value);
            Context::from_pairs([("mfa".to_owned(), value)]).unwrap()
        };
        let types = ["Membership", "Action"].into_iter().chain(TYPES);
        Self {
            stores: stores.collect(),
            policies,
            contexts: [Context::empty(), mfa(true), mfa(false)],
            types: types
                .map(|name| (name, name.replace(':', "::").parse().unwrap()))
                .collect(),
            authorizer: Authorizer::new(),
        }
    }

    fn answer(&self, case: &Case<'_>) -> Outcome {
        let q = &case.question;
        let uid = |type_name: &str, id: &str| {
            let type_name = self.types[type_name].clone();
            EntityUid::from_type_name_and_id(type_name, EntityId::new(id))
        };
        let request = Request::new(
            uid("Membership", &format!("{}/{}", q.organization, q.user)),
            uid("Action", &case.permission),
            uid(q.resource.resource_type, q.resource.id),
            self.contexts[case.context].clone(),
            None,
        );
        let response = self.authorizer.is_authorized(
            &request.unwrap(),
            &self.policies,
            &self.stores[case.subject],
        );
        let mut reasons: BTreeSet<String> = response
            .diagnostics()
            .reason()
            .map(ToString::to_string)
            .collect();
        let mut allowed = response.decision() == Decision::Allow;
        // Our one rule on top of Cedar's.
        for error in response.diagnostics().errors() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            let policy = self.policies.policy(error.policy_id()).unwrap();
            if policy.effect() == Effect::Forbid {
                if allowed {
                    allowed = false;
                    reasons.clear();
                }
                reasons.insert(policy.id().to_string());
            }
        }
        (allowed, reasons)
    }
}

/// One question, with what evaluators under test need to answer it.
struct Case<'a> {
    engine: &'a Engine,
    before: &'a Engine,
    question: Question<'a>,
    permission: String,
    subject: usize,
    context: usize,
}

fn outcome(evaluation: Evaluation) -> Outcome {
    (
        evaluation.decision.is_allow(),
        evaluation.reasons.into_iter().collect(),
    )
}

#[derive(Default)]
struct Tally {
    cases: usize,
    memo: usize,
    allowed: usize,
    denied_by_policy: usize,
    foreign: usize,
}

/// How a world's engine is made from its facts: the last argument is the engine before the change.
type Build = fn(&World, &Engine) -> Engine;

/// Asks many questions of a world; the first disagreement is the error.
fn check(
    seed: u64,
    build: Build,
    slice: &dyn Fn(&Case<'_>) -> Outcome,
    memo: &dyn Fn(&Case<'_>, RoleSetId) -> Verdict,
    tally: &mut Tally,
) -> Result<(), String> {
    let world = world(seed);
    let mut random = Random(!seed);
    let properties = Properties::new();
    let sets = Arc::new(RoleSets::new(world.limit));
    let before = Engine::build(&world.before, &world.custom, sets).unwrap();
    for (_, _, roles) in &world.members {
        if let Some(set) = before.sets().intern(roles) {
            for key in before.permissions() {
                before.decide(set, before.permission(key).unwrap());
            }
        }
    }
    let honest = before.rebuild(&world.facts, &world.custom).unwrap();
    let reference = Reference::new(&world, &honest, &properties);
    let engine = build(&world, &before);
    for (organization_id, user_id, roles) in &world.members {
        for (t, resource_type) in TYPES.iter().enumerate() {
            for n in 0..ACTIONS.len() * 6 {
                let action = ACTIONS[n % ACTIONS.len()];
                let owner = if random.chance(70) {
                    *organization_id
                } else {
                    organization(random.next() % ORGANIZATIONS)
                };
                let (variant, subject, context) = (
                    random.below(VARIANTS),
                    random.below(VARIANTS),
                    random.below(VARIANTS),
                );
                let case = Case {
                    engine: &engine,
                    before: &before,
                    question: Question {
                        organization: *organization_id,
                        user: *user_id,
                        roles,
                        action: engine.action(resource_type, action).unwrap(),
                        resource: Resource {
                            resource_type,
                            id: &format!("{owner}-{variant}"),
                            organization: (owner != *organization_id).then_some(owner),
                            properties: properties.resources[t][variant].as_ref(),
                        },
                        subject_properties: properties.subjects[subject].as_ref(),
                        action_properties: None,
                        context: properties.contexts[context].as_ref(),
                        now: None,
                    },
                    permission: format!("{resource_type}:{action}"),
                    subject,
                    context,
                };
                compare(seed, &case, &reference, slice, memo, tally)?;
            }
        }
    }
    Ok(())
}

fn compare(
    seed: u64,
    case: &Case<'_>,
    reference: &Reference,
    slice: &dyn Fn(&Case<'_>) -> Outcome,
    memo: &dyn Fn(&Case<'_>, RoleSetId) -> Verdict,
    tally: &mut Tally,
) -> Result<(), String> {
    let expected = reference.answer(case);
    let found = slice(case);
    tally.cases += 1;
    tally.allowed += usize::from(expected.0);
    tally.denied_by_policy += usize::from(!expected.0 && !expected.1.is_empty());
    let foreign = case.question.resource.organization.is_some();
    tally.foreign += usize::from(foreign);
    if found != expected {
        return Err(format!(
            "seed {seed}, {} on {:?}\nroles {:?}\nexpected {expected:?}\nfound    {found:?}\n{:?}",
            case.permission, case.question.resource, case.question.roles, case.question.context
        ));
    }
    let set = case.engine.sets().intern(case.question.roles);
    if let (Some(set), false) = (set, foreign) {
        let verdict = memo(case, set);
        let agrees = match verdict {
            Verdict::Allow => expected.0,
            Verdict::Deny => !expected.0,
            Verdict::Depends => return Ok(()),
        };
        tally.memo += 1;
        if !agrees {
            return Err(format!(
                "seed {seed}: the memo says {verdict:?}, not {expected:?}"
            ));
        }
    }
    Ok(())
}

fn honest_build(world: &World, before: &Engine) -> Engine {
    before.rebuild(&world.facts, &world.custom).unwrap()
}

fn honest_slice(case: &Case<'_>) -> Outcome {
    outcome(case.engine.evaluate(&case.question))
}

fn honest_memo(case: &Case<'_>, set: RoleSetId) -> Verdict {
    case.engine.decide(set, case.question.action)
}

fn agree_on(seeds: std::ops::Range<u64>) {
    let mut tally = Tally::default();
    for seed in seeds {
        if let Err(found) = check(seed, honest_build, &honest_slice, &honest_memo, &mut tally) {
            panic!("{found}\npolicies: {:?}", world(seed).custom);
        }
    }
    let Tally {
        cases,
        memo,
        allowed,
        denied_by_policy,
        foreign,
    } = tally;
    // The worlds are fixed by their seeds: these say that they ask about everything there is.
    assert!(cases >= 52_000, "{cases} cases");
    assert!(memo * 10 > cases, "{memo} of {cases} answered by the memo");
    assert!(allowed * 8 > cases, "{allowed} of {cases} allowed");
    assert!(
        denied_by_policy * 12 > cases,
        "{denied_by_policy} of {cases} forbidden"
    );
    assert!(
        foreign * 10 > cases,
        "{foreign} of {cases} of another organization"
    );
}

#[test]
fn memo_slice_and_the_whole_world_agree_on_random_worlds() {
    agree_on(0..120);
}

#[test]
fn memo_slice_and_the_whole_world_agree_on_more_random_worlds() {
    agree_on(1_000_000..1_000_120);
}

/// The number of worlds until a mistake is found.
fn found_after(
    build: Build,
    slice: &dyn Fn(&Case<'_>) -> Outcome,
    memo: &dyn Fn(&Case<'_>, RoleSetId) -> Verdict,
) -> Option<u64> {
    (0..120).find(|seed| check(*seed, build, slice, memo, &mut Tally::default()).is_err())
}

#[test]
fn uniting_decisions_made_role_by_role_is_found_out() {
    let union = |case: &Case<'_>| -> Outcome {
        let mut allowed = false;
        let mut reasons: BTreeMap<bool, BTreeSet<String>> = BTreeMap::new();
        for role in case.question.roles {
            let alone = Question {
                roles: std::slice::from_ref(role),
                ..case.question
            };
            let (one, why) = outcome(case.engine.evaluate(&alone));
            allowed |= one;
            reasons.entry(one).or_default().extend(why);
        }
        (allowed, reasons.remove(&allowed).unwrap_or_default())
    };
    // Decisions alone, so that it is the answer that is found wrong and not the list of reasons.
    let union = move |case: &Case<'_>| -> Outcome {
        let honest = honest_slice(case);
        if union(case).0 && !honest.0 {
            union(case)
        } else {
            honest
        }
    };
    assert!(found_after(honest_build, &union, &honest_memo).is_some());
}

#[test]
fn role_policies_without_their_when_are_found_out() {
    fn text(role: &RoleKey) -> String {
        format!(
            "permit (principal in Role::\"{role}\", action in Action::\"role:{role}\", resource);"
        )
    }
    let build: Build = |world, before| {
        let sets = Arc::clone(before.sets());
        Engine::build_with(&world.facts, &world.custom, sets, None, text).unwrap()
    };
    assert!(found_after(build, &honest_slice, &honest_memo).is_some());
}

#[test]
fn a_memo_that_outlives_a_rebuild_is_found_out() {
    let stale = |case: &Case<'_>, set: RoleSetId| {
        let (resource_type, action) = case.permission.rsplit_once(':').unwrap();
        let action = case.before.action(resource_type, action).unwrap();
        case.before.decide(set, action)
    };
    assert!(found_after(honest_build, &honest_slice, &stale).is_some());
}

#[test]
fn answering_one_member_with_anothers_evaluation_is_found_out() {
    let shared = |case: &Case<'_>| {
        outcome(case.engine.evaluate(&Question {
            user: UserId::from_u128(0),
            ..case.question
        }))
    };
    assert!(found_after(honest_build, &shared, &honest_memo).is_some());
}

#[test]
fn a_memo_that_ignores_hand_written_policies_is_found_out() {
    let blind = |case: &Case<'_>, set: RoleSetId| {
        let roles = case.engine.sets().roles(set);
        let mut none = None;
        let state = case.engine.state_of(&roles, &mut none);
        if case.engine.fill(state, case.question.action) {
            Verdict::Allow
        } else {
            Verdict::Deny
        }
    };
    assert!(found_after(honest_build, &honest_slice, &blind).is_some());
}

#[test]
fn leaving_out_groups_of_roles_not_held_is_found_out() {
    let build: Build = |world, before| {
        let mut engine = honest_build(world, before);
        engine.named_groups.clear();
        engine
    };
    assert!(found_after(build, &honest_slice, &honest_memo).is_some());
}

#[test]
fn skipping_a_forbid_that_fails_is_found_out() {
    let skipping = |case: &Case<'_>| {
        let evaluation = case.engine.evaluate(&case.question);
        let failed: Vec<&str> = evaluation.faults.iter().filter_map(Fault::policy).collect();
        let only_failed = evaluation
            .reasons
            .iter()
            .all(|reason| failed.contains(&reason.as_str()));
        let granted = case
            .engine
            .compiled_action(case.question.action)
            .is_some_and(|action| {
                case.engine
                    .roles(&action.granting)
                    .any(|role| case.question.roles.contains(&role.id))
            });
        let own = case.question.resource.organization.is_none();
        if only_failed && !failed.is_empty() && granted && own {
            (true, BTreeSet::new())
        } else {
            outcome(evaluation)
        }
    };
    assert!(found_after(honest_build, &skipping, &honest_memo).is_some());
}
