//! Transactions, values and constraints.

use doorward::domain::{OrganizationId, Timestamp, UserId};
use doorward::store::audit::{self, AuditEntry};
use doorward::store::{StoreError, Val, installation};
use uuid::Uuid;

use super::bench::{Bench, NOW, add_member, add_organization, add_role, add_user, on_both_engines};

on_both_engines! {
    what_a_closure_writes_stays_on_ok_and_goes_on_err,
    a_failed_statement_ends_the_transaction_whatever_the_closure_makes_of_it,
    a_taken_key_is_told_as_unique_with_its_constraint,
    a_missing_row_is_told_as_foreign_key,
    a_role_that_members_hold_cannot_be_deleted,
    a_value_that_does_not_fit_is_told_as_check,
    a_read_cannot_write,
    a_read_sees_one_state,
    values_come_back_as_they_went_in,
    the_future_api_works_on_an_async_worker,
    a_panic_in_a_closure_rolls_back_and_leaves_the_store_working,
    facts_of_an_installation_are_set_and_found,
    audit_entries_are_listed_by_organization_newest_first_in_pages,
}

fn what_a_closure_writes_stays_on_ok_and_goes_on_err(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "stays"));
    let refused = bench.write(|tx| {
        add_organization(tx, 2, "goes")?;
        Err::<(), _>(StoreError::Other("changed my mind".to_owned()))
    });
    assert_eq!(
        refused.unwrap_err(),
        StoreError::Other("changed my mind".to_owned())
    );
    assert_eq!(bench.count("organizations"), 1);
    bench.verify_history();
}

fn a_failed_statement_ends_the_transaction_whatever_the_closure_makes_of_it(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "acme"));
    let refused = bench.write(|tx| {
        add_organization(tx, 2, "other")?;
        let _ignored = add_organization(tx, 3, "acme");
        assert!(tx.rows("SELECT 1", &[]).is_err());
        Ok(())
    });
    assert!(matches!(refused, Err(StoreError::Unique { .. })));
    assert_eq!(bench.count("organizations"), 1);
}

fn a_taken_key_is_told_as_unique_with_its_constraint(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "acme"));
    let Err(StoreError::Unique { constraint }) = bench.write(|tx| add_organization(tx, 2, "acme"))
    else {
        panic!("two organizations with one slug");
    };
    assert!(constraint.contains("organizations"), "{constraint}");
    assert!(constraint.contains("slug"), "{constraint}");
    let same_id = bench.write(|tx| add_organization(tx, 1, "other"));
    assert!(matches!(same_id, Err(StoreError::Unique { .. })));
}

fn a_missing_row_is_told_as_foreign_key(bench: &Bench) {
    let orphan = bench.write(|tx| add_member(tx, 1, 2, 3));
    assert_eq!(orphan.unwrap_err(), StoreError::ForeignKey);
}

fn a_role_that_members_hold_cannot_be_deleted(bench: &Bench) {
    bench.put(|tx| {
        add_organization(tx, 1, "acme")?;
        add_user(tx, 2)?;
        add_role(tx, 3, "viewer")?;
        add_member(tx, 1, 2, 3)
    });
    let deleted = bench.write(|tx| tx.exec("DELETE FROM roles", &[]));
    assert_eq!(deleted.unwrap_err(), StoreError::ForeignKey);
}

fn a_value_that_does_not_fit_is_told_as_check(bench: &Bench) {
    let long = "x".repeat(101);
    let too_long = bench.write(|tx| add_organization(tx, 1, &long));
    assert!(
        matches!(too_long, Err(StoreError::Check(_))),
        "{too_long:?}"
    );
    let fits = "é".repeat(100);
    bench.put(|tx| add_organization(tx, 1, &fits));
    let unknown_state = bench.write(|tx| {
        tx.exec(
            "INSERT INTO user_states (user_id, state) VALUES (?1, 'asleep')",
            &[UserId::from_u128(1).into()],
        )
    });
    assert!(matches!(unknown_state, Err(StoreError::Check(_))));
    let missing = bench.write(|tx| {
        tx.exec(
            "INSERT INTO user_states (user_id, state) VALUES (?1, ?2)",
            &[UserId::from_u128(1).into(), Val::Null],
        )
    });
    assert!(matches!(missing, Err(StoreError::Check(_))));
}

fn a_read_cannot_write(bench: &Bench) {
    let written = bench
        .store
        .read_blocking(|tx| add_organization(tx, 1, "acme"));
    assert!(
        matches!(written, Err(StoreError::ReadOnly(_))),
        "{written:?}"
    );
    assert_eq!(bench.count("organizations"), 0);
}

fn a_read_sees_one_state(bench: &Bench) {
    let count = "SELECT count(*) FROM organizations";
    let (before, after) = bench
        .store
        .read_blocking(|tx| {
            let before = tx.rows(count, &[])?;
            bench.put(|tx| add_organization(tx, 1, "acme"));
            Ok::<_, StoreError>((before, tx.rows(count, &[])?))
        })
        .unwrap();
    assert_eq!(before, after);
    assert_eq!(bench.count("organizations"), 1);
}

fn values_come_back_as_they_went_in(bench: &Bench) {
    let time = Timestamp::from_unix_micros(-1_234_567);
    let uris = vec![
        "https://a.example/cb".to_owned(),
        "it's \"quoted\"".to_owned(),
    ];
    let id = Uuid::from_u128(u128::MAX - 5);
    bench.put(|tx| {
        tx.exec(
            "INSERT INTO oauth_clients
                 (id, client_id, client_secret, name, redirect_uris, created_at, updated_at)
             VALUES (?1, 'c', ?2, 'naïve ☂', ?3, ?4, ?5)",
            &[
                id.into(),
                Val::Null,
                uris.clone().into(),
                time.into(),
                NOW.into(),
            ],
        )?;
        tx.exec(
            "INSERT INTO permissions (id, service, resource, action, deprecated)
             VALUES (?1, 's', 'r', 'a', ?2)",
            &[id.into(), true.into()],
        )?;
        tx.exec(
            "INSERT INTO installation (name, value) VALUES ('k', ?1)",
            &[vec![0_u8, 255].into()],
        )
    });
    let rows = bench
        .store
        .read_blocking(|tx| {
            tx.rows(
                "SELECT c.id, c.client_secret, c.name, c.redirect_uris, c.created_at, c.updated_at,
                        p.deprecated, i.value, (SELECT count(*) FROM users)
                 FROM oauth_clients c, permissions p, installation i WHERE c.id = ?1",
                &[id.into()],
            )
        })
        .unwrap();
    let row = &rows[0];
    assert_eq!(row.uuid(0), Ok(id));
    assert_eq!(row.optional_text(1), Ok(None));
    assert_eq!(row.text(2), Ok("naïve ☂"));
    assert_eq!(row.text_array(3), Ok(uris));
    assert_eq!(row.time(4), Ok(time));
    assert_eq!(row.time(5), Ok(NOW));
    assert_eq!(row.bool(6), Ok(true));
    assert_eq!(row.bytes(7), Ok(&[0_u8, 255][..]));
    assert_eq!(row.int(8), Ok(0));
}

fn the_future_api_works_on_an_async_worker(bench: &Bench) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let written = bench
            .store
            .write(|tx| add_organization(tx, 1, "acme"))
            .await
            .unwrap();
        assert!(written.changed);
        let store = bench.store.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            store
                .read(|tx| tx.rows("SELECT slug FROM organizations", &[]))
                .await
        });
        let rows = tasks.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(rows.len(), 1);
    });
}

#[test]
fn a_store_may_be_dropped_on_an_async_worker() {
    let stores = [Some(Bench::sqlite()), Bench::postgres()];
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async move {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { drop(stores) });
        tasks.join_next().await.unwrap().unwrap();
    });
}

fn a_panic_in_a_closure_rolls_back_and_leaves_the_store_working(bench: &Bench) {
    for attempt in 0..12_u128 {
        let store = bench.store.clone();
        let panicked = std::thread::spawn(move || {
            let _ = store.write_blocking(|tx| {
                add_organization(tx, attempt, &format!("slug-{attempt}"))?;
                assert!(attempt > 100, "on purpose");
                Ok::<_, StoreError>(())
            });
        })
        .join();
        assert!(panicked.is_err());
    }
    assert_eq!(bench.count("organizations"), 0);
    bench.put(|tx| add_organization(tx, 1, "acme"));
    bench.verify_history();
}

fn facts_of_an_installation_are_set_and_found(bench: &Bench) {
    let find = || {
        bench
            .store
            .read_blocking(|tx| installation::find(tx, "canary"))
            .unwrap()
    };
    assert_eq!(find(), None);
    bench.put(|tx| installation::set(tx, "canary", b"one"));
    let written = bench.put(|tx| installation::set(tx, "canary", b"two"));
    assert_eq!(find().as_deref(), Some(&b"two"[..]));
    assert!(!written.changed);
}

fn audit_entries_are_listed_by_organization_newest_first_in_pages(bench: &Bench) {
    let organization = OrganizationId::from_u128(1);
    bench.put(|tx| {
        for number in 0..5_u128 {
            let entry = AuditEntry {
                id: Uuid::from_u128(number),
                // Two at the same time: the id settles their order.
                at: Timestamp::from_unix_micros(i64::try_from(number / 2).unwrap()),
                actor: "system".to_owned(),
                event: "member.added",
                organization: (number != 3).then_some(organization),
                target: None,
                details: serde_json::json!({ "number": number.to_string() }),
            };
            audit::record(tx, &entry)?;
        }
        Ok(())
    });
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = bench
            .store
            .read_blocking(|tx| audit::list(tx, organization, before, 2))
            .unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.at, last.id));
        seen.extend(page.iter().map(|record| record.id.as_u128()));
    }
    assert_eq!(seen, [4, 2, 1, 0]);
}
