//! Failed attempts, counted in the database, and leases.

use std::time::Duration;

use doorward::authority::attempts::{self, JOIN_TOKEN, USER_CODE};
use doorward::runtime::Clock;
use doorward::store::{StoreError, leases};

use crate::support::app::TestApp;

on_both_engines! {
    failures_lock_for_longer_each_time_and_are_forgotten,
    rows_of_failures_are_bounded_and_name_nobody,
    a_lease_is_one_holders_until_it_ends,
}

async fn failures_lock_for_longer_each_time_and_are_forgotten(app: TestApp) {
    let authority = &app.authority;
    let locked = |who: &'static str| attempts::locked(authority, USER_CODE, who);
    for _ in 0..5 {
        let wait = attempts::failed(authority, USER_CODE, "ada").await;
        assert_eq!(wait, Ok(None));
    }
    assert_eq!(locked("ada").await, Ok(None));
    let minute = Duration::from_mins(1);
    let wait = attempts::failed(authority, USER_CODE, "ada").await;
    assert_eq!(wait, Ok(Some(minute)));
    assert_eq!(locked("ada").await, Ok(Some(minute)));
    assert_eq!(locked("bob").await, Ok(None));
    app.clock.advance(Duration::from_secs(59));
    assert_eq!(locked("ada").await, Ok(Some(Duration::from_secs(1))));
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(locked("ada").await, Ok(None));
    let wait = attempts::failed(authority, USER_CODE, "ada").await;
    assert_eq!(wait, Ok(Some(2 * minute)));
    // Forgotten after the window, and counted from one again.
    app.clock.advance(Duration::from_mins(30));
    let wait = attempts::failed(authority, USER_CODE, "ada").await;
    assert_eq!(wait, Ok(None));
}

async fn rows_of_failures_are_bounded_and_name_nobody(app: TestApp) {
    // A flood of wrong tokens is answered by the process: the database hears of ten.
    for _ in 0..100 {
        attempts::slowed(&app.authority, JOIN_TOKEN, "billing")
            .await
            .unwrap();
    }
    let rows = app
        .authority
        .store
        .read::<_, StoreError>(|tx| tx.rows("SELECT bucket, failures FROM failed_attempts", &[]))
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let bucket = rows[0].text(0).unwrap();
    assert!(!bucket.contains("billing"), "{bucket}");
    assert_eq!(bucket.len(), "join_token:".len() + 4);
    assert_eq!(rows[0].int(1), Ok(10));
}

async fn a_lease_is_one_holders_until_it_ends(app: TestApp) {
    let store = app.authority.store.clone();
    let (start, end) = (
        app.clock.now(),
        app.clock.now().plus(Duration::from_secs(30)),
    );
    let take = |holder: &'static str, now| {
        let until = end.plus(Duration::from_secs(30));
        let until = if now == start { end } else { until };
        let store = store.clone();
        async move {
            store
                .write::<_, StoreError>(move |tx| leases::take(tx, "keys", holder, (now, until)))
                .await
                .unwrap()
                .value
        }
    };
    assert!(take("a", start).await);
    assert!(!take("b", start).await);
    assert!(take("a", start).await);
    assert!(take("b", end).await);
    assert!(!take("a", end).await);
    store
        .write::<_, StoreError>(|tx| leases::release(tx, "keys", "a"))
        .await
        .unwrap();
    assert!(!take("a", end).await);
    store
        .write::<_, StoreError>(|tx| leases::release(tx, "keys", "b"))
        .await
        .unwrap();
    assert!(take("a", end).await);
}
