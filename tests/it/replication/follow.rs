//! Copies follow: through cuts, restarts, overflows, and without the authority.

use std::time::Duration;

use super::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_copy_equals_the_authority_after_any_history_of_changes_cuts_and_restarts() {
    for seed in 0..4 {
        for engine in engines() {
            random_history(&engine, seed).await;
        }
    }
}

async fn random_history(engine: &Engine, seed: u64) {
    let random = Random::new(seed);
    let authority = Authority::start_on(engine, 50_000, |_| {}).await;
    plant(&authority).await;
    let budgets = (0..7)
        .map(|_| 300 + usize::try_from(random.below(6000)).unwrap())
        .collect();
    let wire = Wire::to(authority.address, &authority.tasks, budgets).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(wire.address, data.path());
    for _ in 0..60 {
        match random.below(12) {
            0 => wire.cut(),
            1 => {
                sidecar.stop().await;
                sidecar = Sidecar::follow(wire.address, data.path());
            }
            2 => {
                let head = authority.head();
                sidecar.reach(head).await;
            }
            _ => {
                random_change(&authority, &random).await;
            }
        }
    }
    let told = sidecar.reach(authority.head()).await;
    sidecar.stop().await;
    let (position, rows) = rows_of(&told.path.unwrap());
    assert_eq!(position, authority.head(), "seed {seed}, {engine:?}");
    assert_eq!(rows, authority.scan().await, "seed {seed}, {engine:?}");
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_commits_reaches_the_followers_of_another() {
    let Some(database) = engines().into_iter().nth(1) else {
        return;
    };
    let here = Authority::start_on(&database, 50_000, |_| {}).await;
    // Its tailer hears of the change from the database alone: no heartbeat falls into the test.
    let there = Authority::start_on(&database, 50_000, |config| {
        config.heartbeat = Duration::from_hours(1);
    })
    .await;
    plant(&here).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow_with(there.address, data.path(), |config| {
        config.silence = Duration::from_mins(10);
    });
    sidecar.reach(here.head()).await;
    let random = Random::new(12);
    for _ in 0..20 {
        let next = random_change(&here, &random).await;
        let told = sidecar.reach(next).await;
        assert_eq!(told.replaced, 1, "by rows");
        assert!(told.disconnected.is_empty(), "on one connection");
    }
    // And both at once.
    let (one, other) = (Random::new(13), Random::new(14));
    for _ in 0..20 {
        tokio::join!(racing_change(&here, &one), racing_change(&there, &other));
    }
    let head = there.change(|tx| put_member(tx, 1, 1, 1)).await;
    let told = sidecar.reach(head).await;
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, here.scan().await);
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_overflows_the_live_channel_reads_the_outbox_and_misses_nothing() {
    let authority = Authority::start_with(50_000, |config| {
        config.live_messages = 1;
        config.batch_frames = 2;
    })
    .await;
    plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar.reach(authority.head()).await;
    let random = Random::new(9);
    for _ in 0..200 {
        random_change(&authority, &random).await;
    }
    let told = sidecar.reach(authority.head()).await;
    assert_eq!(told.replaced, 1, "only the first snapshot");
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_the_copy_has_makes_it_fresh_and_is_reported_back() {
    let authority = Authority::start().await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar
        .wait(|told| told.fresh.last() == Some(&head.revision))
        .await;
    let next = authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    sidecar
        .wait(|told| told.fresh.last() == Some(&next.revision))
        .await;
    let told = sidecar.reach(next).await;
    assert!(
        told.fresh.is_sorted(),
        "freshness never speaks of an older head"
    );
    // The report follows the commit; the fleet shows it soon after.
    let reported = async {
        loop {
            let follower = authority.supplier.fleet().find("sidecar");
            if follower.and_then(|follower| follower.revision) == Some(next.revision.get()) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), reported)
        .await
        .unwrap();
    sidecar.stop().await;
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_starts_from_its_copy_without_the_authority() {
    let authority = Authority::start().await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar.reach(head).await;
    sidecar.stop().await;
    let address = authority.address;
    authority.stop().await;

    let mut sidecar = Sidecar::follow(address, data.path());
    assert_eq!(
        sidecar.told.borrow().position,
        Some(head),
        "known when the constructor returns"
    );
    let told = sidecar.wait(|told| !told.disconnected.is_empty()).await;
    assert_eq!(told.position, Some(head), "and kept while trying");
    assert!(told.fresh.is_empty(), "but never called fresh");
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_copy_is_thrown_away_and_fetched_again() {
    let authority = Authority::start().await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    let told = sidecar.reach(head).await;
    sidecar.stop().await;
    let path = told.path.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(b"organization-3") {
            bytes[at + 13] = b'9';
        }
    }
    std::fs::write(&path, bytes).unwrap();

    let mut sidecar = Sidecar::follow(authority.address, data.path());
    assert_eq!(sidecar.told.borrow().position, None, "it was not served");
    let told = sidecar.reach(head).await;
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_sidecar_is_told_goodbye_and_gets_no_more() {
    let authority = Authority::start().await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar
        .wait(|told| told.fresh.last() == Some(&head.revision))
        .await;
    authority
        .allowed
        .store(false, std::sync::atomic::Ordering::SeqCst);
    let told = sidecar
        .wait(|told| told.disconnected.iter().any(|why| why.contains("Revoked")))
        .await;
    assert_eq!(told.position, Some(head));
    sidecar.stop().await;
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_credential_expires_and_the_follower_comes_back() {
    let authority = Authority::start().await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar
        .wait(|told| told.fresh.last() == Some(&head.revision))
        .await;
    authority.clock.advance(Duration::from_mins(11));
    sidecar
        .wait(|told| told.disconnected.iter().any(|why| why.contains("Expired")))
        .await;
    let next = authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    let told = sidecar.reach(next).await;
    assert_eq!(told.replaced, 1, "without a snapshot");
    sidecar.stop().await;
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_no_longer_holds_is_found_while_it_serves_and_replaced() {
    let authority = Authority::start().await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow_with(authority.address, data.path(), |config| {
        config.scrub_every = Duration::ZERO;
    });
    let told = sidecar
        .wait(|told| told.fresh.last() == Some(&head.revision))
        .await;
    assert_eq!(told.replaced, 1, "one that holds stays");
    let damaged = told.path.unwrap();
    let connection = rusqlite::Connection::open(&damaged).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection
        .execute(
            "UPDATE organizations SET slug = 'forged' WHERE slug LIKE '%-3'",
            [],
        )
        .unwrap();
    drop(connection);
    let told = sidecar.wait(|told| told.replaced == 2).await;
    assert!(told.disconnected.iter().any(|why| why.contains("add up")));
    let mended = told.path.unwrap();
    assert_ne!(mended, damaged);
    let next = authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    sidecar.reach(next).await;
    sidecar.stop().await;
    assert!(!damaged.exists());
    assert_eq!(rows_of(&mended).1, authority.scan().await);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_age_is_asked_to_come_back_and_misses_nothing() {
    let authority = Authority::start_with(50_000, |config| {
        config.connection_age = Duration::from_millis(100);
    })
    .await;
    plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    for turn in 1..=3 {
        let aged = |told: &Told| {
            let aged = told.disconnected.iter().filter(|why| why.contains("Age"));
            aged.count() >= turn
        };
        sidecar.wait(aged).await;
        authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    }
    let told = sidecar.reach(authority.head()).await;
    assert_eq!(told.replaced, 1);
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}
