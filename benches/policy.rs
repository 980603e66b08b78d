//! The decision engine in process: memo hit, memo fill, depends evaluation, compile,
//! validation.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark that cannot set itself up should stop"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use doorward::domain::{OrganizationId, PermissionId, RoleId, UserId};
use doorward::policy::{
    Attributes, CustomPolicies, Engine, PolicyFacts, Question, Resource, RoleSets, Verdict,
};

/// `permissions` permissions, ten actions a resource type, and `roles` roles with `each` of them.
fn facts(permissions: usize, roles: usize, each: usize) -> PolicyFacts {
    let permission = |n: usize| PermissionId::from_u128(n as u128);
    let role = |n: usize| RoleId::from_u128(n as u128);
    PolicyFacts {
        roles: (0..roles)
            .map(|n| (role(n), format!("svc/role-{n}").parse().unwrap()))
            .collect(),
        permissions: (0..permissions)
            .map(|n| {
                let key = format!("svc:thing-{}:act-{}", n / 10, n % 10);
                (permission(n), key.parse().unwrap())
            })
            .collect(),
        grants: (0..roles)
            .flat_map(|r| (0..each).map(move |n| (r, (r * 37 + n) % permissions)))
            .map(|(r, n)| (role(r), permission(n)))
            .collect(),
    }
}

fn custom() -> CustomPolicies {
    let attributes = Attributes::parse(
        "attributes.toml",
        "[resources.\"svc:thing-0\"]\nowner = \"User\"\n[context]\nmfa = \"Bool\"\n",
    );
    let text = "permit (principal, action == Action::\"svc:thing-0:act-0\", resource) when { \
                resource in principal.organization && resource has owner && resource.owner == \
                principal.user };\n\
                forbid (principal, action == Action::\"svc:thing-0:act-0\", resource) when { \
                context has mfa && !context.mfa };";
    CustomPolicies::parse(
        vec![("bench.cedar".into(), text.into())],
        attributes.unwrap(),
    )
    .unwrap()
}

fn engine(facts: &PolicyFacts, custom: &CustomPolicies) -> Engine {
    Engine::build(facts, custom, Arc::new(RoleSets::new(1 << 22))).unwrap()
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memo_hit");
    for permissions in [10, 1000, 10_000] {
        let engine = engine(
            &facts(permissions, 10, permissions / 2),
            &CustomPolicies::none(),
        );
        let set = engine.sets().intern(&[RoleId::from_u128(1)]).unwrap();
        group.bench_function(BenchmarkId::new("decide", permissions), |b| {
            let action = engine.action("svc:thing-0", "act-7").unwrap();
            b.iter(|| engine.decide(black_box(set), black_box(action)));
        });
        group.bench_function(BenchmarkId::new("action_and_decide", permissions), |b| {
            b.iter(|| {
                let action = engine.action(black_box("svc:thing-0"), black_box("act-7"));
                engine.decide(black_box(set), action.unwrap())
            });
        });
    }
    group.finish();
}

fn fill(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memo_fill");
    for (roles, held) in [(10, 1), (1000, 1), (1000, 5)] {
        let facts = facts(1000, roles, 100);
        let engine = engine(&facts, &CustomPolicies::none());
        let roles_held: Vec<RoleId> = (0..held).map(RoleId::from_u128).collect();
        let action = engine.action("svc:thing-0", "act-0").unwrap();
        let mut unknown = 1_000_000..;
        group.bench_function(format!("{held}_of_{roles}_roles"), |b| {
            b.iter_batched(
                // A set nobody has asked about: the roles held, and one that means nothing here.
                || {
                    let mut roles = roles_held.clone();
                    roles.push(RoleId::from_u128(unknown.next().unwrap()));
                    engine.sets().intern(&roles).unwrap()
                },
                |set| engine.decide(set, black_box(action)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn depends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("depends");
    for held in [1, 5, 20] {
        let facts = facts(1000, 100, 100);
        let engine = engine(&facts, &custom());
        let roles: Vec<RoleId> = (0..held).map(RoleId::from_u128).collect();
        let user = UserId::from_u128(1);
        let properties = serde_json::json!({"owner": user.to_string()});
        let context = serde_json::json!({"mfa": true});
        let action = engine.action("svc:thing-0", "act-0").unwrap();
        let set = engine.sets().intern(&roles).unwrap();
        assert_eq!(engine.decide(set, action), Verdict::Depends);
        let question = Question {
            organization: OrganizationId::from_u128(1),
            user,
            roles: &roles,
            action,
            resource: Resource {
                resource_type: "svc:thing-0",
                id: "7",
                organization: None,
                properties: properties.as_object(),
            },
            subject_properties: None,
            action_properties: None,
            context: context.as_object(),
            now: None,
        };
        group.bench_function(format!("{held}_roles_held"), |b| {
            b.iter(|| engine.evaluate(black_box(&question)));
        });
    }
    group.finish();
}

fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for (permissions, roles) in [(10, 3), (100, 10), (1000, 100), (10_000, 1000)] {
        let facts = facts(permissions, roles, (permissions / 2).min(100));
        let sets = Arc::new(RoleSets::new(1 << 16));
        group.bench_function(BenchmarkId::new("build", permissions), |b| {
            b.iter(|| Engine::build(&facts, &CustomPolicies::none(), Arc::clone(&sets)).unwrap());
        });
        let engine = Engine::build(&facts, &CustomPolicies::none(), sets).unwrap();
        group.bench_function(BenchmarkId::new("rebuild", permissions), |b| {
            b.iter(|| engine.rebuild(&facts, &CustomPolicies::none()).unwrap());
        });
    }
    group.finish();
}

/// Strict validation of hand-written policies, when an operator loads them.
fn validate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("validate");
    group.sample_size(10);
    let narrow = custom();
    let broad = CustomPolicies::parse(
        vec![(
            "broad.cedar".into(),
            "forbid (principal in Role::\"svc/role-0\", action, resource) unless { resource in \
             principal.organization };"
                .into(),
        )],
        Attributes::default(),
    )
    .unwrap();
    for (permissions, roles) in [(100, 10), (10_000, 1000)] {
        let facts = facts(permissions, roles, (permissions / 2).min(100));
        for (name, custom) in [("two_named_actions", &narrow), ("any_action", &broad)] {
            group.bench_function(BenchmarkId::new(name, permissions), |b| {
                b.iter(|| custom.validate(&facts).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decide, fill, depends, compile, validate);
criterion_main!(benches);
