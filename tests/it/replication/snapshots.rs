//! Snapshots: what is in them, and how many at a time.

use std::sync::atomic::Ordering;

use doorward::domain::Revision;
use doorward::replication::supplier::DownloadError;
use doorward::store::Val;

use super::support::*;

/// Every text and bytes column of every table that is not replicated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_planted_in_every_other_column_is_in_no_snapshot() {
    const SECRET: &str = "PLANTED-SECRET";
    let authority = Authority::start().await;
    plant(&authority).await;
    authority
        .change(|tx| {
            let user = Val::Uuid(id(1));
            let now = Val::Int(1);
            let text = || Val::Text(SECRET.to_owned());
            let row = |n: u8| Val::Uuid(id(n));
            tx.exec(
                "UPDATE users SET email = ?1, display_name = ?1, avatar_url = ?1 WHERE id = ?2",
                &[text(), user.clone()],
            )?;
            tx.exec("UPDATE organizations SET name = ?1", &[text()])?;
            tx.exec("UPDATE roles SET description = ?1", &[text()])?;
            tx.exec(
                "INSERT INTO permissions (id, service, resource, action, description)
                 VALUES (?1, 'billing', 'invoice', 'read', ?2)",
                &[row(60), text()],
            )?;
            tx.exec(
                "INSERT INTO oauth_accounts (id, user_id, provider, provider_account_id,
                 access_token, refresh_token, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?3, ?3, ?3, ?4, ?4)",
                &[row(61), user.clone(), text(), now.clone()],
            )?;
            tx.exec(
                "INSERT INTO sessions (id, user_id, token_hash, expires_at, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?4)",
                &[row(62), user.clone(), text(), now.clone()],
            )?;
            tx.exec(
                "INSERT INTO oauth_clients (id, client_id, client_secret, name, redirect_uris,
                 created_at, updated_at) VALUES (?1, ?2, ?2, ?2, ?3, ?4, ?4)",
                &[
                    row(63),
                    text(),
                    Val::TextArray(vec![SECRET.to_owned()]),
                    now.clone(),
                ],
            )?;
            tx.exec(
                "INSERT INTO refresh_tokens (id, token_hash, client_id, user_id, expires_at,
                 created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                &[row(64), text(), row(63), user, now.clone()],
            )?;
            tx.exec(
                "INSERT INTO signing_keys (kid, purpose, algorithm, public_jwk, sealed_private,
                 state, created_at, activates_at)
                 VALUES ('kid', 'feed', 'EdDSA', '{}', ?1, 'active', ?2, ?2)",
                &[Val::Bytes(SECRET.as_bytes().to_vec()), now.clone()],
            )?;
            tx.exec(
                "INSERT INTO installation (name, value) VALUES (?1, ?2)",
                &[text(), Val::Bytes(SECRET.as_bytes().to_vec())],
            )?;
            tx.exec(
                "INSERT INTO audit_log (id, at, actor, event, target, details)
                 VALUES (?1, ?2, ?3, ?3, ?3, ?3)",
                &[row(65), now, text()],
            )?;
            Ok(())
        })
        .await;
    let store = std::fs::read(authority.folder.path().join("authority.db")).unwrap();
    let wal = std::fs::read(authority.folder.path().join("authority.db-wal")).unwrap_or_default();
    let contains = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
    assert!(
        contains(&store, SECRET.as_bytes()) || contains(&wal, SECRET.as_bytes()),
        "it is there to be found"
    );

    let download = authority.supplier.snapshot(Revision::ZERO).await.unwrap();
    let file = std::fs::read(&download.snapshot.path).unwrap();
    let content = zstd::decode_all(&file[..]).unwrap();
    assert!(contains(&content, b"organization-1"), "it is a copy");
    for word in ["PLANTED", "secret.example", "Secret Name"] {
        assert!(!contains(&content, word.as_bytes()), "{word}");
    }
    // The authority's own copy beside it neither, write-ahead log included.
    for entry in std::fs::read_dir(authority.folder.path().join("feed")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!contains(&bytes, b"PLANTED"), "{}", path.display());
    }
    drop(download);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_at_a_time_are_bounded_and_share_one_file() {
    let authority = Authority::start_with(50_000, |config| config.snapshot_downloads = 2).await;
    let head = plant(&authority).await;
    let first = authority.supplier.snapshot(Revision::ZERO).await.unwrap();
    let second = authority.supplier.snapshot(Revision::ZERO).await.unwrap();
    assert_eq!(first.snapshot.path, second.snapshot.path);
    assert_eq!(first.snapshot.manifest.revision, head.revision);
    let third = authority.supplier.snapshot(Revision::ZERO).await;
    assert!(matches!(third, Err(DownloadError::Busy)));
    drop(second);

    // One that must know more is made anew; the old file goes when its last reader has.
    let next = authority.change(|tx| put_member(tx, 1, 1, 1)).await;
    let newer = authority.supplier.snapshot(next.revision).await.unwrap();
    assert_eq!(newer.snapshot.manifest.revision, next.revision);
    let old = first.snapshot.path.clone();
    assert!(old.exists());
    drop(first);
    assert!(!old.exists());
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_no_connection_carries_whole_is_resumed() {
    const BUDGET: usize = 4_000;
    let authority = Authority::start().await;
    plant(&authority).await;
    let head = authority
        .change(|tx| (10..250).try_for_each(|number| put_organization(tx, number)))
        .await;
    let download = authority.supplier.snapshot(Revision::ZERO).await.unwrap();
    assert!(download.snapshot.manifest.compressed_bytes > BUDGET as u64);
    drop(download);
    let wire = Wire::to(authority.address, &authority.tasks, vec![BUDGET]).await;
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(wire.address, data.path());
    let told = sidecar.reach(head).await;
    assert!(told.disconnected.is_empty(), "{told:?}");
    assert!(authority.snapshots_asked.load(Ordering::SeqCst) > 1);
    sidecar.stop().await;
    assert_eq!(rows_of(&told.path.unwrap()).1, authority.scan().await);
    authority.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_room_for_a_download_is_told_to_come_back() {
    let authority = Authority::start_with(50_000, |config| config.snapshot_downloads = 1).await;
    plant(&authority).await;
    let held = authority.supplier.snapshot(Revision::ZERO).await.unwrap();
    let data = crate::support::directory();
    let mut sidecar = Sidecar::follow(authority.address, data.path());
    let told = sidecar
        .wait(|told| told.disconnected.iter().any(|why| why.contains("429")))
        .await;
    assert_eq!(told.position, None);
    drop(held);
    sidecar.stop().await;
    authority.stop().await;
}
