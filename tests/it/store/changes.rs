//! What becomes a frame of the feed, and what does not.

use doorward::domain::{OrganizationId, PermissionId, Revision, RoleId, Timestamp, UserId};
use doorward::protocol::feed::{Cell, Frame, Op};
use doorward::store::replicated::REPLICATED;
use doorward::store::{StoreError, StoreLimits, feed};

use super::bench::{
    Bench, NOW, add_member, add_organization, add_permission, add_role, add_user, on_both_engines,
};

on_both_engines! {
    a_change_of_a_replicated_row_makes_one_frame_and_one_revision,
    a_change_of_other_rows_makes_no_frame,
    an_update_that_changes_nothing_makes_no_frame,
    an_update_of_columns_that_do_not_travel_makes_no_frame,
    an_upsert_makes_a_frame_only_when_it_changes_something,
    a_row_written_twice_travels_once_with_its_last_values,
    a_row_put_and_deleted_in_one_transaction_travels_as_a_delete,
    a_cascade_travels_row_by_row,
    a_delete_without_where_travels,
    a_change_of_a_key_travels_as_delete_and_put,
    text_keys_and_times_travel,
    a_failed_write_leaves_no_gap,
    leftovers_of_manual_sql_are_sealed_by_the_next_write,
    a_subscriber_sees_each_head,
    a_scan_gives_the_rows_as_frames_carry_them,
    a_scan_gives_every_row_once_however_many_there_are,
    frames_come_in_pages_by_count_and_by_bytes,
    compaction_raises_the_floor_and_keeps_what_proves_it,
    a_new_epoch_jumps_and_the_chain_runs_on,
    signing_times_never_go_back,
}

fn table(name: &str) -> u16 {
    REPLICATED
        .iter()
        .find(|table| table.name == name)
        .unwrap()
        .id
}

fn id(id: u128) -> Cell {
    Cell::Bytes(id.to_be_bytes().to_vec())
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn put(name: &str, cells: impl Into<Vec<Cell>>) -> Op {
    Op::Put {
        table: table(name),
        cells: cells.into(),
    }
}

fn delete(name: &str, key: impl Into<Vec<Cell>>) -> Op {
    Op::Delete {
        table: table(name),
        key: key.into(),
    }
}

fn a_change_of_a_replicated_row_makes_one_frame_and_one_revision(bench: &Bench) {
    let written = bench.put(|tx| {
        add_organization(tx, 2, "two")?;
        add_organization(tx, 1, "one")
    });
    assert!(written.changed);
    assert_eq!(written.position.revision, Revision::new(1));
    assert_eq!(written.position, bench.head().position);
    assert_eq!(
        bench.last_ops(),
        [
            put("organizations", [id(1), text("one")]),
            put("organizations", [id(2), text("two")]),
        ]
    );
    bench.verify_history();
}

fn a_change_of_other_rows_makes_no_frame(bench: &Bench) {
    let before = bench.head();
    let written = bench.put(|tx| add_user(tx, 1));
    assert!(!written.changed);
    assert_eq!(written.position, before.position);
    assert_eq!(bench.head(), before);
}

fn an_update_that_changes_nothing_makes_no_frame(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "acme"));
    let written = bench.put(|tx| tx.exec("UPDATE organizations SET slug = slug, id = id", &[]));
    assert_eq!(written.value, 1);
    assert!(!written.changed);
    assert_eq!(bench.head().position.revision, Revision::new(1));
}

fn an_update_of_columns_that_do_not_travel_makes_no_frame(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "acme"));
    let written = bench.put(|tx| tx.exec("UPDATE organizations SET name = 'Acme Ltd'", &[]));
    assert!(!written.changed);
}

fn an_upsert_makes_a_frame_only_when_it_changes_something(bench: &Bench) {
    let suspend = |state: &'static str| {
        bench.put(move |tx| {
            tx.exec(
                "INSERT INTO user_states (user_id, state, token_epoch) VALUES (?1, ?2, 1)
                 ON CONFLICT (user_id) DO UPDATE SET state = excluded.state",
                &[UserId::from_u128(9).into(), state.into()],
            )
        })
    };
    assert!(suspend("suspended").changed);
    assert!(!suspend("suspended").changed);
    assert!(suspend("active").changed);
    assert_eq!(
        bench.last_ops(),
        [put("user_states", [id(9), text("active"), Cell::Int(1)])]
    );
}

fn a_row_written_twice_travels_once_with_its_last_values(bench: &Bench) {
    bench.put(|tx| {
        add_organization(tx, 1, "first")?;
        tx.exec("UPDATE organizations SET slug = 'second'", &[])?;
        tx.exec("UPDATE organizations SET slug = 'third'", &[])
    });
    assert_eq!(
        bench.last_ops(),
        [put("organizations", [id(1), text("third")])]
    );
}

fn a_row_put_and_deleted_in_one_transaction_travels_as_a_delete(bench: &Bench) {
    bench.put(|tx| {
        add_organization(tx, 1, "short-lived")?;
        tx.exec("DELETE FROM organizations", &[])
    });
    assert_eq!(bench.last_ops(), [delete("organizations", [id(1)])]);
}

fn a_cascade_travels_row_by_row(bench: &Bench) {
    bench.put(|tx| {
        add_organization(tx, 1, "acme")?;
        add_role(tx, 3, "viewer")?;
        for user in [5, 6] {
            add_user(tx, user)?;
            add_member(tx, 1, user, 3)?;
        }
        tx.exec(
            "INSERT INTO organization_member_roles (organization_id, user_id, role_id, created_at)
             VALUES (?1, ?2, ?3, ?4)",
            &[
                OrganizationId::from_u128(1).into(),
                UserId::from_u128(5).into(),
                RoleId::from_u128(3).into(),
                NOW.into(),
            ],
        )
    });
    bench.put(|tx| {
        tx.exec(
            "DELETE FROM users WHERE id = ?1",
            &[UserId::from_u128(5).into()],
        )
    });
    assert_eq!(
        bench.last_ops(),
        [
            delete("organization_members", [id(1), id(5)]),
            delete("organization_member_roles", [id(1), id(5), id(3)]),
        ]
    );
    bench.put(|tx| tx.exec("DELETE FROM organizations", &[]));
    assert_eq!(
        bench.last_ops(),
        [
            delete("organizations", [id(1)]),
            delete("organization_members", [id(1), id(6)]),
        ]
    );
}

fn a_delete_without_where_travels(bench: &Bench) {
    bench.put(|tx| {
        add_permission(tx, 1, "read")?;
        add_permission(tx, 2, "write")
    });
    bench.put(|tx| tx.exec("DELETE FROM permissions", &[]));
    assert_eq!(
        bench.last_ops(),
        [
            delete("permissions", [id(1)]),
            delete("permissions", [id(2)])
        ]
    );
}

fn a_change_of_a_key_travels_as_delete_and_put(bench: &Bench) {
    bench.put(|tx| add_permission(tx, 1, "read"));
    bench.put(|tx| {
        tx.exec(
            "UPDATE permissions SET id = ?1",
            &[PermissionId::from_u128(2).into()],
        )
    });
    assert_eq!(
        bench.last_ops(),
        [
            delete("permissions", [id(1)]),
            put(
                "permissions",
                [id(2), text("billing"), text("invoice"), text("read")]
            ),
        ]
    );
}

fn text_keys_and_times_travel(bench: &Bench) {
    let expires = Timestamp::from_unix_micros(1_800_000_000_000_001);
    bench.put(|tx| {
        add_permission(tx, 1, "read")?;
        tx.exec(
            "INSERT INTO scope_permissions (scope, permission_id) VALUES ('é:read', ?1)",
            &[PermissionId::from_u128(1).into()],
        )?;
        tx.exec(
            "INSERT INTO revoked_grants (grant_id, expires_at) VALUES (?1, ?2)",
            &[UserId::from_u128(4).into(), expires.into()],
        )
    });
    assert_eq!(
        bench.last_ops()[1..],
        [
            put("revoked_grants", [id(4), Cell::Int(expires.unix_micros())]),
            put("scope_permissions", [text("é:read"), id(1)]),
        ]
    );
    bench.put(|tx| tx.exec("DELETE FROM scope_permissions", &[]));
    assert_eq!(
        bench.last_ops(),
        [delete("scope_permissions", [text("é:read"), id(1)])]
    );
}

fn a_failed_write_leaves_no_gap(bench: &Bench) {
    for round in 0..4_u128 {
        bench.put(|tx| add_organization(tx, round, &format!("slug-{round}")));
        let _failed = bench
            .write(|tx| {
                add_organization(tx, 100, "other")?;
                add_organization(tx, 101, "slug-0")
            })
            .unwrap_err();
    }
    assert_eq!(bench.head().position.revision, Revision::new(4));
    bench.verify_history();
}

fn leftovers_of_manual_sql_are_sealed_by_the_next_write(bench: &Bench) {
    bench.put(|tx| {
        add_organization(tx, 1, "one")?;
        add_organization(tx, 2, "two")
    });
    bench
        .manual("UPDATE organizations SET slug = 'fixed' WHERE slug = 'one'")
        .unwrap();
    assert_eq!(bench.count("feed_pending"), 1);
    assert_eq!(bench.head().position.revision, Revision::new(1));
    let written = bench.put(|tx| {
        tx.exec(
            "UPDATE organizations SET slug = 'own' WHERE slug = 'two'",
            &[],
        )
    });
    assert!(written.changed);
    assert_eq!(
        bench.last_ops(),
        [
            put("organizations", [id(1), text("fixed")]),
            put("organizations", [id(2), text("own")]),
        ]
    );
    bench.verify_history();
    bench.manual("DELETE FROM organizations").unwrap();
    // Even by a write that changes nothing itself.
    let written = bench.put(|tx| tx.rows("SELECT 1", &[]));
    assert!(written.changed);
    assert_eq!(bench.last_ops().len(), 2);
    bench.verify_history();
}

fn a_subscriber_sees_each_head(bench: &Bench) {
    let heads = bench.store.subscribe();
    assert_eq!(heads.borrow().revision, Revision::ZERO);
    let written = bench.put(|tx| add_organization(tx, 1, "acme"));
    assert!(heads.has_changed().unwrap());
    assert_eq!(*heads.borrow(), written.position);
}

fn a_scan_gives_every_row_once_however_many_there_are(bench: &Bench) {
    // Two whole pages, then one row more; all of one organization, told apart by the second key column.
    const ROWS: u128 = 8192;
    let members = REPLICATED
        .iter()
        .find(|of| of.name == "organization_members");
    let scan = || {
        let mut users = Vec::new();
        bench
            .store
            .read_blocking(|tx| {
                users.clear();
                feed::scan(tx, members.unwrap(), &mut |mut row| {
                    users.push(row.swap_remove(1));
                })
            })
            .unwrap();
        users
    };
    let rows = |count| (0..count).map(id).collect::<Vec<_>>();
    bench.put(|tx| {
        add_role(tx, 1, "viewer")?;
        add_organization(tx, 1, "acme")?;
        for user in 0..ROWS {
            add_user(tx, user)?;
            add_member(tx, 1, user, 1)?;
        }
        Ok(())
    });
    assert_eq!(scan(), rows(ROWS));
    bench.put(|tx| {
        add_user(tx, ROWS)?;
        add_member(tx, 1, ROWS, 1)
    });
    assert_eq!(scan(), rows(ROWS + 1));
}

fn a_scan_gives_the_rows_as_frames_carry_them(bench: &Bench) {
    bench.put(|tx| {
        add_permission(tx, 2, "write")?;
        add_permission(tx, 1, "read")?;
        add_organization(tx, 3, "acme")?;
        tx.exec(
            "INSERT INTO revoked_sessions (session_id, expires_at) VALUES (?1, ?2)",
            &[UserId::from_u128(4).into(), NOW.into()],
        )
    });
    let scanned = bench
        .store
        .read_blocking(|tx| {
            let mut scanned = Vec::new();
            for table in REPLICATED {
                feed::scan(tx, table, &mut |cells| {
                    scanned.push(Op::Put {
                        table: table.id,
                        cells,
                    });
                })?;
            }
            Ok::<_, StoreError>(scanned)
        })
        .unwrap();
    assert_eq!(scanned, bench.last_ops());
}

fn frames_come_in_pages_by_count_and_by_bytes(bench: &Bench) {
    for number in 0..100_u128 {
        bench.put(|tx| add_organization(tx, number, &format!("slug-{number}")));
    }
    let page = |after: u64, frames: usize, bytes: usize| {
        bench
            .store
            .read_blocking(|tx| feed::frames_after(tx, Revision::new(after), frames, bytes))
            .unwrap()
            .iter()
            .map(|frame| frame.revision.get())
            .collect::<Vec<_>>()
    };
    assert_eq!(page(0, 3, usize::MAX), [1, 2, 3]);
    assert_eq!(page(0, 70, usize::MAX).len(), 70);
    assert_eq!(page(97, 70, usize::MAX), [98, 99, 100]);
    assert_eq!(page(4, 10, 1), [5]);
    assert_eq!(page(100, 10, usize::MAX), Vec::<u64>::new());
}

fn compaction_raises_the_floor_and_keeps_what_proves_it(bench: &Bench) {
    for number in 0..5_u128 {
        bench.put(|tx| add_organization(tx, number, &format!("slug-{number}")));
    }
    let at = |revision: u64| {
        bench
            .store
            .read_blocking(|tx| feed::frame_at(tx, Revision::new(revision)))
            .unwrap()
    };
    let chains: Vec<_> = (0..=5).map(at).collect();
    assert!(chains.iter().all(Option::is_some));
    assert_eq!(bench.put(|tx| feed::compact(tx, Revision::new(3))).value, 2);
    assert_eq!(bench.head().floor, Revision::new(3));
    assert_eq!((at(0), at(2), at(6)), (None, None, None));
    assert_eq!((at(3), at(5)), (chains[3], chains[5]));
    // Neither down nor past the head.
    bench.put(|tx| feed::compact(tx, Revision::new(1)));
    assert_eq!(bench.head().floor, Revision::new(3));
    bench.put(|tx| feed::compact(tx, Revision::new(99)));
    assert_eq!(bench.head().floor, Revision::new(5));
    assert_eq!(at(5), chains[5]);
}

fn a_new_epoch_jumps_and_the_chain_runs_on(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "acme"));
    let old = bench.head().position;
    let epoch = feed::epoch_from([9; 16]);
    let opened = bench.put(|tx| feed::open_epoch(tx, epoch)).value;
    assert_eq!(bench.head().position, opened);
    assert_eq!(opened.epoch, epoch);
    assert_eq!(opened.revision, Revision::new(1 + feed::EPOCH_JUMP));
    let written = bench.put(|tx| add_organization(tx, 2, "other")).position;
    assert_eq!(written.revision, opened.revision.next());
    let frames = bench.frames();
    assert_eq!(frames.len(), 3);
    let mut chain = old.chain;
    for frame in &frames[1..] {
        chain = chain.extend(frame.revision, &frame.payload);
        assert_eq!(frame.chain, chain);
    }
    assert_eq!(written.chain, chain);
    let epochs = bench.store.read_blocking(feed::epochs).unwrap();
    assert_eq!(
        epochs,
        [(old.epoch, Revision::new(1)), (epoch, opened.revision)]
    );
}

fn signing_times_never_go_back(bench: &Bench) {
    let reserve = |micros| {
        bench
            .put(|tx| feed::reserve_signed_time(tx, Timestamp::from_unix_micros(micros)))
            .value
            .unix_micros()
    };
    assert_eq!(reserve(10), 10);
    assert_eq!(reserve(5), 10);
    assert_eq!(reserve(11), 11);
}

const SMALL: StoreLimits = StoreLimits { frame_rows_max: 3 };

fn oversized(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "one"));
    bench.put(|tx| (2..5).try_for_each(|n| add_organization(tx, n, &format!("s{n}")).map(drop)));
    assert_eq!(bench.last_ops().len(), 3, "exactly at the limit");
    assert_eq!(bench.head().floor, Revision::ZERO);
    bench.put(|tx| tx.exec("DELETE FROM organizations", &[]));
    let head = bench.head();
    assert_eq!(head.position.revision, Revision::new(3));
    assert_eq!(head.floor, head.position.revision);
    let marker = Frame::decode(&bench.frames().last().unwrap().payload).unwrap();
    assert_eq!(marker, Frame::reset_marker());
    bench.verify_history();
    bench.put(|tx| add_organization(tx, 9, "after"));
    assert_eq!(bench.head().floor, Revision::new(3));
}

#[test]
fn a_change_of_too_many_rows_becomes_a_reset_marker_at_the_floor() {
    oversized(&Bench::sqlite_with(SMALL));
    if let Some(bench) = Bench::postgres_with(SMALL) {
        oversized(&bench);
    }
}

#[test]
fn a_replace_on_sqlite_travels_with_what_it_displaced() {
    let bench = Bench::sqlite();
    bench.put(|tx| add_organization(tx, 1, "acme"));
    bench.put(|tx| {
        tx.exec(
            "INSERT OR REPLACE INTO organizations (id, name, slug, created_at, updated_at)
             VALUES (?1, 'x', 'acme', 0, 0)",
            &[OrganizationId::from_u128(2).into()],
        )
    });
    assert_eq!(
        bench.last_ops(),
        [
            delete("organizations", [id(1)]),
            put("organizations", [id(2), text("acme")])
        ]
    );
}

#[test]
fn a_truncate_on_postgresql_is_refused() {
    let Some(bench) = Bench::postgres() else {
        return;
    };
    bench.put(|tx| add_organization(tx, 1, "acme"));
    for sql in ["TRUNCATE organizations CASCADE", "TRUNCATE users CASCADE"] {
        let refused = bench.manual(sql).unwrap_err();
        assert!(refused.contains("use DELETE"), "{refused}");
    }
    assert_eq!(bench.count("organizations"), 1);
}

#[test]
fn a_subscriber_on_postgresql_sees_commits_of_another_process() {
    let Some(bench) = Bench::postgres() else {
        return;
    };
    let other = super::bench::open(&bench.config, StoreLimits::default()).unwrap();
    let mut heads = other.subscribe();
    let written = bench.put(|tx| add_organization(tx, 1, "acme")).position;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(heads.wait_for(|head| *head == written))
        .unwrap();
}
