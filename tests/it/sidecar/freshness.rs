//! Revision, staleness, and what a caller may ask of them.

use std::sync::Arc;
use std::time::Duration;

use doorward::domain::{Epoch, FeedName, FreshnessToken, Revision};
use doorward::protocol::feed::EPOCH_JUMP;
use doorward::runtime::Clock;
use doorward::sidecar::why::Why;
use uuid::Uuid;

use super::world::*;

fn token(epoch: Epoch, revision: u64) -> FreshnessToken {
    FreshnessToken {
        feed: FeedName::Authz,
        epoch,
        revision: Revision::new(revision),
    }
}

fn header(token: &FreshnessToken) -> String {
    format!("doorward-at-least: {token}\r\n")
}

#[tokio::test]
async fn staleness_is_unknown_at_first_and_counts_from_the_last_verified_head() {
    let running = Running::start().await;
    let body = question("acme", 1, "write").to_string();
    let staleness = async || {
        let reply = running.post("/access/v1/evaluation", &body).await;
        reply.json()["context"]["staleness_ms"].clone()
    };
    assert!(staleness().await.is_null());
    let now = running.clock.since_boot();
    running.sidecar.state().hear(Revision::new(1), now).unwrap();
    assert_eq!(staleness().await, 0);
    running.clock.advance(Duration::from_millis(2500));
    assert_eq!(staleness().await, 2500);
}

#[tokio::test]
async fn a_maximum_staleness_denies_what_is_staler_or_of_unknown_age() {
    let running = Running::start().await;
    let body = question("acme", 1, "write").to_string();
    let ask = async |headers: &str| {
        let reply = running
            .post_with("/access/v1/evaluation", headers, &body)
            .await;
        assert_eq!(reply.status, 200);
        let answer = reply.json();
        (
            answer["decision"].as_bool().unwrap(),
            answer["context"]["reason"]["code"]
                .as_str()
                .map(str::to_owned),
        )
    };
    let at_most = "doorward-max-staleness: 2s\r\n";
    assert_eq!(ask(at_most).await, (false, Some("stale".to_owned())));
    assert_eq!(ask("").await, (true, None));
    let now = running.clock.since_boot();
    running.sidecar.state().hear(Revision::new(1), now).unwrap();
    assert_eq!(ask(at_most).await, (true, None));
    running.clock.advance(Duration::from_secs(3));
    assert_eq!(ask(at_most).await, (false, Some("stale".to_owned())));
    assert_eq!(ask("").await, (true, None));
    let reply = running
        .post_with(
            "/access/v1/evaluation",
            "doorward-max-staleness: soon\r\n",
            &body,
        )
        .await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn a_listener_may_deny_beyond_a_staleness_of_its_own() {
    let running = Running::with(|config| {
        config.listeners[0].deny_beyond = Some(Duration::from_mins(10));
    })
    .await;
    let body = question("acme", 1, "write").to_string();
    let tcp = running.post("/access/v1/evaluation", &body).await.json();
    assert_eq!(tcp["context"]["reason"]["code"], "stale");
    let unix = running
        .raw_unix(&post("/access/v1/evaluation", "", &body))
        .await
        .json();
    assert_eq!(unix["decision"], true);
}

#[tokio::test]
async fn at_least_a_revision_that_is_there_is_answered() {
    let running = Running::start().await;
    let body = question("acme", 1, "write").to_string();
    let reply = running
        .post_with("/access/v1/evaluation", &header(&token(epoch(), 1)), &body)
        .await;
    assert_eq!(reply.json()["decision"], true);
    let check = running
        .get(&format!(
            "/v1/check?user={}&organization=acme&permission=docs:page:write&at_least={}",
            user(1),
            token(epoch(), 1)
        ))
        .await;
    assert_eq!(check.json()["decision"], true);
}

#[tokio::test]
async fn at_least_a_later_revision_waits_for_it_and_answers_from_it() {
    let mut running = Running::start().await;
    let body = question("acme", 2, "write").to_string();
    let address = running.sidecar.bound()[0].tcp().unwrap();
    let request = post("/access/v1/evaluation", &header(&token(epoch(), 2)), &body);
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited below, in this very test"
    )]
    let asked = tokio::task::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    // Whether the question or the change comes first, the answer knows of the change.
    tokio::task::yield_now().await;
    running.apply(vec![member(1, 2, 2)]);
    let answer = asked.await.unwrap();
    assert!(answer.contains(r#""decision":true"#), "{answer}");
    assert!(answer.contains(r#""revision":2"#), "{answer}");
}

#[tokio::test]
async fn a_revision_that_does_not_come_is_denied_after_the_wait_and_said() {
    let running = Running::with(|config| config.at_least_wait = Duration::ZERO).await;
    let body = question("acme", 1, "write").to_string();
    let reply = running
        .post_with("/access/v1/evaluation", &header(&token(epoch(), 99)), &body)
        .await;
    assert_eq!(reply.json()["decision"], false);
    assert_eq!(reply.json()["context"]["reason"]["code"], "not_yet_applied");
}

#[tokio::test]
async fn a_write_of_an_earlier_epoch_is_known_up_to_its_end_and_lost_beyond() {
    let mut world = World::new();
    let begun = [1, 2].map(|n| Epoch::from_uuid(Uuid::from_u128(n)));
    let first = world.begin_epoch(begun[0]).revision.get();
    world.apply(vec![member(1, 3, 2)]);
    let second = world.begin_epoch(begun[1]).revision.get();
    let never = Epoch::from_uuid(Uuid::from_u128(0xBAD));
    let cases = [
        (token(epoch(), 1), Ok(())),
        (token(epoch(), 2), Err(Why::UnknownEpoch)),
        (token(begun[0], first), Ok(())),
        (token(begun[0], first + 1), Ok(())),
        (token(begun[0], first + 2), Err(Why::UnknownEpoch)),
        (token(begun[1], second), Ok(())),
        (token(begun[1], second + 1), Err(Why::NotYetApplied)),
        (token(never, 1), Err(Why::UnknownEpoch)),
    ];
    // As it is told of, and as it is read from the file.
    for _ in 0..2 {
        for (token, expected) in cases {
            let found = world.state.reach(token, Duration::ZERO).await;
            assert_eq!(found, expected, "{token}");
        }
        world.state.adopt(world.replica.path()).unwrap();
    }
}

#[tokio::test]
async fn a_token_of_an_epoch_that_is_just_beginning_is_waited_for() {
    let mut world = World::new();
    let begins = Epoch::from_uuid(Uuid::from_u128(1));
    let state = Arc::clone(&world.state);
    let asked = token(begins, 1 + EPOCH_JUMP);
    let begin = async {
        tokio::task::yield_now().await;
        world.begin_epoch(begins);
    };
    let (reached, ()) = tokio::join!(state.reach(asked, Duration::from_mins(1)), begin);
    assert_eq!(reached, Ok(()));
}

#[tokio::test]
async fn a_token_of_another_history_is_denied_and_said() {
    let running = Running::with(|config| config.at_least_wait = Duration::ZERO).await;
    let body = question("acme", 1, "write").to_string();
    let other = token(Epoch::from_uuid(Uuid::from_u128(0xBAD)), 1);
    let reply = running
        .post_with("/access/v1/evaluation", &header(&other), &body)
        .await;
    assert_eq!(reply.json()["decision"], false);
    assert_eq!(reply.json()["context"]["reason"]["code"], "unknown_epoch");
    let reply = running
        .post_with(
            "/access/v1/evaluation",
            "doorward-at-least: nonsense\r\n",
            &body,
        )
        .await;
    assert_eq!(reply.status, 400);
}
