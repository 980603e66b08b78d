//! The audit log's chain finds what was changed, removed or inserted behind its back.

use doorward::authority::audit_chain::{self, Verdict};
use doorward::authority::control::{Command, carry_out};
use doorward::runtime::Clock;
use doorward::store::{StoreError, Val};
use uuid::Uuid;

use crate::support::app::TestApp;

on_both_engines! {
    an_untouched_log_is_intact_and_young_rows_wait,
    a_changed_row_is_found,
    a_removed_row_is_found,
    an_inserted_row_is_found,
    a_log_cut_off_at_its_end_is_found_by_a_head_that_was_kept,
    two_instances_chain_each_row_once,
}

async fn chain(app: &TestApp) -> u64 {
    audit_chain::chain(&app.authority, "a").await.unwrap()
}

async fn verify(app: &TestApp) -> Verdict {
    audit_chain::verify(&app.authority, None).await.unwrap()
}

/// Some rows, chained.
async fn chained(app: &TestApp) -> u64 {
    for slug in ["acme", "globex", "initech"] {
        app.owner_of(slug).await;
    }
    chain(app).await
}

async fn exec(app: &TestApp, sql: &'static str, params: Vec<Val>) {
    let written = app
        .authority
        .store
        .write::<_, StoreError>(move |tx| tx.exec(sql, &params))
        .await
        .unwrap();
    assert!(written.value > 0, "{sql}");
}

async fn row(app: &TestApp, sequence: i64) -> Uuid {
    app.authority
        .store
        .read::<_, StoreError>(move |tx| {
            let sql = "SELECT audit_id FROM audit_chain WHERE sequence = ?1";
            tx.rows(sql, &[sequence.into()])?[0].uuid(0)
        })
        .await
        .unwrap()
}

async fn an_untouched_log_is_intact_and_young_rows_wait(app: TestApp) {
    let rows = chained(&app).await;
    assert!(rows > 5, "{rows}");
    assert_eq!(chain(&app).await, 0);
    app.owner_of("umbrella").await;
    let verdict = verify(&app).await;
    assert!(verdict.intact(), "{verdict:?}");
    assert_eq!(verdict.links, rows);
    assert!(verdict.waiting > 0);
    let more = chain(&app).await;
    let verdict = verify(&app).await;
    assert_eq!((verdict.links, verdict.waiting), (rows + more, 0));
    let text = carry_out(&app.authority, Command::VerifyAudit { head: None }, "0")
        .await
        .unwrap()
        .to_string();
    assert!(text.contains(&verdict.head), "{text}");
}

async fn a_changed_row_is_found(app: TestApp) {
    chained(&app).await;
    let id = row(&app, 3).await;
    for sql in [
        "UPDATE audit_log SET actor = 'user:eve' WHERE id = ?1",
        "UPDATE audit_log SET target = NULL WHERE id = ?1",
    ] {
        exec(&app, sql, vec![id.into()]).await;
        let verdict = verify(&app).await;
        assert_eq!(verdict.found, 1, "{verdict:?}");
        assert!(verdict.findings[0].starts_with("changed"), "{verdict:?}");
        assert!(verdict.findings[0].contains(&id.to_string()), "{verdict:?}");
    }
    let error = carry_out(&app.authority, Command::VerifyAudit { head: None }, "0")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("tampered"), "{error}");
}

async fn a_removed_row_is_found(app: TestApp) {
    chained(&app).await;
    let id = row(&app, 2).await;
    exec(
        &app,
        "DELETE FROM audit_chain WHERE audit_id = ?1",
        vec![id.into()],
    )
    .await;
    exec(&app, "DELETE FROM audit_log WHERE id = ?1", vec![id.into()]).await;
    let verdict = verify(&app).await;
    assert!(!verdict.intact());
    assert!(
        verdict.findings[0].starts_with("removed: link 2"),
        "{verdict:?}"
    );
    // Closing the gap does not help.
    exec(
        &app,
        "UPDATE audit_chain SET sequence = -sequence WHERE sequence > 2",
        vec![],
    )
    .await;
    exec(
        &app,
        "UPDATE audit_chain SET sequence = -sequence - 1 WHERE sequence < 0",
        vec![],
    )
    .await;
    let verdict = verify(&app).await;
    assert!(!verdict.intact(), "{verdict:?}");
}

async fn an_inserted_row_is_found(app: TestApp) {
    chained(&app).await;
    let early = app.clock.now().minus(std::time::Duration::from_hours(1));
    let id = uuid::Builder::from_unix_timestamp_millis(early.unix_millis(), &[5; 10]).into_uuid();
    exec(
        &app,
        "INSERT INTO audit_log (id, at, actor, event, target, details) \
         VALUES (?1, ?2, 'user:eve', 'member.added', NULL, '{}')",
        vec![id.into(), early.into()],
    )
    .await;
    assert_eq!(chain(&app).await, 0);
    let verdict = verify(&app).await;
    assert_eq!(verdict.found, 1, "{verdict:?}");
    assert!(verdict.findings[0].starts_with("inserted"), "{verdict:?}");
    assert!(verdict.findings[0].contains(&id.to_string()), "{verdict:?}");
}

async fn a_log_cut_off_at_its_end_is_found_by_a_head_that_was_kept(app: TestApp) {
    let rows = i64::try_from(chained(&app).await).unwrap();
    let kept = verify(&app).await.head.parse().unwrap();
    let id = row(&app, rows).await;
    exec(
        &app,
        "DELETE FROM audit_chain WHERE audit_id = ?1",
        vec![id.into()],
    )
    .await;
    exec(&app, "DELETE FROM audit_log WHERE id = ?1", vec![id.into()]).await;
    assert!(verify(&app).await.intact());
    let verdict = audit_chain::verify(&app.authority, Some(kept))
        .await
        .unwrap();
    assert_eq!(verdict.found, 1);
    assert!(verdict.findings[0].starts_with("cut"), "{verdict:?}");
    app.owner_of("umbrella").await;
    chain(&app).await;
    let verdict = audit_chain::verify(&app.authority, Some(kept))
        .await
        .unwrap();
    assert!(!verdict.intact());
}

async fn two_instances_chain_each_row_once(app: TestApp) {
    for slug in ["acme", "globex"] {
        app.owner_of(slug).await;
    }
    let (a, b) = tokio::join!(
        audit_chain::chain(&app.authority, "a"),
        audit_chain::chain(&app.authority, "b")
    );
    let chained = a.unwrap() + b.unwrap();
    let verdict = verify(&app).await;
    assert!(verdict.intact(), "{verdict:?}");
    assert_eq!((verdict.links, verdict.waiting), (chained, 0));
}
