//! Hand-written policies.

use doorward::policy::{Attributes, CustomPolicies};
use doorward::runtime::tasks::Tasks;
use doorward::sidecar::validate::Validating;
use serde_json::{Value, json};

use super::world::*;

fn world_with(policy: &str, attributes: &str) -> World {
    let attributes = if attributes.is_empty() {
        Attributes::default()
    } else {
        Attributes::parse("attributes.toml", attributes).unwrap()
    };
    World::with(Setup {
        custom: CustomPolicies::parse(
            vec![("site.cedar".to_owned(), policy.to_owned())],
            attributes,
        )
        .unwrap(),
        ..Setup::default()
    })
}

/// Archived pages are not written.
const ARCHIVED: &str = r#"
@id("archived")
forbid (principal, action == Action::"docs:page:write", resource)
when { resource has state && resource.state == "archived" };
"#;

const STATE: &str = "[resources.\"docs:page\"]\nstate = \"String\"\n";

fn page(id: &str, state: &str) -> Value {
    let mut body = question(&organization(1).to_string(), 1, "write");
    body["resource"]["id"] = json!(id);
    body["resource"]["properties"] = json!({"state": state});
    body
}

#[test]
fn a_hand_written_forbid_reads_the_resources_properties() {
    let world = world_with(ARCHIVED, STATE);
    let mut worker = world.worker();
    for _ in 0..2 {
        assert!(world.allowed(&mut worker, &page("p1", "draft")));
        assert!(!world.allowed(&mut worker, &page("p1", "archived")));
    }
    // Other actions are not touched by it: the memo answers.
    assert!(world.allowed(&mut worker, &question("acme", 1, "read")));
    assert_eq!(worker.counts.evaluations, 2);
}

#[test]
fn a_depends_answer_is_kept_under_the_whole_question_and_forgotten_on_any_change() {
    let mut world = world_with(ARCHIVED, STATE);
    let mut worker = world.worker();
    let (draft, other) = (page("p1", "draft"), page("p2", "draft"));
    world.ask(&mut worker, &draft);
    assert_eq!(worker.counts.evaluations, 1);
    world.ask(&mut worker, &draft);
    assert_eq!(
        (worker.counts.evaluations, worker.counts.depends_hits),
        (1, 1)
    );
    world.ask(&mut worker, &other);
    assert_eq!(worker.counts.evaluations, 2);
    // The user, the policies, the organizations.
    for (change, evaluations) in [
        (further(1, 1, 1), 3),
        (grant(1, 3), 4),
        (put_organization(9, "initech"), 5),
    ] {
        world.apply(vec![change]);
        world.ask(&mut worker, &draft);
        assert_eq!(worker.counts.evaluations, evaluations);
    }
    world.apply(vec![no_member(1, 1)]);
    assert!(!world.allowed(&mut worker, &draft));
}

#[test]
fn an_answer_that_reads_the_time_is_never_kept() {
    let world = world_with(
        r#"
        @id("closing-time")
        forbid (principal, action == Action::"docs:page:write", resource)
        when { context has now && context.now >= datetime("2026-09-22") };
        "#,
        "[context]\nnow = \"datetime\"\n",
    );
    let mut worker = world.worker();
    let body = question("acme", 1, "write");
    assert!(world.allowed(&mut worker, &body));
    world
        .clock
        .advance(std::time::Duration::from_hours(365 * 24));
    assert!(!world.allowed(&mut worker, &body));
    assert_eq!(
        (worker.counts.evaluations, worker.counts.depends_hits),
        (2, 0)
    );
}

#[test]
fn properties_that_cannot_be_read_are_refused_where_a_policy_reads_them() {
    use doorward::sidecar::http::{Terms, evaluation};
    let world = world_with(ARCHIVED, STATE);
    let mut worker = world.worker();
    let body = page("p1", "draft").to_string().replace(
        "\"state\":\"draft\"",
        "\"state\":\"draft\",\"state\":\"archived\"",
    );
    let refused = evaluation(
        &world.state,
        &mut worker,
        &Terms::default(),
        body.as_bytes(),
    );
    assert!(refused.unwrap_err().to_string().contains("stands twice"));
}

#[tokio::test]
async fn policies_that_facts_no_longer_bear_are_reported_and_serve_on() {
    let custom = CustomPolicies::parse(
        vec![("site.cedar".to_owned(), ARCHIVED.to_owned())],
        Attributes::parse("attributes.toml", STATE).unwrap(),
    )
    .unwrap();
    let mut world = World::with(Setup {
        custom: custom.clone(),
        ..Setup::default()
    });
    let tasks = Tasks::new();
    let validating = Validating::start(&world.state, custom, &tasks)
        .unwrap()
        .unwrap();
    let mut outcome = validating.outcome();
    validating.facts_changed();
    let first = outcome.wait_for(Option::is_some).await.unwrap().clone();
    assert_eq!(first.unwrap().problem, None);

    // The permission that the policy names is declared no more.
    let gone = world.apply(vec![ungrant(2, 2), remove_permission(2)]);
    validating.facts_changed();
    let later = outcome
        .wait_for(|found| {
            found
                .as_ref()
                .is_some_and(|found| found.revision == gone.position.revision)
        })
        .await
        .unwrap()
        .clone();
    let problem = later.unwrap().problem.unwrap();
    assert!(problem.contains("archived"), "{problem}");
    let mut worker = world.worker();
    assert!(world.allowed(&mut worker, &question("acme", 1, "read")));
    assert!(!world.allowed(&mut worker, &question("acme", 1, "write")));
    tasks.stop().request();
}
