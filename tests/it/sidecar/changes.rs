//! Changes of policies while questions are asked, and changes that cannot be taken up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use doorward::domain::Revision;
use doorward::runtime::Clock;
use doorward::sidecar::decide::Worker;
use doorward::sidecar::http::{Terms, evaluation};
use serde_json::Value;

use super::world::*;

/// Editors lose "write" and user 2 becomes an editor, in one change: neither before nor after it
/// may user 2 write.
fn narrowed_and_widened() -> Vec<doorward::protocol::feed::Op> {
    vec![ungrant(2, 2), member(1, 2, 2)]
}

#[test]
fn members_of_a_change_are_never_put_to_the_policies_before_it() {
    let mut world = World::new();
    let mut worker = world.worker();
    let body = question(&organization(1).to_string(), 2, "write");
    let applied = world.commit(narrowed_and_widened()).unwrap();
    // The rows are there, the view is not: what follows is the moment between.
    let between = world.ask(&mut worker, &body);
    assert_eq!(between["decision"], false, "{between}");
    assert_eq!(between["context"]["reason"]["code"], "overtaken");
    world.state.apply(&applied).unwrap();
    let after = world.ask(&mut worker, &body);
    assert_eq!(after["decision"], false);
    assert_eq!(after["context"]["revision"], 2);
    assert!(after["context"]["reason"].is_null(), "{after}");
}

#[test]
fn a_whole_batch_is_asked_again_when_policies_change_under_it() {
    let mut world = World::new();
    let mut worker = world.worker();
    let name = organization(1).to_string();
    let batch = serde_json::json!({"evaluations": [
        question(&name, 1, "write"), question(&name, 2, "write"), question(&name, 3, "write"),
    ]});
    // User 1 is known from before: with the old policies that is a consistent answer.
    assert_eq!(
        world.ask_batch(&mut worker, &batch)["evaluations"][0]["decision"],
        true
    );
    worker.evict(&world.state, organization(1), user(2));
    let applied = world.commit(narrowed_and_widened()).unwrap();
    let between = world.ask_batch(&mut worker, &batch);
    assert_eq!(between["evaluations"][1]["decision"], false, "{between}");
    world.state.apply(&applied).unwrap();
    for item in world.ask_batch(&mut worker, &batch)["evaluations"]
        .as_array()
        .unwrap()
    {
        assert_eq!(item["decision"], false);
        assert_eq!(item["context"]["revision"], 2);
    }
}

#[test]
fn a_member_that_changes_without_policies_needs_no_newer_view() {
    let mut world = World::new();
    let mut worker = world.worker();
    let body = question(&organization(1).to_string(), 2, "write");
    let applied = world.commit(vec![member(1, 2, 2)]).unwrap();
    assert!(world.allowed(&mut worker, &body));
    world.state.apply(&applied).unwrap();
    assert!(world.allowed(&mut worker, &body));
}

#[test]
fn threads_that_ask_while_policies_change_never_see_a_mixture() {
    let mut world = World::new();
    let done = AtomicBool::new(false);
    let state = Arc::clone(&world.state);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut worker = Worker::new(&state);
                let body = question(&organization(1).to_string(), 2, "write").to_string();
                while !done.load(Ordering::SeqCst) {
                    worker.evict(&state, organization(1), user(2));
                    let answer =
                        evaluation(&state, &mut worker, &Terms::default(), body.as_bytes());
                    let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
                    assert_eq!(answer["decision"], false, "{answer}");
                }
            });
        }
        for _ in 0..100 {
            world.apply(narrowed_and_widened());
            world.apply(vec![grant(2, 2), member(1, 2, 1)]);
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_change_whose_policies_do_not_compile_is_not_committed() {
    let mut world = World::new();
    let mut worker = world.worker();
    let body = question("acme", 1, "write");
    // A second role of the same name: the authority's constraints rule it out.
    let refused = world.commit(vec![put_role(9, "docs", "editor"), no_member(1, 1)]);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("cannot be taken up")
    );
    assert_eq!(world.replica.position().revision, Revision::new(1));
    assert_eq!(world.ask(&mut worker, &body)["context"]["revision"], 1);
    // The head is ahead of what serves, so answers grow stale.
    world
        .state
        .hear(Revision::new(2), world.clock.since_boot())
        .unwrap();
    assert_eq!(world.state.staleness(), None);
    // What comes later is taken up.
    world.apply(vec![no_member(1, 1)]);
    assert!(!world.allowed(&mut worker, &body));
    assert_eq!(world.state.staleness(), Some(Duration::ZERO));
}

#[test]
fn a_copy_that_could_not_be_taken_up_is_tried_again_and_nothing_passes_for_it_until_then() {
    let world = World::new();
    let mut worker = world.worker();
    let body = question("acme", 1, "write");
    let path = world.folder.path().join("copy-2.db");
    // As when descriptors run out just then: the file cannot be opened.
    assert!(world.state.adopt(&path).is_err());
    assert!(
        world
            .state
            .hear(Revision::new(1), world.clock.since_boot())
            .is_err()
    );
    assert_eq!(world.state.staleness(), None);
    // The follower goes on with the new file, in which user 1 is no member any more.
    let mut other = empty_copy(&path, epoch());
    commit(
        &mut other,
        vec![
            put_organization(1, "acme"),
            put_permission(2, "docs", "page", "write"),
        ],
    );
    let applied = commit(&mut other, vec![put_role(2, "docs", "editor"), grant(2, 2)]);
    world.state.apply(&applied).unwrap();
    let answer = world.ask(&mut worker, &body);
    assert_eq!(
        (&answer["decision"], &answer["context"]["revision"]),
        (&false.into(), &2.into())
    );
    world
        .state
        .hear(Revision::new(2), world.clock.since_boot())
        .unwrap();
    assert_eq!(world.state.staleness(), Some(Duration::ZERO));
}

#[test]
fn a_copy_that_goes_back_in_history_is_of_unknown_age() {
    let mut world = World::new();
    let older = world.folder.path().join("copy-0.db");
    commit(
        &mut empty_copy(&older, epoch()),
        vec![put_organization(1, "acme")],
    );
    world.apply(vec![no_member(1, 1)]);
    world
        .state
        .hear(Revision::new(2), world.clock.since_boot())
        .unwrap();
    assert!(world.state.staleness().is_some());
    world.state.adopt(&older).unwrap();
    assert_eq!(world.state.staleness(), None);
}

#[tokio::test]
async fn only_so_many_requests_wait_for_a_revision() {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};
    let world = World::new();
    let token = doorward::domain::FreshnessToken {
        feed: doorward::domain::FeedName::Authz,
        epoch: epoch(),
        revision: Revision::new(99),
    };
    let reach = || Box::pin(world.state.reach(token, Duration::from_mins(10)));
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..1024).map(|_| reach()).collect();
    for one in &mut waiting {
        assert!(one.as_mut().poll(&mut context).is_pending());
    }
    let beyond = reach().as_mut().poll(&mut context);
    assert_eq!(
        beyond,
        Poll::Ready(Err(doorward::sidecar::why::Why::NotYetApplied))
    );
    waiting.pop();
    assert!(reach().as_mut().poll(&mut context).is_pending());
}
