//! When history does not go on as rows: resets, floors, epochs, other lines.

use std::time::Duration;

use doorward::domain::{Epoch, Revision};
use doorward::replication::supplier::SupplierConfig;
use doorward::store::{StoreError, Tx, feed, installation};
use uuid::Uuid;

use super::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_too_large_to_travel_as_rows_arrives_by_snapshot() {
    for engine in engines() {
        large_change(&engine).await;
    }
}

async fn large_change(engine: &Engine) {
    let authority = Authority::start_on(engine, 40, |_| {}).await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar.reach(head).await;
    let large = authority
        .change(|tx| {
            for number in 100..200 {
                put_user(tx, number)?;
                put_organization(tx, number)?;
                put_member(tx, number, number, 1)?;
            }
            Ok(())
        })
        .await;
    let told = sidecar.reach(large).await;
    assert_eq!(told.replaced, 2);
    let small = authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    let told = sidecar.reach(small).await;
    assert_eq!(told.replaced, 2, "and goes on by rows");
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_from_before_the_floor_takes_a_snapshot() {
    for engine in engines() {
        below_the_floor(&engine).await;
    }
}

async fn below_the_floor(engine: &Engine) {
    let authority = Authority::start_on(engine, 50_000, |_| {}).await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar.reach(head).await;
    sidecar.stop().await;
    let random = Random::new(5);
    for _ in 0..20 {
        random_change(&authority, &random).await;
    }
    let head = authority.head();
    authority
        .change(move |tx| feed::compact(tx, head.revision).map(|_| ()))
        .await;

    let mut sidecar = Sidecar::follow(authority.address, data.path());
    let told = sidecar.reach(head).await;
    assert_eq!(told.replaced, 2, "the old copy, then the snapshot");
    assert!(told.disconnected.iter().any(|why| why.contains("410")));
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_is_followed_without_a_snapshot() {
    let authority = Authority::start().await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar.reach(head).await;
    let epoch = Epoch::from_uuid(Uuid::from_u128(99));
    authority
        .change(move |tx| feed::open_epoch(tx, epoch).map(|_| ()))
        .await;
    let next = authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    assert_eq!(next.epoch, epoch);
    assert!(next.revision > Revision::new(1_000_000));
    let told = sidecar.reach(next).await;
    assert_eq!(told.replaced, 1);
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_from_before_a_new_epoch_resumes_into_it() {
    for engine in engines() {
        across_epochs(&engine).await;
    }
}

async fn across_epochs(engine: &Engine) {
    let authority = Authority::start_on(engine, 50_000, |_| {}).await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    sidecar.reach(head).await;
    sidecar.stop().await;
    authority.change(|tx| put_member(tx, 1, 2, 1)).await;
    for number in [7, 8] {
        let epoch = Epoch::from_uuid(Uuid::from_u128(number));
        authority
            .change(move |tx| feed::open_epoch(tx, epoch).map(|_| ()))
            .await;
        authority.change(|tx| put_member(tx, 1, 3, 1)).await;
    }
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    let told = sidecar.reach(authority.head()).await;
    assert_eq!(
        told.replaced, 1,
        "no snapshot: only the copy it started from"
    );
    sidecar.stop().await;
    authority.stop().await;
}

/// The failover rehearsal: by number alone the revocations of the other line would be skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_on_another_line_of_history_is_replaced_whole() {
    let authority = Authority::start().await;
    plant(&authority).await;
    authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    let data = crate::support::directory();
    let wire = Wire::to(
        authority.address,
        &doorward::runtime::tasks::Tasks::new(),
        vec![],
    )
    .await;
    let mut sidecar = Sidecar::follow(wire.address, data.path());
    sidecar.reach(authority.head()).await;

    // A second authority from a backup of now.
    let restored = crate::support::directory();
    let backup = restored.path().join("authority.db");
    rusqlite::Connection::open(authority.folder.path().join("authority.db"))
        .unwrap()
        .execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
        .unwrap();
    for user in 2..=5 {
        authority.change(move |tx| put_member(tx, 1, user, 1)).await;
    }
    sidecar.reach(authority.head()).await;
    let other = Authority::start_in(restored, 50_000, |_| {}).await;
    // Same numbers and more, other content: member 1 is removed there.
    for turn in 0..7 {
        other
            .change(move |tx| something(tx, if turn == 0 { 4 } else { 0 }, 1 + turn % 3, 1, 1))
            .await;
    }
    wire.lead_to(other.address);
    let told = sidecar.reach(other.head()).await;
    assert!(
        told.disconnected.iter().any(|why| why.contains("409")),
        "{told:?}"
    );
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, other.scan().await);
    authority.stop().await;
    other.stop().await;
}

/// Waits until a question about the store is answered with yes.
async fn until(
    authority: &Authority,
    f: impl Fn(&mut dyn Tx) -> Result<bool, StoreError> + Clone + Send + 'static,
) {
    let asking = async {
        loop {
            let f = f.clone();
            if authority.store.read(move |tx| f(tx)).await.unwrap() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_enough_is_forgotten_also_after_a_restart() {
    let short = |config: &mut SupplierConfig| {
        config.retain_revisions = 0;
        config.retain_age = Duration::from_hours(1);
    };
    let authority = Authority::start_with(50_000, short).await;
    let old = plant(&authority).await;
    until(&authority, |tx| Ok(feed::head(tx)?.floor == Revision::ZERO)).await;
    // The first sample may be older than what was planted: the one wanted is the next, and a 144th
    // of the hour away.
    authority.clock.advance(Duration::from_secs(30));
    until(&authority, move |tx| {
        Ok(installation::find(tx, "feed-ages")?
            .is_some_and(|samples| samples.ends_with(&old.revision.get().to_be_bytes())))
    })
    .await;
    let young = authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    assert!(young.revision > old.revision);
    // Another process on what the first one left.
    let folder = crate::support::directory();
    let left = folder.path().join("authority.db");
    rusqlite::Connection::open(authority.folder.path().join("authority.db"))
        .unwrap()
        .execute("VACUUM INTO ?1", [left.to_str().unwrap()])
        .unwrap();
    authority.stop().await;

    let authority = Authority::start_in(folder, 50_000, short).await;
    authority.clock.advance(Duration::from_hours(2));
    until(&authority, |tx| Ok(feed::head(tx)?.floor > Revision::ZERO)).await;
    let floor = authority.store.read(feed::head).await.unwrap().floor;
    assert_eq!(floor, old.revision, "the younger one is kept");
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_changed_past_the_feed_are_found_and_every_copy_is_mended() {
    let authority = Authority::start_with(50_000, |config| {
        config.audit_every = Duration::from_millis(50);
    })
    .await;
    let head = plant(&authority).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    let told = sidecar.reach(head).await;
    assert_eq!(told.replaced, 1);
    let store = rusqlite::Connection::open(authority.folder.path().join("authority.db")).unwrap();
    store.busy_timeout(PATIENCE).unwrap();
    let triggers: Vec<String> = store
        .prepare(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'organizations'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let drops = triggers
        .iter()
        .map(|name| format!("DROP TRIGGER {name};"))
        .collect::<Vec<_>>()
        .join(" ");
    store
        .execute_batch(&format!(
            "BEGIN; {drops} UPDATE organizations SET slug = 'unseen' WHERE slug LIKE '%-3'; COMMIT"
        ))
        .unwrap();
    drop(store);
    let told = sidecar.wait(|told| told.replaced == 2).await;
    assert!(told.position.unwrap().revision > head.revision);
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}
