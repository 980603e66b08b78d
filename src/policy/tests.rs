//! The engine from outside, on believable facts and the example policies.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, EntityUid, PolicyId, PolicySet,
    Request, Schema, ValidationMode, Validator,
};
use serde_json::{Map, Value, json};

use crate::domain::{
    Decision, OrganizationId, PermissionId, PermissionKey, RoleId, Timestamp, UserId,
};

use super::*;

const ACME: OrganizationId = OrganizationId::from_u128(0xa);
const BETA: OrganizationId = OrganizationId::from_u128(0xb);
const ALICE: UserId = UserId::from_u128(0x1);

/// Facts by name: `role => permissions`.
fn facts(roles: &[(&str, &[&str])]) -> PolicyFacts {
    let mut facts = PolicyFacts::default();
    let mut ids: HashMap<PermissionKey, PermissionId> = HashMap::new();
    for (role, permissions) in roles {
        let role_id = role_id(&facts, role);
        facts.roles.push((role_id, role.parse().unwrap()));
        for permission in *permissions {
            let key: PermissionKey = permission.parse().unwrap();
            let next = PermissionId::from_u128(ids.len() as u128);
            let id = *ids.entry(key.clone()).or_insert_with(|| {
                facts.permissions.push((next, key));
                next
            });
            facts.grants.push((role_id, id));
        }
    }
    facts
}

/// The id of a role: the one it has, or the one it would get.
fn role_id(facts: &PolicyFacts, name: &str) -> RoleId {
    let known = facts.roles.iter().find(|(_, key)| key.to_string() == name);
    known.map_or(RoleId::from_u128(1 + facts.roles.len() as u128), |r| r.0)
}

fn product() -> PolicyFacts {
    facts(&[
        ("documents/guest", &["documents:document:read"]),
        (
            "documents/editor",
            &["documents:document:read", "documents:document:write"],
        ),
        ("documents/admin", &["documents:document:delete"]),
        (
            "deploy/operator",
            &["deploy:environment:deploy", "deploy:environment:read"],
        ),
        ("deploy/viewer", &["deploy:environment:read"]),
    ])
}

fn examples(facts: &PolicyFacts) -> CustomPolicies {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let files = ["freeze.cedar", "owners.cedar", "production.cedar"]
        .map(|name| (name.to_owned(), read(name)));
    let attributes = Attributes::parse("attributes.toml", &read("attributes.toml")).unwrap();
    CustomPolicies::load(files.into(), attributes, facts).unwrap()
}

fn build(facts: &PolicyFacts, custom: &CustomPolicies) -> Engine {
    Engine::build(facts, custom, Arc::new(RoleSets::new(100))).unwrap()
}

fn find(engine: &Engine, permission: &str) -> ActionIndex {
    engine.permission(&permission.parse().unwrap()).unwrap()
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// Alice of Acme asks, with roles and properties.
struct Ask<'a> {
    engine: &'a Engine,
    roles: Vec<RoleId>,
    resource: Option<Map<String, Value>>,
    context: Option<Map<String, Value>>,
    owner: Option<OrganizationId>,
    now: Option<Timestamp>,
}

impl<'a> Ask<'a> {
    fn with(engine: &'a Engine, facts: &PolicyFacts, roles: &[&str]) -> Self {
        Self {
            engine,
            roles: roles.iter().map(|name| role_id(facts, name)).collect(),
            resource: None,
            context: None,
            owner: None,
            now: None,
        }
    }

    fn on(mut self, properties: Value) -> Self {
        self.resource = object(properties);
        self
    }

    fn context(mut self, context: Value) -> Self {
        self.context = object(context);
        self
    }

    fn at(mut self, now: &str) -> Self {
        self.now = Some(now.parse().unwrap());
        self
    }

    fn explain(&self, permission: &str) -> Explanation {
        let (resource_type, _) = permission.rsplit_once(':').unwrap();
        self.engine.explain(&Question {
            organization: ACME,
            user: ALICE,
            roles: &self.roles,
            action: find(self.engine, permission),
            resource: Resource {
                resource_type,
                id: "7",
                organization: self.owner,
                properties: self.resource.as_ref(),
            },
            subject_properties: None,
            action_properties: None,
            context: self.context.as_ref(),
            now: self.now,
        })
    }
}

#[test]
fn a_role_grants_what_it_lists_and_nothing_else() {
    let facts = product();
    let engine = build(&facts, &CustomPolicies::none());
    let editor = engine
        .sets()
        .intern(&[role_id(&facts, "documents/editor")])
        .unwrap();
    for (permission, verdict) in [
        ("documents:document:write", Verdict::Allow),
        ("documents:document:delete", Verdict::Deny),
        ("deploy:environment:read", Verdict::Deny),
    ] {
        // Twice: filled by Cedar, then from the memo.
        for _ in 0..2 {
            assert_eq!(engine.decide(editor, find(&engine, permission)), verdict);
        }
    }
    assert_eq!(engine.action("documents:document", "share"), None);
    assert_eq!(engine.action("documents", "document:read"), None);
}

#[test]
fn roles_unite_and_roles_that_no_service_declares_grant_nothing() {
    let facts = product();
    let engine = build(&facts, &CustomPolicies::none());
    let both = [
        role_id(&facts, "documents/admin"),
        role_id(&facts, "deploy/viewer"),
        RoleId::from_u128(999),
    ];
    let set = engine.sets().intern(&both).unwrap();
    for permission in ["documents:document:delete", "deploy:environment:read"] {
        assert_eq!(
            engine.decide(set, find(&engine, permission)),
            Verdict::Allow
        );
    }
    let ghost = engine.sets().intern(&both[2..]).unwrap();
    let read = find(&engine, "documents:document:read");
    assert_eq!(engine.decide(ghost, read), Verdict::Deny);
}

#[test]
fn only_columns_that_hand_written_policies_can_match_depend() {
    let facts = product();
    let engine = build(&facts, &examples(&facts));
    for (permission, depends, on_time) in [
        ("documents:document:read", true, false),
        ("documents:document:delete", true, false),
        ("deploy:environment:deploy", true, true),
        ("deploy:environment:read", true, false),
    ] {
        let action = find(&engine, permission);
        assert_eq!(engine.depends(action), depends, "{permission}");
        assert_eq!(engine.depends_on_time(action), on_time, "{permission}");
    }
    let text = "forbid (principal, action in Action::\"role:deploy/viewer\", resource);";
    let custom = CustomPolicies::load(
        vec![("one.cedar".into(), text.into())],
        Attributes::default(),
        &facts,
    );
    let engine = engine.rebuild(&facts, &custom.unwrap()).unwrap();
    assert!(engine.depends(find(&engine, "deploy:environment:read")));
    assert!(!engine.depends(find(&engine, "deploy:environment:deploy")));
}

#[test]
fn the_example_policies_do_what_their_comments_say() {
    let facts = product();
    let engine = build(&facts, &examples(&facts));
    let ask = |roles: &[&str]| Ask::with(&engine, &facts, roles);
    let own = json!({"owner": ALICE.to_string()});
    let secret = json!({"owner": ALICE.to_string(), "labels": ["confidential"]});
    let production = json!({"tier": "production"});
    let cases = [
        (ask(&[]).on(own.clone()), "documents:document:write", true),
        (ask(&[]), "documents:document:write", false),
        (ask(&[]).on(own), "documents:document:delete", false),
        (
            ask(&["documents/editor"]).on(secret.clone()),
            "documents:document:read",
            true,
        ),
        // The forbid binds although another role would allow: roles are judged together.
        (
            ask(&["documents/guest", "documents/editor"]).on(secret),
            "documents:document:read",
            false,
        ),
        (ask(&["deploy/operator"]), "deploy:environment:deploy", true),
        (
            ask(&["deploy/operator"]).on(production.clone()),
            "deploy:environment:deploy",
            false,
        ),
        (
            ask(&["deploy/operator"])
                .on(production.clone())
                .context(json!({"mfa": true})),
            "deploy:environment:deploy",
            true,
        ),
        // A viewer reads through an action of a group it does not hold: the forbid still binds.
        (
            ask(&["deploy/viewer"]).on(production),
            "deploy:environment:read",
            false,
        ),
        (
            ask(&["deploy/operator"]).at("2026-12-24T00:00:00Z"),
            "deploy:environment:deploy",
            false,
        ),
        (
            ask(&["deploy/operator"]).at("2027-01-02T00:00:00Z"),
            "deploy:environment:deploy",
            true,
        ),
    ];
    for (n, (ask, permission, allowed)) in cases.iter().enumerate() {
        let found = ask.explain(permission);
        assert_eq!(found.allowed, *allowed, "case {n}: {}", found.summary);
    }
}

#[test]
fn an_explanation_names_what_decided_in_words() {
    let facts = product();
    let engine = build(&facts, &examples(&facts));
    let ask = |roles: &[&str]| Ask::with(&engine, &facts, roles);
    let say = |ask: &Ask<'_>, permission: &str| ask.explain(permission).summary;
    assert_eq!(
        say(&ask(&["documents/guest"]), "documents:document:read"),
        "allowed: role `documents/guest` grants `documents:document:read`"
    );
    assert_eq!(
        say(&ask(&["documents/guest"]), "documents:document:write"),
        "denied: the member holds `documents/guest`; `documents:document:write` would be granted \
         by `documents/editor`"
    );
    assert_eq!(
        say(&ask(&[]), "documents:document:delete"),
        "denied: the member holds no role; `documents:document:delete` would be granted by \
         `documents/admin`"
    );
    assert_eq!(
        say(
            &ask(&["deploy/operator"]).on(json!({"tier": "production"})),
            "deploy:environment:deploy"
        ),
        "denied: `deploy:environment:deploy` is forbidden by policy `production-needs-mfa` \
         (changing production needs a second factor)"
    );
    let mut foreign = ask(&["documents/editor"]);
    foreign.owner = Some(BETA);
    let explanation = foreign.explain("documents:document:write");
    assert_eq!(explanation.cause, Cause::OtherOrganization);
    let wrong = ask(&["documents/editor"]).on(json!({"labels": "confidential"}));
    assert_eq!(
        say(&wrong, "documents:document:read"),
        "denied: `resource.labels` is not of the declared type `Set<String>`"
    );
    assert_eq!(
        engine
            .explain_unknown("deploy:environment", "destroy")
            .summary,
        "denied: no service declares `deploy:environment:destroy`; declared are \
         `deploy:environment:deploy`, `deploy:environment:read`"
    );
    let json = serde_json::to_value(ask(&[]).explain("documents:document:delete")).unwrap();
    assert_eq!(
        json["cause"],
        json!({"kind": "not_held", "granting": ["documents/admin"]})
    );
}

#[test]
fn a_forbid_that_fails_denies_and_a_permit_that_fails_is_reported_and_ignored() {
    let facts = product();
    let text = "@id(\"broken-forbid\")\nforbid (principal, action == \
                Action::\"documents:document:read\", resource) when { resource.nothing };\n\
                @id(\"broken-permit\")\npermit (principal, action == \
                Action::\"deploy:environment:read\", resource) when { resource.nothing };";
    let custom =
        CustomPolicies::parse(vec![("x".into(), text.into())], Attributes::default()).unwrap();
    let engine = build(&facts, &custom);
    let ask = Ask::with(&engine, &facts, &["documents/editor", "deploy/viewer"]);
    let denied = ask.explain("documents:document:read");
    assert!(!denied.allowed);
    assert!(matches!(denied.cause, Cause::PolicyFailed { .. }));
    assert!(
        denied.summary.contains("a forbid that fails denies"),
        "{}",
        denied.summary
    );
    let allowed = ask.explain("deploy:environment:read");
    assert!(allowed.allowed);
    assert!(
        allowed
            .summary
            .contains("policy `broken-permit` was ignored"),
        "{}",
        allowed.summary
    );
}

#[test]
fn a_withdrawn_grant_denies_after_the_rebuild_and_new_indexes_are_needed() {
    let before = product();
    let mut after = before.clone();
    let editor = role_id(&before, "documents/editor");
    after.grants.retain(|(role, _)| *role != editor);
    let old = build(&before, &CustomPolicies::none());
    let set = old.sets().intern(&[editor]).unwrap();
    let write = find(&old, "documents:document:write");
    assert_eq!(old.decide(set, write), Verdict::Allow);
    let new = old.rebuild(&after, &CustomPolicies::none()).unwrap();
    let write = find(&new, "documents:document:write");
    assert_eq!(new.decide(set, write), Verdict::Deny);
}

#[test]
fn a_renamed_role_is_compiled_anew() {
    let before = facts(&[("docs/old", &["docs:document:read"])]);
    let mut after = before.clone();
    after.roles[0].1 = "docs/new".parse().unwrap();
    let engine = build(&before, &CustomPolicies::none())
        .rebuild(&after, &CustomPolicies::none())
        .unwrap();
    let roles = [after.roles[0].0];
    let found = Ask {
        roles: roles.into(),
        ..Ask::with(&engine, &after, &[])
    }
    .explain("docs:document:read");
    assert_eq!(
        found.summary,
        "allowed: role `docs/new` grants `docs:document:read`"
    );
}

#[test]
fn facts_with_two_roles_of_one_name_are_refused() {
    let mut twice = product();
    twice
        .roles
        .push((RoleId::from_u128(77), twice.roles[0].1.clone()));
    let sets = Arc::new(RoleSets::new(1));
    let error = Engine::build(&twice, &CustomPolicies::none(), sets).unwrap_err();
    assert_eq!(
        error,
        BuildError::DuplicateRole("documents/guest".parse().unwrap())
    );
}

#[test]
fn generated_policies_pass_strict_validation_without_a_warning() {
    let facts = product();
    let engine = build(&facts, &examples(&facts));
    let export = engine.export();
    let (schema, warnings) = Schema::from_cedarschema_str(&export.schema).unwrap();
    assert_eq!(warnings.count(), 0);
    let policies = PolicySet::from_str(&export.policies).unwrap();
    let result = Validator::new(schema).validate(&policies, ValidationMode::Strict);
    assert!(result.validation_passed_without_warnings(), "{result}");
}

#[test]
fn an_admin_of_one_organization_gains_nothing_in_another_in_the_stock_authorizer() {
    let facts = product();
    let engine = build(&facts, &CustomPolicies::none());
    let export = engine.export();
    let (schema, _) = Schema::from_cedarschema_str(&export.schema).unwrap();
    let member = |organization, role| {
        let member = ExportedMember {
            organization,
            user: ALICE,
            roles: &[role_id(&facts, role)],
            properties: None,
        };
        engine.export_member(&member).unwrap()
    };
    let resource = |organization: OrganizationId| {
        let resource = ExportedResource {
            resource_type: "documents:document",
            id: &organization.to_string(),
            organization,
            properties: None,
        };
        engine.export_resource(&resource).unwrap()
    };
    let mut world = export.entities;
    world.extend([
        member(ACME, "documents/admin"),
        member(BETA, "documents/guest"),
        resource(ACME),
        resource(BETA),
    ]);
    // With the schema: the exported entities conform to it.
    let entities = Entities::from_json_value(Value::Array(world), Some(&schema)).unwrap();
    let policies = PolicySet::from_str(&export.policies).unwrap();
    let policies = PolicySet::from_policies(
        policies
            .policies()
            .map(|policy| policy.new_id(PolicyId::new(policy.annotation("id").unwrap()))),
    )
    .unwrap();
    let allowed = |member: OrganizationId, action: &str, owner: OrganizationId| {
        let uid = |text: String| -> EntityUid { text.parse().unwrap() };
        let request = Request::new(
            uid(format!("Membership::\"{member}/{ALICE}\"")),
            uid(format!("Action::\"documents:document:{action}\"")),
            uid(format!("documents::document::\"{owner}\"")),
            Context::empty(),
            Some(&schema),
        );
        let response = Authorizer::new().is_authorized(&request.unwrap(), &policies, &entities);
        response.decision() == CedarDecision::Allow
    };
    assert!(allowed(ACME, "delete", ACME));
    assert!(allowed(BETA, "read", BETA));
    for (member, action, owner) in [
        (BETA, "delete", BETA),
        (ACME, "delete", BETA),
        (BETA, "read", ACME),
        (ACME, "read", BETA),
        (ACME, "write", ACME),
    ] {
        assert!(!allowed(member, action, owner), "{member} {action} {owner}");
    }
}

#[test]
fn an_action_of_another_engine_is_denied() {
    let facts = product();
    let large = build(&facts, &CustomPolicies::none());
    let small = large
        .rebuild(&PolicyFacts::default(), &CustomPolicies::none())
        .unwrap();
    let action = find(&large, "documents:document:write");
    let editor = [role_id(&facts, "documents/editor")];
    let set = small.sets().intern(&editor).unwrap();
    assert_eq!(small.decide(set, action), Verdict::Deny);
    let evaluation = small.evaluate(&Question {
        organization: ACME,
        user: ALICE,
        roles: &editor,
        action,
        resource: Resource {
            resource_type: "documents:document",
            id: "7",
            organization: None,
            properties: None,
        },
        subject_properties: None,
        action_properties: None,
        context: None,
        now: None,
    });
    assert_eq!(evaluation.decision, Decision::Deny);
    assert_eq!(evaluation.faults.len(), 1);
}

#[test]
fn threads_that_fill_one_memo_agree_with_one_thread_alone() {
    let facts = product();
    let engine = build(&facts, &CustomPolicies::none());
    let alone = build(&facts, &CustomPolicies::none());
    let sets: Vec<(RoleSetId, RoleSetId)> = (0..32_u128)
        .map(|bits| {
            let roles: Vec<RoleId> = (0..5)
                .filter(|n| bits & (1 << n) != 0)
                .map(|n| RoleId::from_u128(1 + n))
                .collect();
            let intern = |engine: &Engine| engine.sets().intern(&roles).unwrap();
            (intern(&engine), intern(&alone))
        })
        .collect();
    let answers = |engine: &Engine, sets: &mut dyn Iterator<Item = RoleSetId>| -> Vec<Verdict> {
        sets.flat_map(|set| {
            engine
                .permissions()
                .map(|key| engine.decide(set, engine.permission(key).unwrap()))
                .collect::<Vec<_>>()
        })
        .collect()
    };
    let expected = answers(&alone, &mut sets.iter().map(|pair| pair.1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let found = answers(&engine, &mut sets.iter().map(|pair| pair.0));
                assert_eq!(found, expected);
            });
        }
    });
}

#[test]
fn an_engine_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
    shared::<CustomPolicies>();
    shared::<RoleSets>();
}
