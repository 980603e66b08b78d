//! Rows that end by time are deleted then, and no others.

use std::time::Duration;

use doorward::authority::jobs::clean;
use doorward::runtime::Clock;
use doorward::store::StoreError;
use doorward::store::transient::TRANSIENT;
use serde_json::json;

use crate::support::app::TestApp;

async fn rows(app: &TestApp) -> i64 {
    app.authority
        .store
        .read::<_, StoreError>(|tx| {
            TRANSIENT.iter().try_fold(0, |all, what| {
                let sql = format!("SELECT count(*) FROM {}", what.table);
                Ok(all + tx.rows(&sql, &[])?[0].int(0)?)
            })
        })
        .await
        .unwrap()
}

async fn clean_now(app: &TestApp) -> u64 {
    clean(&app.authority.store, &*app.clock).await.unwrap()
}

#[tokio::test]
async fn expired_rows_are_deleted_and_others_stay() {
    let app = TestApp::start().await;
    app.post("/v1/sidecars/join-tokens")
        .by(app.operator())
        .json(&json!({"name": "soon"}))
        .await
        .expect(201);
    app.post("/v1/clients/operator/secret")
        .by(app.operator())
        .json(&json!({"overlap_seconds": 7200}))
        .await;
    let now = Clock::now(&*app.clock);
    app.authority
        .store
        .write::<_, StoreError>(move |tx| {
            for (table, key, id) in [
                ("revoked_sessions", "session_id", 1_u128),
                ("revoked_grants", "grant_id", 2),
            ] {
                tx.exec(
                    &format!("INSERT INTO {table} ({key}, expires_at) VALUES (?1, ?2)"),
                    &[
                        uuid::Uuid::from_u128(id).into(),
                        now.plus(Duration::from_hours(3)).into(),
                    ],
                )?;
            }
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!((rows(&app).await, clean_now(&app).await), (4, 0));

    // The join token lives an hour, the former secret two, the revocations three.
    for (hours, left) in [(1, 3), (1, 2), (1, 0)] {
        app.clock.advance(Duration::from_hours(hours));
        let before = rows(&app).await;
        assert_eq!(clean_now(&app).await, (before - left).unsigned_abs());
        assert_eq!(rows(&app).await, left);
    }
    let metrics = app.get("/metrics").send().await.expect(200);
    let text = metrics.body.as_str().unwrap();
    let counted = "doorward_cleaner_rows_total{table=\"join_tokens\"}";
    assert!(text.contains(counted), "{text}");
}
