//! Writers side by side.

use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use doorward::domain::{OrganizationId, Revision, SessionId, Timestamp, TokenDigest, UserId};
use doorward::store::{Lock, StoreError, Val};

use super::bench::{Bench, add_member, add_organization, add_role, add_user, on_both_engines};

on_both_engines! {
    eight_threads_of_writes_give_each_revision_exactly_once,
    a_lock_keeps_an_invariant_over_several_rows,
    a_session_is_not_deleted_before_what_is_made_for_it_can_be_seen,
    writers_that_lock_in_opposite_order_both_succeed,
    manual_sql_between_writers_is_sealed_once,
}

fn eight_threads_of_writes_give_each_revision_exactly_once(bench: &Bench) {
    let mut revisions: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u128)
            .map(|thread| {
                scope.spawn(move || {
                    (0..25_u128)
                        .map(|number| {
                            let written = bench.put(|tx| {
                                add_organization(
                                    tx,
                                    thread * 1000 + number,
                                    &format!("s-{thread}-{number}"),
                                )
                            });
                            assert!(written.changed);
                            written.position.revision.get()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=200).collect::<Vec<_>>());
    assert_eq!(
        bench.store.subscribe().borrow().revision,
        Revision::new(200)
    );
    bench.verify_history();
}

fn leave(bench: &Bench, user: u128) -> Result<(), StoreError> {
    let organization = OrganizationId::from_u128(1);
    bench
        .write(|tx| {
            tx.lock(Lock::Organization(organization))?;
            let left = tx.rows("SELECT count(*) FROM organization_members", &[])?;
            if left[0].int(0)? == 1 {
                return Err(StoreError::Other("the last one stays".to_owned()));
            }
            tx.exec(
                "DELETE FROM organization_members WHERE user_id = ?1",
                &[Val::Uuid(uuid::Uuid::from_u128(user))],
            )
        })
        .map(drop)
}

fn a_lock_keeps_an_invariant_over_several_rows(bench: &Bench) {
    for round in 0..10 {
        bench.put(|tx| {
            tx.exec("DELETE FROM organizations", &[])?;
            tx.exec("DELETE FROM users", &[])?;
            tx.exec("DELETE FROM roles", &[])?;
            add_organization(tx, 1, "acme")?;
            add_role(tx, 3, "owner")?;
            for user in [5, 6] {
                add_user(tx, user)?;
                add_member(tx, 1, user, 3)?;
            }
            Ok(())
        });
        let start = Barrier::new(2);
        let left = std::thread::scope(|scope| {
            [5, 6]
                .map(|user| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        leave(bench, user)
                    })
                })
                .map(|thread| thread.join().unwrap().is_ok())
        });
        assert_ne!(left[0], left[1], "round {round}");
        assert_eq!(bench.count("organization_members"), 1);
    }
}

/// One makes an organization for a session it has locked; the other deletes the session and then all
/// organizations it sees. The one who makes gives the other time to overtake.
fn a_session_is_not_deleted_before_what_is_made_for_it_can_be_seen(bench: &Bench) {
    let session = SessionId::from_u128(7);
    bench.put(|tx| {
        add_user(tx, 5)?;
        tx.exec(
            "INSERT INTO sessions (id, user_id, token_hash, expires_at, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            &[
                session.into(),
                UserId::from_u128(5).into(),
                TokenDigest::from_bytes([7; 32]).into(),
                Timestamp::from_unix_seconds(10).into(),
                Timestamp::from_unix_seconds(1).into(),
            ],
        )
        .map(drop)
    });
    let (locked, lock_seen) = mpsc::channel();
    let (deleted, deletion_seen) = mpsc::channel();
    let deletion_seen = Mutex::new(deletion_seen);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            bench.put(|tx| {
                tx.lock(Lock::Session(session))?;
                let alive = tx.rows("SELECT 1 FROM sessions WHERE id = ?1", &[session.into()])?;
                let _ = locked.send(());
                let _ = deletion_seen
                    .lock()
                    .unwrap()
                    .recv_timeout(Duration::from_millis(200));
                if alive.is_empty() {
                    return Ok(());
                }
                add_organization(tx, 1, "made").map(drop)
            })
        });
        scope.spawn(move || {
            lock_seen.recv().unwrap();
            bench.put(|tx| {
                tx.exec("DELETE FROM sessions WHERE id = ?1", &[session.into()])?;
                tx.exec("DELETE FROM organizations", &[]).map(drop)
            });
            let _ = deleted.send(());
        });
    });
    assert_eq!(bench.count("organizations"), 0);
}

fn writers_that_lock_in_opposite_order_both_succeed(bench: &Bench) {
    bench.put(|tx| {
        add_organization(tx, 1, "one")?;
        add_organization(tx, 2, "two")
    });
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        for (order, slug) in [([1, 2], "a"), ([2, 1], "b")] {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for round in 0..10 {
                    bench.put(|tx| {
                        for id in order {
                            tx.exec(
                                "UPDATE organizations SET slug = ?1 WHERE id = ?2",
                                &[
                                    format!("{slug}-{round}-{id}").into(),
                                    OrganizationId::from_u128(id).into(),
                                ],
                            )?;
                        }
                        Ok(())
                    });
                }
            });
        }
    });
    assert_eq!(bench.head().position.revision, Revision::new(21));
    bench.verify_history();
}

fn manual_sql_between_writers_is_sealed_once(bench: &Bench) {
    let bench = Arc::new(bench);
    bench.put(|tx| add_organization(tx, 1, "one"));
    std::thread::scope(|scope| {
        for thread in 0..4_u128 {
            let bench = &bench;
            scope.spawn(move || {
                for number in 0..10_u128 {
                    if thread == 0 {
                        bench
                            .manual(&format!("UPDATE organizations SET slug = 'm-{number}' WHERE slug IN ('one', 'm-{}')", number.wrapping_sub(1)))
                            .unwrap();
                    } else {
                        bench.put(|tx| {
                            add_organization(tx, thread * 100 + number, &format!("s-{thread}-{number}"))
                        });
                    }
                }
            });
        }
    });
    bench.put(|tx| tx.rows("SELECT 1", &[]));
    bench.verify_history();
    super::histories::copy_equals_store(&bench);
}
