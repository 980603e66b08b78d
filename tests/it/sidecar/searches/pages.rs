//! Pages, their tokens, and facts that change between them.

use doorward::policy::{Attributes, CustomPolicies};
use doorward::protocol::authzen::Target;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ids, page, whole};
use crate::sidecar::world::*;

/// A world in which users 10 to 10 + `people` read in `acme`.
fn crowd(people: u128) -> World {
    let mut world = World::new();
    world.apply((10..10 + people).map(|n| member(1, n, 1)).collect());
    world
}

fn readers() -> Value {
    question("acme", 1, "read")
}

fn with_page(page: &Value) -> Value {
    let mut body = readers();
    body["page"] = page.clone();
    body
}

#[test]
fn a_page_has_a_token_that_goes_on_and_the_last_one_has_none() {
    let world = crowd(3);
    let mut worker = world.worker();
    let first = page(
        &world,
        &mut worker,
        Target::Subject,
        &with_page(&json!({"limit": 2})),
    )
    .unwrap();
    assert_eq!(
        ids(first["results"].as_array().unwrap()),
        [user(1).to_string(), user(2).to_string()]
    );
    let token = first["page"]["next_token"].as_str().unwrap();
    // With the size again, and without.
    for next in [json!({"token": token, "limit": 2}), json!({"token": token})] {
        let second = page(&world, &mut worker, Target::Subject, &with_page(&next)).unwrap();
        assert_eq!(
            ids(second["results"].as_array().unwrap()),
            [user(10).to_string(), user(11).to_string()]
        );
        assert_eq!(
            second["context"]["pages"],
            json!({"first_revision": 2, "moved": false})
        );
    }
    let all = whole(&world, &mut worker, Target::Subject, &readers(), 2).unwrap();
    assert_eq!(all.len(), 5);
}

#[test]
fn the_page_stands_first_in_the_answer() {
    let world = World::new();
    let body = readers().to_string();
    let answer = doorward::sidecar::http::search(
        &world.state,
        &mut world.worker(),
        &doorward::sidecar::http::Terms::default(),
        Target::Subject,
        body.as_bytes(),
    )
    .unwrap();
    let text = String::from_utf8(answer).unwrap();
    assert!(
        text.starts_with(r#"{"page":{"next_token":"","count":2},"context":{"revision":1,"#),
        "{text}"
    );
}

#[test]
fn a_token_goes_on_with_its_own_search_and_size_only() {
    let world = crowd(3);
    let mut worker = world.worker();
    let first = page(
        &world,
        &mut worker,
        Target::Subject,
        &with_page(&json!({"limit": 2})),
    )
    .unwrap();
    let token = first["page"]["next_token"].clone();
    let mut changed: Vec<(Target, Value)> = vec![
        (Target::Resource, with_page(&json!({"token": token}))),
        (
            Target::Subject,
            with_page(&json!({"token": token, "limit": 3})),
        ),
    ];
    for (pointer, value) in [
        ("/action/name", json!("write")),
        ("/resource/id", json!("other")),
        ("/context/organization", json!("globex")),
        ("/context/later", json!(1)),
    ] {
        let mut body = with_page(&json!({"token": token}));
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        changed.push((Target::Subject, body));
    }
    for (target, body) in changed {
        let refused = page(&world, &mut worker, target, &body).unwrap_err();
        assert!(refused.to_string().contains("page"), "{body}: {refused}");
    }
    // The id of what is searched for is ignored, so it may change.
    let mut body = with_page(&json!({"token": token}));
    body["subject"]["id"] = json!("somebody else");
    assert!(page(&world, &mut worker, Target::Subject, &body).is_ok());
}

#[test]
fn a_later_page_says_that_the_facts_moved_and_loses_nobody_who_stayed() {
    let mut world = crowd(3);
    let mut worker = world.worker();
    let mut body = with_page(&json!({"limit": 2}));
    let first = page(&world, &mut worker, Target::Subject, &body).unwrap();
    assert!(first["context"].get("pages").is_none());
    world.apply(vec![no_member(1, 1), no_member(1, 11), member(1, 5, 1)]);
    body["page"] = json!({"token": first["page"]["next_token"]});
    let second = page(&world, &mut worker, Target::Subject, &body).unwrap();
    assert_eq!(
        second["context"]["pages"],
        json!({"first_revision": 2, "moved": true})
    );
    assert_eq!(second["context"]["revision"], 3);
    assert_eq!(
        ids(second["results"].as_array().unwrap()),
        [user(5).to_string(), user(10).to_string()]
    );
    // The token of the second page still tells of the first.
    body["page"] = json!({"token": second["page"]["next_token"]});
    let third = page(&world, &mut worker, Target::Subject, &body).unwrap();
    assert_eq!(third["context"]["pages"]["first_revision"], 2);
    assert_eq!(
        ids(third["results"].as_array().unwrap()),
        [user(12).to_string()]
    );
}

#[test]
fn a_page_of_another_epoch_says_that_the_facts_moved() {
    let mut world = crowd(3);
    let mut worker = world.worker();
    let mut body = with_page(&json!({"limit": 2}));
    let first = page(&world, &mut worker, Target::Subject, &body).unwrap();
    world.begin_epoch(doorward::domain::Epoch::from_uuid(Uuid::from_u128(0xE1)));
    body["page"] = json!({"token": first["page"]["next_token"]});
    let second = page(&world, &mut worker, Target::Subject, &body).unwrap();
    assert_eq!(second["context"]["pages"]["moved"], true);
}

#[test]
fn a_page_has_at_most_a_thousand_results_and_a_hundred_where_nothing_is_asked() {
    let world = crowd(1100);
    let mut worker = world.worker();
    for (asked, wanted) in [
        (json!({}), 100),
        (json!({"limit": 5000}), 1000),
        (json!({"limit": 7}), 7),
    ] {
        let found = page(&world, &mut worker, Target::Subject, &with_page(&asked)).unwrap();
        assert_eq!(found["results"].as_array().unwrap().len(), wanted);
        assert_ne!(found["page"]["next_token"], "");
    }
}

/// One of a thousand members passes the policy: pages end early, and nobody is lost.
#[test]
fn where_a_policy_lets_few_pass_a_page_ends_early_and_the_next_goes_on() {
    let last = user(2009);
    let policy = format!(
        "forbid (principal, action == Action::\"docs:page:read\", resource) unless {{ \
         principal.user == User::\"{last}\" }};"
    );
    let mut world = World::with(Setup {
        custom: CustomPolicies::parse(
            vec![("site.cedar".to_owned(), policy)],
            Attributes::default(),
        )
        .unwrap(),
        ..Setup::default()
    });
    world.apply((10..2010).map(|n| member(1, n, 1)).collect());
    let mut worker = world.worker();
    let first = page(&world, &mut worker, Target::Subject, &readers()).unwrap();
    assert_eq!(first["results"], json!([]));
    assert_ne!(first["page"]["next_token"], "");
    let all = whole(&world, &mut worker, Target::Subject, &readers(), 100).unwrap();
    assert_eq!(ids(&all), [last.to_string()]);
}

/// Members without the role cost nothing: the page reads by the role, in a few steps.
#[test]
fn a_page_reads_the_holders_of_the_role_and_not_all_members() {
    let mut world = World::new();
    world.apply((10..3010).map(|n| member(1, n, 1)).collect());
    world.apply(vec![further(1, 3009, 2)]);
    let mut worker = world.worker();
    let body = question("acme", 1, "write");
    let before = worker.counts.sqlite_reads;
    let found = page(&world, &mut worker, Target::Subject, &body).unwrap();
    // User 1 by the primary role, the last one by a further role: both on the first page.
    assert_eq!(
        ids(found["results"].as_array().unwrap()),
        [user(1).to_string(), user(3009).to_string()]
    );
    assert_eq!(found["page"]["next_token"], "");
    // The slug, and the page.
    assert_eq!(worker.counts.sqlite_reads - before, 2);
}
