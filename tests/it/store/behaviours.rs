use std::sync::Arc;

use doorward::domain::{OrganizationId, Revision, Timestamp};
use doorward::runtime::{ManualClock, SeededEntropy};
use doorward::store::{Store, StoreConfig, StoreError, Val, feed};

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(
        &StoreConfig::Sqlite {
            path: directory.path().join("doorward.db"),
        },
        Arc::new(ManualClock::at(Timestamp::from_unix_micros(1_000_000))),
        Arc::new(SeededEntropy::new(1)),
    )
    .unwrap()
}

#[tokio::test]
async fn smoke() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let id = OrganizationId::from_u128(7);
    let written = store
        .write(move |tx| {
            tx.exec(
                "INSERT INTO organizations (id, name, slug, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
                &[id.into(), "Acme".into(), "acme".into(), Val::Time(Timestamp::EPOCH)],
            )
        })
        .await
        .unwrap();
    assert!(written.changed);
    assert_eq!(written.position.revision, Revision::new(1));
    let again = store
        .write(move |tx| tx.exec("UPDATE organizations SET slug = 'acme', name = 'x'", &[]))
        .await
        .unwrap();
    assert!(!again.changed);
    let twice: Result<_, StoreError> = store
        .write(move |tx| {
            tx.exec(
                "INSERT INTO organizations (id, name, slug, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
                &[OrganizationId::from_u128(8).into(), "Acme".into(), "acme".into(), Val::Time(Timestamp::EPOCH)],
            )
        })
        .await;
    assert_eq!(
        twice.unwrap_err(),
        StoreError::Unique {
            constraint: "organizations.slug".to_owned()
        }
    );
    let frames = store
        .read(|tx| feed::frames_after(tx, Revision::ZERO, 10, 1000))
        .await
        .unwrap();
    assert_eq!(frames.len(), 1);
}
