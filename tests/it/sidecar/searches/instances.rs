//! Searches over registered instances against brute force: every instance put to the check.

use doorward::protocol::authzen::Target;
use doorward::sidecar::decide::Worker;
use serde_json::{Value, json};

use super::random::{ACTIONS, ORGANIZATIONS, Random, SITUATIONS, USERS, asked, world as any_world};
use super::{ids, page, whole};
use crate::sidecar::world::*;

/// One of them is forbidden by its id, in some worlds.
const IDS: [&str; 7] = ["p1", "p9", "ü/文", "a b", "10", "9", "z"];

/// Where each registered page belongs.
type Registered = Vec<(u128, &'static str)>;

fn world(seed: u64) -> (World, Registered) {
    let mut world = any_world(seed);
    let mut random = Random(seed ^ 0xABCD);
    let mut registered = Registered::new();
    let mut ops = Vec::new();
    for id in IDS {
        if random.below(6) == 0 {
            continue;
        }
        let o = random.id(ORGANIZATIONS);
        let attributes = match random.below(6) {
            0 => json!({"state": "public"}),
            1 => json!({"state": "archived"}),
            2 => json!({"state": "x", "other": [1, 2]}),
            3 => json!({"state": 5}),
            _ => json!({}),
        };
        ops.push(put_instance("page", id, o, &attributes));
        registered.push((o, id));
    }
    world.apply(ops);
    registered.sort_unstable();
    (world, registered)
}

/// A question about a page that names no organization.
fn about(id: &str, u: u128, action: &str, situation: (&str, &str)) -> Value {
    let mut body = asked(1, u, ("docs:page", action), situation);
    body["resource"]["id"] = json!(id);
    body["context"]
        .as_object_mut()
        .unwrap()
        .remove("organization");
    body
}

fn resources_are_exact(
    world: &World,
    worker: &mut Worker,
    registered: &Registered,
    u: u128,
    seed: u64,
) -> usize {
    let mut hits = 0;
    for action in ACTIONS {
        for situation in SITUATIONS {
            let body = about("ignored", u, action, situation);
            let brute: Vec<Value> = registered
                .iter()
                .filter(|(_, id)| world.allowed(worker, &about(id, u, action, situation)))
                .map(|(o, id)| {
                    let organization = organization(*o).to_string();
                    json!({"type": "docs:page", "id": id,
                           "properties": {"organization": organization}})
                })
                .collect();
            for limit in [1, 2, 100] {
                let found = whole(world, worker, Target::Resource, &body, limit).unwrap();
                assert_eq!(found, brute, "{seed}: {body}");
            }
            hits += brute.len();
            // Of one organization.
            for o in 1..=u128::from(ORGANIZATIONS) {
                let mut body = body.clone();
                let named = organization(o).to_string();
                body["context"]["organization"] = json!(named);
                let found = whole(world, worker, Target::Resource, &body, 2).unwrap();
                let there: Vec<Value> = brute
                    .iter()
                    .filter(|hit| hit["properties"]["organization"] == named)
                    .cloned()
                    .collect();
                assert_eq!(found, there, "{seed}: {body}");
            }
        }
    }
    hits
}

fn subjects_and_actions_are_exact(
    world: &World,
    worker: &mut Worker,
    registered: &Registered,
    seed: u64,
) {
    for (_, id) in registered {
        for situation in SITUATIONS {
            for action in ACTIONS {
                let body = about(id, 1, action, situation);
                let found = whole(world, worker, Target::Subject, &body, 2).unwrap();
                let brute: Vec<Value> = (1..=u128::from(USERS))
                    .filter(|u| world.allowed(worker, &about(id, *u, action, situation)))
                    .map(|u| json!({"type": "user", "id": user(u).to_string()}))
                    .collect();
                assert_eq!(found, brute, "{seed}: {body}");
            }
            let u = 1 + u128::from(seed) % u128::from(USERS);
            let body = about(id, u, "ignored", situation);
            let found = whole(world, worker, Target::Action, &body, 1).unwrap();
            let mut brute: Vec<&str> = ACTIONS
                .into_iter()
                .filter(|action| world.allowed(worker, &about(id, u, action, situation)))
                .collect();
            brute.sort_unstable();
            let brute: Vec<Value> = brute.iter().map(|name| json!({"name": name})).collect();
            assert_eq!(found, brute, "{seed}: {body}");
        }
    }
}

#[test]
fn searches_over_instances_equal_brute_force_on_random_worlds() {
    let mut hits = 0;
    for seed in 0..16 {
        let (world, registered) = world(seed);
        let mut worker = world.worker();
        for u in 1..=u128::from(USERS) {
            hits += resources_are_exact(&world, &mut worker, &registered, u, seed);
        }
        subjects_and_actions_are_exact(&world, &mut worker, &registered, seed);
    }
    assert!(hits > 100, "the worlds are empty: {hits}");
}

/// User 1 edits in `acme` and reads in `globex`.
fn read() -> Value {
    about("ignored", 1, "read", SITUATIONS[0])
}

#[test]
fn a_type_with_instances_is_found_by_them_and_another_by_its_organizations() {
    let mut world = World::new();
    let mut worker = world.worker();
    let found = |world: &World, worker: &mut Worker| {
        let found = whole(world, worker, Target::Resource, &read(), 10).unwrap();
        ids(&found).join(",")
    };
    assert_eq!(found(&world, &mut worker), "*,*");
    world.apply(vec![
        put_instance("page", "b", 2, &json!({})),
        put_instance("page", "a", 1, &json!({})),
        put_instance("page", "elsewhere", 3, &json!({})),
    ]);
    assert_eq!(found(&world, &mut worker), "a,b");
    world.apply(vec![
        remove_instance("page", "a"),
        remove_instance("page", "b"),
    ]);
    assert_eq!(found(&world, &mut worker), "");
    world.apply(vec![remove_instance("page", "elsewhere")]);
    assert_eq!(found(&world, &mut worker), "*,*");
}

#[test]
fn subjects_of_an_instance_elsewhere_are_nobody_and_it_is_said() {
    let mut world = World::new();
    world.apply(vec![put_instance("page", "p1", 2, &json!({}))]);
    let mut worker = world.worker();
    let found = page(
        &world,
        &mut worker,
        Target::Subject,
        &question("acme", 1, "read"),
    )
    .unwrap();
    assert_eq!(found["results"], json!([]));
    assert_eq!(found["context"]["reason"]["code"], "resource_elsewhere");
    let found = page(
        &world,
        &mut worker,
        Target::Subject,
        &question("globex", 1, "read"),
    )
    .unwrap();
    assert_eq!(
        ids(found["results"].as_array().unwrap()),
        [user(1).to_string()]
    );
}

#[test]
fn a_later_page_of_instances_loses_none_that_stayed_and_says_that_facts_moved() {
    let mut world = World::new();
    world.apply(
        (0..9)
            .map(|n| put_instance("page", &format!("p{n}"), 1 + n % 2, &json!({})))
            .collect(),
    );
    let mut worker = world.worker();
    let mut body = read();
    body["page"] = json!({"limit": 2});
    let mut found: Vec<String> = Vec::new();
    for turn in 0.. {
        let answer = page(&world, &mut worker, Target::Resource, &body).unwrap();
        let results = answer["results"].as_array().unwrap();
        found.extend(ids(results).iter().map(|id| (*id).to_owned()));
        if turn == 1 {
            // The one that the token names goes, and so does the organization's last.
            world.apply(vec![
                remove_instance("page", "p6"),
                remove_instance("page", "p8"),
            ]);
        }
        if turn > 1 {
            assert_eq!(answer["context"]["pages"]["moved"], true);
        }
        let token = answer["page"]["next_token"].as_str().unwrap();
        if token.is_empty() {
            break;
        }
        body["page"] = json!({"token": token});
    }
    assert_eq!(found, ["p0", "p2", "p4", "p6", "p1", "p3", "p5", "p7"]);
    // The last instance goes between two pages: the type is found by organizations from there on.
    let mut worker = world.worker();
    body["page"] = json!({"limit": 1});
    let first = page(&world, &mut worker, Target::Resource, &body).unwrap();
    let token = first["page"]["next_token"].clone();
    let rest = (0..9).map(|n| remove_instance("page", &format!("p{n}")));
    world.apply(rest.collect());
    body["page"] = json!({"token": token});
    let next = page(&world, &mut worker, Target::Resource, &body).unwrap();
    assert_eq!(ids(next["results"].as_array().unwrap()), ["*"]);
}

#[test]
fn many_instances_are_found_in_pages_of_bounded_work() {
    let mut world = World::new();
    let many = 2500;
    world.apply(
        (0..many)
            .map(|n| put_instance("page", &format!("{n:05}"), 1, &json!({})))
            .collect(),
    );
    let mut worker = world.worker();
    let found = whole(&world, &mut worker, Target::Resource, &read(), 1000).unwrap();
    assert_eq!(found.len(), many);
    assert!(
        found
            .windows(2)
            .all(|two| two[0]["id"].as_str() < two[1]["id"].as_str())
    );
}
