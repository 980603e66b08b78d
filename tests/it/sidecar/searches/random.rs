//! Searches against brute force: every candidate put to the check, on random worlds with
//! hand-written policies, suspended users, roles that nobody declares any more and organizations
//! that are gone.

use std::collections::BTreeSet;

use doorward::policy::{Attributes, CustomPolicies};
use doorward::protocol::authzen::Target;
use doorward::protocol::feed::{Cell, Op};
use doorward::sidecar::decide::Worker;
use doorward::sidecar::http::SearchError;
use serde_json::{Value, json};

use super::{page, whole};
use crate::sidecar::world::*;

pub(super) const ORGANIZATIONS: u64 = 4;
pub(super) const USERS: u64 = 9;
pub(super) const ROLES: [&str; 5] = ["reader", "editor", "third", "fourth", "fifth"];
pub(super) const ACTIONS: [&str; 3] = ["read", "write", "publish"];

const ATTRIBUTES: &str = "[resources.\"docs:page\"]\nstate = \"String\"\n\n\
                          [resources.\"docs:folder\"]\nstate = \"String\"\n\n\
                          [context]\nmfa = \"Bool\"\n\n[subject]\nlevel = \"Long\"\n";

/// What a question says besides its names.
pub(super) const SITUATIONS: [(&str, &str); 4] = [
    ("{}", "{}"),
    (r#"{"state": "public"}"#, r#"{"mfa": true}"#),
    (r#"{"state": "archived"}"#, r#"{"mfa": false}"#),
    (r#"{"state": "public"}"#, "{}"),
];

pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) fn id(&mut self, bound: u64) -> u128 {
        u128::from(self.below(bound)) + 1
    }

    pub(super) fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }
}

fn policy(random: &mut Random) -> String {
    let (first, second) = (random.of(&ROLES), random.of(&ROLES));
    let action = random.of(&ACTIONS);
    let one = organization(random.id(ORGANIZATIONS));
    let who = user(random.id(USERS));
    match random.below(17) {
        0 => format!("forbid (principal in Role::\"docs/{first}\", action, resource);"),
        1 => format!(
            "forbid (principal is Membership, action == Action::\"docs:page:{action}\", resource) \
             when {{ resource has state && resource.state == \"archived\" }};"
        ),
        2 => format!(
            "permit (principal in Role::\"docs/{first}\", action == Action::\"docs:page:{action}\", \
             resource) when {{ resource in principal.organization }};"
        ),
        3 => format!(
            "permit (principal, action == Action::\"docs:page:{action}\", resource) when {{ \
             resource has state && resource.state == \"public\" }};"
        ),
        // Fails where there is no state.
        4 | 14 | 15 => format!(
            "forbid (principal, action == Action::\"docs:page:{action}\", resource) when {{ \
             resource.state == \"x\" }};"
        ),
        5 => format!("forbid (principal == Membership::\"{one}/{who}\", action, resource);"),
        6 => format!(
            "permit (principal, action == Action::\"docs:page:{action}\", resource in \
             Organization::\"{one}\");"
        ),
        7 => format!(
            "forbid (principal, action in Action::\"role:docs/{first}\", resource) unless {{ context \
             has mfa && context.mfa }};"
        ),
        8 => "forbid (principal, action, resource == docs::page::\"p9\");".to_owned(),
        9 => format!(
            "permit (principal is Membership in Role::\"docs/{first}\", action in \
             Action::\"role:docs/{second}\", resource is docs::page);"
        ),
        10 => "forbid (principal, action, resource is docs::folder);".to_owned(),
        11 => format!("permit (principal == Membership::\"{one}/{who}\", action, resource);"),
        12 => format!(
            "permit (principal, action, resource is docs::page) when {{ principal in \
             Role::\"docs/{second}\" && principal has level && principal.level > 2 }};"
        ),
        13 => format!("forbid (principal in Organization::\"{one}\", action, resource);"),
        _ => format!("forbid (principal, action, resource in Organization::\"{one}\");"),
    }
}

fn remove(table: u16, id: u128) -> Op {
    Op::Delete {
        table,
        key: vec![Cell::Bytes(id.to_be_bytes().to_vec())],
    }
}

/// Rows beside those that every world has.
fn rows(random: &mut Random) -> Vec<Op> {
    let mut ops = vec![
        put_organization(3, "initech"),
        put_organization(4, "hooli"),
        put_permission(4, "docs", "folder", "read"),
        put_permission(5, "docs", "folder", "write"),
        put_role(3, "docs", "third"),
        put_role(4, "docs", "fourth"),
        put_role(5, "docs", "fifth"),
    ];
    for _ in 0..random.below(12) {
        ops.push(grant(random.id(5), random.id(5)));
    }
    for _ in 0..random.below(30) {
        ops.push(member(
            random.id(ORGANIZATIONS),
            random.id(USERS),
            random.id(5),
        ));
    }
    // Some of them of people who are no members.
    for _ in 0..random.below(12) {
        ops.push(further(
            random.id(ORGANIZATIONS),
            random.id(USERS),
            random.id(5),
        ));
    }
    for _ in 0..random.below(4) {
        let state = random.of(&["suspended", "deleted", "active"]);
        ops.push(user_state(random.id(USERS), state));
    }
    if random.below(3) == 0 {
        let retired = random.id(5);
        ops.extend((1..=5).map(|permission| ungrant(retired, permission)));
        ops.push(remove(3, role(retired).as_u128()));
    }
    if random.below(3) == 0 {
        ops.push(remove(1, organization(random.id(ORGANIZATIONS)).as_u128()));
    }
    ops
}

pub(super) fn world(seed: u64) -> World {
    let mut random = Random(seed);
    let files = (0..random.below(4))
        .map(|n| (format!("{n}.cedar"), policy(&mut random)))
        .collect();
    let mut world = World::with(Setup {
        custom: CustomPolicies::parse(
            files,
            Attributes::parse("attributes.toml", ATTRIBUTES).unwrap(),
        )
        .unwrap(),
        ..Setup::default()
    });
    world.apply(rows(&mut random));
    world
}

/// A question, with the situation's properties and context.
pub(super) fn asked(
    o: u128,
    u: u128,
    (kind, action): (&str, &str),
    situation: (&str, &str),
) -> Value {
    let mut body = question(&organization(o).to_string(), u, action);
    body["resource"]["type"] = json!(kind);
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    body["resource"]["properties"] = parse(situation.0);
    body["subject"]["properties"] = json!({"level": 3});
    for (name, value) in parse(situation.1).as_object().unwrap() {
        body["context"][name] = value.clone();
    }
    body
}

fn subjects_are_exact(world: &World, worker: &mut Worker, o: u128, kind: &str, seed: u64) {
    for action in ACTIONS {
        for situation in SITUATIONS {
            let body = asked(o, 1, (kind, action), situation);
            let mut found = whole(world, worker, Target::Subject, &body, 2).unwrap();
            let brute: Vec<Value> = (1..=u128::from(USERS))
                .filter(|u| world.allowed(worker, &asked(o, *u, (kind, action), situation)))
                .map(|u| json!({"type": "user", "id": user(u).to_string()}))
                .collect();
            assert_eq!(found, brute, "{seed}: {body}");
            // The size of pages changes nothing.
            found = whole(world, worker, Target::Subject, &body, 100).unwrap();
            assert_eq!(found, brute, "{seed}: {body}");
        }
    }
}

fn actions_are_exact(world: &World, worker: &mut Worker, o: u128, u: u128, kind: &str, seed: u64) {
    for situation in SITUATIONS {
        let body = asked(o, u, (kind, "ignored"), situation);
        let found = whole(world, worker, Target::Action, &body, 1).unwrap();
        let mut brute: Vec<&str> = ACTIONS
            .into_iter()
            .filter(|action| world.allowed(worker, &asked(o, u, (kind, action), situation)))
            .collect();
        brute.sort_unstable();
        let brute: Vec<Value> = brute.iter().map(|name| json!({"name": name})).collect();
        assert_eq!(found, brute, "{seed}: {body}");
    }
}

/// Resources of a type, and plans: what is said of an organization holds for each resource of it.
fn plans_hold(world: &World, worker: &mut Worker, u: u128, kind: &str, action: &str, seed: u64) {
    let mut body = asked(1, u, (kind, action), ("{}", "{}"));
    body["context"] = json!({});
    let plan = whole(world, worker, Target::Plan, &body, 2).unwrap();
    let said = |o: u128| {
        let id = json!(organization(o).to_string());
        let found = plan.iter().find(|found| found["organization"] == id);
        found.map(|found| found["decision"].as_str().unwrap())
    };
    for o in 1..=u128::from(ORGANIZATIONS) {
        for id in ["p1", "p9"] {
            for situation in SITUATIONS {
                let mut body = asked(o, u, (kind, action), situation);
                body["resource"]["id"] = json!(id);
                let allowed = world.allowed(worker, &body);
                match said(o) {
                    None => assert!(!allowed, "{seed}: {body}"),
                    Some("always") => assert!(allowed, "{seed}: {body}"),
                    Some(other) => assert_eq!(other, "conditional"),
                }
            }
        }
    }
    match whole(world, worker, Target::Resource, &body, 2) {
        Ok(found) => {
            let found: BTreeSet<&str> = found
                .iter()
                .map(|found| found["properties"]["organization"].as_str().unwrap())
                .collect();
            let always: BTreeSet<&str> = plan
                .iter()
                .map(|found| found["organization"].as_str().unwrap())
                .collect();
            assert!(plan.iter().all(|found| found["decision"] == "always"));
            assert_eq!(found, always, "{seed}: {body}");
        }
        Err(error) => assert_eq!(error, SearchError::PerResource),
    }
}

#[test]
fn searches_and_plans_equal_brute_force_on_random_worlds() {
    equal_brute_force_on(0..16);
}

#[test]
#[ignore = "takes minutes: more of the test above"]
fn searches_and_plans_equal_brute_force_on_more_random_worlds() {
    equal_brute_force_on(16..400);
}

fn equal_brute_force_on(seeds: std::ops::Range<u64>) {
    let (mut found, mut refused) = (0, 0);
    for seed in seeds {
        let world = world(seed);
        let mut worker = world.worker();
        for kind in ["docs:page", "docs:folder"] {
            for o in 1..=u128::from(ORGANIZATIONS) {
                subjects_are_exact(&world, &mut worker, o, kind, seed);
                let u = 1 + u128::from(seed) % u128::from(USERS);
                actions_are_exact(&world, &mut worker, o, u, kind, seed);
                let one = asked(o, 1, (kind, "read"), SITUATIONS[0]);
                let page = page(&world, &mut worker, Target::Subject, &one).unwrap();
                found += page["results"].as_array().unwrap().len();
            }
            for action in ACTIONS {
                for u in 1..=u128::from(USERS) {
                    plans_hold(&world, &mut worker, u, kind, action, seed);
                }
                let one = asked(1, 1, (kind, action), SITUATIONS[0]);
                refused += usize::from(page(&world, &mut worker, Target::Resource, &one).is_err());
            }
        }
    }
    // The worlds are neither empty nor all alike.
    assert!(found > 30, "{found}");
    assert!(refused > 5, "{refused}");
}
