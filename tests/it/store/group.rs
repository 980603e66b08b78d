//! Writes that wait for each other: SQLite commits them together, and nobody can tell.

use std::sync::mpsc;

use doorward::domain::OrganizationId;
use doorward::store::{Store, StoreError, Tx, Val};
use tokio::task::JoinSet;

use super::bench::{Bench, NOW, add_organization, on_both_engines};

on_both_engines! {
    writes_that_wait_together_end_each_as_if_it_were_alone,
    of_two_that_cannot_both_be_one_is_refused_and_the_others_stay,
    a_write_that_comes_as_the_last_one_ends_is_not_lost,
}

/// What happened to one write: whether it made a frame, why it failed, or that it panicked.
type Ended = Result<Result<bool, StoreError>, ()>;

/// Runs `work` for each number below `count` while another write is in the way, so that all of them
/// wait at the same time where there is one writer.
fn all_at_once(
    store: &Store,
    count: u128,
    work: impl Fn(&mut dyn Tx, u128) -> Result<(), StoreError> + Clone + Send + Sync + 'static,
) -> Vec<Ended> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let mut begun = Some(begun);
        let first_store = store.clone();
        let mut first = JoinSet::new();
        first.spawn(async move {
            let write = first_store.write::<_, StoreError>(move |_| {
                if let Some(begun) = begun.take() {
                    let _ = begun.send(());
                }
                let _ = goes_on.recv();
                Ok(())
            });
            write.await.unwrap();
        });
        begins.await.unwrap();
        let mut writes = JoinSet::new();
        for number in 0..count {
            let (store, work) = (store.clone(), work.clone());
            writes.spawn(async move {
                let write = store.write::<_, StoreError>(move |tx| work(tx, number));
                (number, write.await.map(|written| written.changed))
            });
        }
        // Each has queued up, or is about to: either order has to end the same.
        for _ in 0..count {
            tokio::task::yield_now().await;
        }
        drop(go_on);
        first.join_next().await.unwrap().unwrap();
        let mut ended: Vec<Ended> = (0..count).map(|_| Err(())).collect();
        while let Some(done) = writes.join_next().await {
            if let Ok((number, result)) = done {
                ended[usize::try_from(number).unwrap()] = Ok(result);
            }
        }
        ended
    })
}

fn named(number: u128) -> Val {
    OrganizationId::from_u128(number).into()
}

fn writes_that_wait_together_end_each_as_if_it_were_alone(bench: &Bench) {
    for round in 0..5_u128 {
        let base = round * 100;
        let ended = all_at_once(&bench.store, 30, move |tx, number| {
            let id = base + number + 1;
            match number % 6 {
                // Refused before it changed anything.
                0 => return Err(StoreError::Other("no".to_owned())),
                1 if number == 13 && round % 2 == 1 => {
                    add_organization(tx, id, &format!("s-{id}"))?;
                    panic!("in the middle of a write");
                }
                2 if number == 14 && round % 2 == 1 => {
                    add_organization(tx, id, &format!("s-{id}"))?;
                    // Nobody's membership: the foreign key refuses it.
                    tx.exec(
                        "INSERT INTO organization_member_roles (organization_id, user_id, role_id, created_at) \
                         VALUES (?1, ?1, ?1, ?2)",
                        &[named(id), NOW.into()],
                    )?;
                }
                // Refused after it changed something, in one round only: the others commit together.
                3 if round == 2 => {
                    add_organization(tx, id, &format!("s-{id}"))?;
                    return Err(StoreError::Other("after all, no".to_owned()));
                }
                4 => {
                    tx.rows("SELECT count(*) FROM organizations", &[])?;
                }
                _ => {
                    add_organization(tx, id, &format!("s-{id}"))?;
                }
            }
            Ok(())
        });
        for (number, ended) in (0_u128..).zip(ended) {
            let id = base + number + 1;
            let rows = bench.rows("SELECT 1 FROM organizations WHERE id = ?1", &[named(id)]);
            let there = !rows.is_empty();
            let expected: Ended = match number % 6 {
                0 => Ok(Err(StoreError::Other("no".to_owned()))),
                1 if number == 13 && round % 2 == 1 => Err(()),
                2 if number == 14 && round % 2 == 1 => Ok(Err(StoreError::ForeignKey)),
                3 if round == 2 => Ok(Err(StoreError::Other("after all, no".to_owned()))),
                4 => Ok(Ok(false)),
                _ => Ok(Ok(true)),
            };
            assert_eq!(there, expected == Ok(Ok(true)), "round {round}, {number}");
            assert_eq!(ended, expected, "round {round}, {number}");
        }
    }
    // Each that changed something has a frame of its own, in an unbroken chain.
    let made = bench.count("organizations");
    let head = bench.store.subscribe().borrow().revision;
    assert_eq!(i64::try_from(head.get()).unwrap(), made);
    bench.verify_history();
}

fn of_two_that_cannot_both_be_one_is_refused_and_the_others_stay(bench: &Bench) {
    let ended = all_at_once(&bench.store, 8, |tx, number| {
        let slug = if number < 2 {
            "same".to_owned()
        } else {
            format!("s-{number}")
        };
        add_organization(tx, number + 1, &slug).map(drop)
    });
    let refused = ended
        .iter()
        .filter(|ended| matches!(ended, Ok(Err(StoreError::Unique { .. }))))
        .count();
    let made = ended.iter().filter(|ended| **ended == Ok(Ok(true))).count();
    assert_eq!((refused, made), (1, 7));
    assert_eq!(bench.count("organizations"), 7);
    bench.verify_history();
}

fn a_write_that_comes_as_the_last_one_ends_is_not_lost(bench: &Bench) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut writers = JoinSet::new();
        for _ in 0..2 {
            let store = bench.store.clone();
            writers.spawn(async move {
                for _ in 0..10_000 {
                    store.write::<_, StoreError>(|_| Ok(())).await.unwrap();
                }
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
    });
}
