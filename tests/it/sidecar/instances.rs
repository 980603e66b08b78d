//! Decisions about registered instances.

use std::collections::BTreeMap;

use doorward::policy::{Attributes, CustomPolicies};
use doorward::sidecar::decide::Worker;
use doorward::sidecar::http::{Terms, evaluation};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::*;

/// Archived pages are not written, nor those of somebody else.
const POLICIES: &str = r#"
@id("archived")
forbid (principal, action == Action::"docs:page:write", resource)
when { resource has state && resource.state == "archived" };

@id("locked")
forbid (principal, action == Action::"docs:page:write", resource)
when { resource has locked && resource.locked };
"#;

const ATTRIBUTES: &str = "[resources.\"docs:page\"]\nstate = \"String\"\nlocked = \"Bool\"\n";

fn world() -> World {
    World::with(Setup {
        custom: CustomPolicies::parse(
            vec![("site.cedar".to_owned(), POLICIES.to_owned())],
            Attributes::parse("attributes.toml", ATTRIBUTES).unwrap(),
        )
        .unwrap(),
        ..Setup::default()
    })
}

/// "May user 1 do this to the page?", in an organization or in none that is named. User 1 edits in
/// `acme` and reads in `globex`.
fn page(id: &str, named: Option<&str>, action: &str) -> Value {
    let mut body = question("acme", 1, action);
    body["resource"]["id"] = json!(id);
    match named {
        Some(named) => body["context"]["organization"] = json!(named),
        None => body["context"] = json!({}),
    }
    body
}

fn reason(answer: &Value) -> &str {
    answer["context"]["reason"]["code"].as_str().unwrap_or("")
}

#[test]
fn a_request_that_names_another_organization_than_the_registered_one_is_denied() {
    let mut world = world();
    world.apply(vec![put_instance("page", "p1", 2, &json!({}))]);
    let mut worker = world.worker();
    for action in ["read", "write"] {
        let answer = world.ask(&mut worker, &page("p1", Some("acme"), action));
        assert_eq!(answer["decision"], false, "{answer}");
        assert_eq!(reason(&answer), "resource_elsewhere", "{answer}");
    }
    assert!(world.allowed(&mut worker, &page("p1", Some("globex"), "read")));
    let mut property = page("p1", None, "read");
    property["resource"]["properties"] = json!({"organization": "acme"});
    assert_eq!(
        reason(&world.ask(&mut worker, &property)),
        "resource_elsewhere"
    );
    // In a batch the item is denied and the others are not.
    let batch =
        json!({"evaluations": [page("p1", Some("acme"), "read"), page("p1", None, "read")]});
    let answers = world.ask_batch(&mut worker, &batch);
    assert_eq!(answers["evaluations"][0]["decision"], false);
    assert_eq!(answers["evaluations"][1]["decision"], true);
}

#[test]
fn a_request_that_names_no_organization_is_about_the_registered_one() {
    let mut world = world();
    world.apply(vec![
        put_instance("page", "p1", 1, &json!({})),
        put_instance("page", "p2", 2, &json!({})),
    ]);
    let mut worker = world.worker();
    assert!(world.allowed(&mut worker, &page("p1", None, "write")));
    assert!(!world.allowed(&mut worker, &page("p2", None, "write")));
    assert!(world.allowed(&mut worker, &page("p2", None, "read")));
    let unknown = world.ask(&mut worker, &page("p3", None, "read"));
    assert_eq!(reason(&unknown), "organization_missing");
}

#[test]
fn a_resource_that_is_not_registered_is_decided_by_the_organization_that_is_named() {
    let mut world = world();
    world.apply(vec![put_instance("page", "p1", 2, &json!({}))]);
    let mut worker = world.worker();
    assert!(world.allowed(&mut worker, &page("p2", Some("acme"), "write")));
    assert!(!world.allowed(&mut worker, &page("p2", Some("globex"), "write")));
    // Ids are compared byte by byte.
    world.apply(vec![put_instance("page", "\u{e9}", 2, &json!({}))]);
    assert!(!world.allowed(&mut worker, &page("\u{e9}", Some("acme"), "write")));
    assert!(world.allowed(&mut worker, &page("e\u{301}", Some("acme"), "write")));
}

#[test]
fn registered_attributes_win_over_those_that_a_request_sends() {
    let mut world = world();
    world.apply(vec![put_instance(
        "page",
        "p1",
        1,
        &json!({"state": "archived"}),
    )]);
    let mut worker = world.worker();
    let with = |id: &str, properties: Value| {
        let mut body = page(id, Some("acme"), "write");
        body["resource"]["properties"] = properties;
        body
    };
    assert!(!world.allowed(&mut worker, &with("p1", json!({"state": "draft"}))));
    assert!(!world.allowed(&mut worker, &with("p1", json!({}))));
    world.apply(vec![put_instance(
        "page",
        "p1",
        1,
        &json!({"state": "draft"}),
    )]);
    assert!(world.allowed(&mut worker, &with("p1", json!({"state": "archived"}))));
    // What is not registered the request may still say.
    assert!(!world.allowed(&mut worker, &with("p1", json!({"locked": true}))));
    assert!(!world.allowed(&mut worker, &with("p2", json!({"state": "archived"}))));
    // One of another type than declared denies, as one that is sent does.
    world.apply(vec![put_instance("page", "p1", 1, &json!({"state": 5}))]);
    assert!(!world.allowed(&mut worker, &with("p1", json!({"state": "draft"}))));
}

#[test]
fn a_type_without_instances_costs_no_read_and_an_instance_is_read_once() {
    let mut world = world();
    world.apply(vec![
        put_permission(4, "docs", "folder", "read"),
        grant(2, 4),
        put_instance("folder", "f1", 1, &json!({})),
    ]);
    let mut worker = world.worker();
    for id in ["p1", "p2", "p3"] {
        assert!(world.allowed(&mut worker, &page(id, Some("acme"), "read")));
    }
    // The member and the slug, once each.
    assert_eq!(worker.counts.sqlite_reads, 2);
    assert_eq!(worker.counts.instance_hits, 0);
    let folder = |id: &str| {
        let mut body = page(id, Some("acme"), "read");
        body["resource"]["type"] = json!("docs:folder");
        body
    };
    for _ in 0..3 {
        assert!(world.allowed(&mut worker, &folder("f1")));
        assert!(world.allowed(&mut worker, &folder("not registered")));
    }
    assert_eq!(worker.counts.sqlite_reads, 4);
    assert_eq!(worker.counts.instance_hits, 4);
    // A change of one instance: it alone is read again. Nobody else's facts are.
    world.apply(vec![put_instance("folder", "f1", 2, &json!({}))]);
    assert!(!world.allowed(&mut worker, &folder("f1")));
    assert_eq!(worker.counts.sqlite_reads, 5);
    // With the last instance the type is as if there had never been one.
    world.apply(vec![remove_instance("folder", "f1")]);
    assert!(world.allowed(&mut worker, &folder("f1")));
    assert_eq!(worker.counts.sqlite_reads, 5);
}

#[test]
fn rows_that_a_view_does_not_know_of_yet_are_not_mixed_with_it() {
    let mut world = world();
    world.apply(vec![put_instance("page", "p1", 1, &json!({}))]);
    let mut worker = world.worker();
    assert!(world.allowed(&mut worker, &page("p1", Some("acme"), "write")));
    // Committed, and not told yet: what was read before still goes with the view, ...
    let applied = world
        .commit(vec![
            put_instance("page", "p1", 2, &json!({})),
            put_instance("page", "p2", 2, &json!({})),
        ])
        .unwrap();
    assert!(world.allowed(&mut worker, &page("p1", Some("acme"), "write")));
    // ... and what is read now does not.
    let answer = world.ask(&mut worker, &page("p2", Some("acme"), "write"));
    assert_eq!(reason(&answer), "overtaken");
    world.state.apply(&applied).unwrap();
    for id in ["p1", "p2"] {
        let answer = world.ask(&mut worker, &page(id, Some("acme"), "write"));
        assert_eq!(reason(&answer), "resource_elsewhere");
    }
}

#[test]
fn a_member_who_is_newer_than_the_view_does_not_meet_an_instance_of_it() {
    let mut world = world();
    world.apply(vec![put_instance("page", "p1", 1, &json!({}))]);
    let mut worker = world.worker();
    // The instance is known, user 3 is nobody here.
    assert!(world.allowed(&mut worker, &page("p1", Some("acme"), "read")));
    world
        .commit(vec![put_instance("page", "p1", 2, &json!({}))])
        .unwrap();
    world.commit(vec![member(1, 3, 2)]).unwrap();
    let mut body = question("acme", 3, "read");
    body["resource"]["id"] = json!("p1");
    let answer = world.ask(&mut worker, &body);
    assert_eq!(answer["decision"], false, "{answer}");
    assert_eq!(reason(&answer), "overtaken");
}

#[test]
fn a_replaced_copy_brings_its_own_instances() {
    let mut world = world();
    world.apply(vec![put_instance("page", "p1", 2, &json!({}))]);
    let mut worker = world.worker();
    assert!(!world.allowed(&mut worker, &page("p1", Some("acme"), "write")));
    let path = world.folder.path().join("copy-2.db");
    let mut other = empty_copy(&path, epoch());
    commit(
        &mut other,
        vec![
            put_organization(1, "acme"),
            put_permission(2, "docs", "page", "write"),
            put_role(2, "docs", "editor"),
            grant(2, 2),
            member(1, 1, 2),
            put_instance("page", "p2", 2, &json!({})),
        ],
    );
    world.state.adopt(&path).unwrap();
    assert!(world.allowed(&mut worker, &page("p1", Some("acme"), "write")));
    assert!(!world.allowed(&mut worker, &page("p2", Some("acme"), "write")));
}

fn explained(world: &World, worker: &mut Worker, body: &Value) -> Value {
    let terms = Terms {
        explain: true,
        ..Terms::default()
    };
    let body = body.to_string();
    let answer = evaluation(&world.state, worker, &terms, body.as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    answer["context"]["explanation"].clone()
}

#[test]
fn an_explanation_tells_what_is_registered() {
    let mut world = world();
    world.apply(vec![put_instance(
        "page",
        "p1",
        1,
        &json!({"state": "archived"}),
    )]);
    let mut worker = world.worker();
    let told = explained(&world, &mut worker, &page("p1", None, "write"));
    assert_eq!(told["allowed"], false);
    assert_eq!(
        told["registered"],
        json!({"organization": organization(1).to_string(), "attributes": {"state": "archived"}})
    );
    let elsewhere = explained(&world, &mut worker, &page("p1", Some("globex"), "read"));
    assert_eq!(elsewhere["cause"]["kind"], "resource_elsewhere");
    let unknown = explained(&world, &mut worker, &page("p2", Some("acme"), "read"));
    assert!(unknown.get("registered").is_none());
}

/// What happens to one of three pages: registered in an organization with a state, or removed.
type Happening = (usize, Option<(u128, bool)>);

fn histories() -> impl Strategy<Value = Vec<Vec<Happening>>> {
    let change = (0..3_usize, prop::option::of((1..3_u128, any::<bool>())));
    prop::collection::vec(prop::collection::vec(change, 1..3), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decision_goes_by_the_instances_as_they_are_now(history in histories()) {
        let mut world = world();
        let mut workers = [world.worker(), world.worker()];
        let ids = ["p1", "ü/2", "p 3"];
        let mut now: BTreeMap<usize, (u128, bool)> = BTreeMap::new();
        for changes in history {
            let mut ops = Vec::new();
            for (which, to) in changes {
                if let Some((o, archived)) = to {
                    let state = if archived { "archived" } else { "draft" };
                    ops.push(put_instance("page", ids[which], o, &json!({"state": state})));
                    now.insert(which, (o, archived));
                } else {
                    ops.push(remove_instance("page", ids[which]));
                    now.remove(&which);
                }
            }
            world.apply(ops);
            for worker in &mut workers {
                for (which, id) in ids.iter().enumerate() {
                    for named in [None, Some(1_u128), Some(2)] {
                        let slug = named.map(|o| if o == 1 { "acme" } else { "globex" });
                        // User 1 writes in `acme` only.
                        let expected = match (now.get(&which), named) {
                            (None, None) => (false, "organization_missing"),
                            (Some((o, _)), Some(named)) if *o != named => (false, "resource_elsewhere"),
                            (Some((o, archived)), _) => (*o == 1 && !archived, ""),
                            (None, Some(named)) => (named == 1, ""),
                        };
                        let answer = world.ask(worker, &page(id, slug, "write"));
                        let found = (answer["decision"].as_bool().unwrap(), reason(&answer));
                        prop_assert_eq!(found, expected, "{} {:?}", id, named);
                    }
                }
            }
        }
    }
}
