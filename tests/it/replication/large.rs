//! A role replaced for very many members: one transaction, one reset marker, one snapshot.

use std::time::Duration;

use doorward::authority::manifests::{MemberPage, Planned, Sync, apply_in, plan_in};
use doorward::domain::{Position, Revision, Timestamp};
use doorward::protocol::feed::Cell;
use doorward::protocol::manifest::from_json;
use doorward::runtime::SeededEntropy;
use doorward::store::{Dialect, StoreError};
use tokio::time::Instant;

use super::support::*;

/// Numbers of the tables.
const ROLES: u16 = 3;
const MEMBERS: u16 = 5;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

const BEFORE: &str = r#"{
  "service": "billing", "version": 1,
  "permissions": { "invoice": { "read": "See", "write": "Change" } },
  "roles": {
    "clerk": { "permissions": ["invoice:read"] },
    "editor": { "permissions": ["invoice:write"] }
  }
}"#;

const AFTER: &str = r#"{
  "service": "billing", "version": 2,
  "permissions": { "invoice": { "read": "See", "write": "Change" } },
  "roles": {
    "accountant": { "permissions": ["invoice:read", "invoice:write"] },
    "editor": { "permissions": ["invoice:write"] }
  },
  "replaces": { "clerk": "accountant" }
}"#;

async fn sync(authority: &Authority, text: &'static str, seed: u64) -> Position {
    authority
        .store
        .write(move |tx| {
            let sync = Sync {
                manifest: from_json(text.as_bytes(), None).unwrap(),
                bound_to: None,
                allow_rollback: false,
                applied_by: "client:test".to_owned(),
            };
            apply_in(tx, &sync, NOW, &SeededEntropy::new(seed))
        })
        .await
        .unwrap()
        .position
}

async fn plan(authority: &Authority, text: &'static str) -> Planned {
    authority
        .store
        .read::<_, StoreError>(move |tx| {
            let manifest = from_json(text.as_bytes(), None).unwrap();
            plan_in(tx, &manifest, false, MemberPage::default())
        })
        .await
        .unwrap()
}

/// Organizations × users, every one of them a `billing/clerk`; each tenth an editor too.
async fn populate(authority: &Authority, organizations: u64, users: u64) {
    let id = match authority.store.dialect() {
        Dialect::Sqlite => |n: &str| format!("unhex(printf('%032x', {n}))"),
        Dialect::Postgres => |n: &str| format!("lpad(to_hex({n}), 32, '0')::uuid"),
    };
    let series = "WITH RECURSIVE series(n) AS \
         (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < ";
    let numbers = move |count: u64| format!("{series}{count})");
    authority
        .change(move |tx| {
            let now = [NOW.into()];
            tx.exec(
                &format!(
                    "{} INSERT INTO users (id, email, display_name, created_at, updated_at)
                     SELECT {}, 'user-' || n || '@example.com', 'Somebody', roles.created_at, roles.created_at FROM series
                     JOIN roles ON roles.service = 'billing' AND roles.name = 'clerk'
                     WHERE roles.created_at = ?1",
                    numbers(users),
                    id("n")
                ),
                &now,
            )?;
            tx.exec(
                &format!(
                    "{} INSERT INTO organizations (id, name, slug, created_at, updated_at)
                     SELECT {}, 'Some', 'organization-' || n, roles.created_at, roles.created_at
                     FROM series
                     JOIN roles ON roles.service = 'billing' AND roles.name = 'clerk'
                     WHERE roles.created_at = ?1",
                    numbers(organizations),
                    id("n")
                ),
                &now,
            )?;
            Ok(())
        })
        .await;
    for organization in 1..=organizations {
        authority
            .change(move |tx| {
                let number = format!("{organization}00000000 + n");
                let organization_number = organization;
                let organization = organization.to_string();
                tx.exec(
                    &format!(
                        "{} INSERT INTO organization_members
                             (id, organization_id, user_id, role_id, created_at, updated_at)
                         SELECT {}, {}, {}, roles.id, roles.created_at, roles.created_at FROM series
                         JOIN roles ON roles.service = 'billing' AND roles.name = 'clerk'",
                        numbers(users),
                        id(&number),
                        id(&organization),
                        id("n")
                    ),
                    &[],
                )?;
                tx.exec(
                    &format!(
                        "INSERT INTO organization_member_roles
                             (organization_id, user_id, role_id, created_at)
                         SELECT m.organization_id, m.user_id, r.id, r.created_at
                         FROM organization_members m
                         JOIN roles r ON r.service = 'billing' AND r.name = 'editor'
                         JOIN organizations o ON o.id = m.organization_id
                         JOIN users u ON u.id = m.user_id
                         WHERE m.organization_id = {} AND m.id IN ({})",
                        id(&organization),
                        (1..=users / 10)
                            .map(|n| id(&format!("{}", organization_number * 100_000_000 + n * 10)))
                            .collect::<Vec<_>>()
                            .join(", ")
                    ),
                    &[],
                )?;
                Ok(())
            })
            .await;
    }
}

/// How many members of a copy have which primary role.
fn primary_roles(rows: &[Vec<Vec<Cell>>]) -> Vec<(String, usize)> {
    let of = |table: u16| {
        let at = doorward::store::replicated::REPLICATED
            .iter()
            .position(|candidate| candidate.id == table)
            .unwrap();
        &rows[at]
    };
    of(ROLES)
        .iter()
        .map(|role| {
            let Cell::Text(name) = &role[2] else {
                panic!("{role:?}");
            };
            let held = of(MEMBERS).iter().filter(|member| member[2] == role[0]);
            (name.clone(), held.count())
        })
        .filter(|(_, held)| *held > 0)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_replaced_for_many_members_arrives_whole() {
    for engine in engines() {
        let authority = Authority::start_on(&engine, 100, |_| {}).await;
        sync(&authority, BEFORE, 1).await;
        populate(&authority, 4, 50).await;
        let data = crate::support::directory();
        let mut sidecar = Sidecar::follow(authority.address, data.path());
        let told = sidecar.reach(authority.head()).await;
        let replaced = told.replaced;

        let planned = plan(&authority, AFTER).await.blast_radius;
        assert_eq!(
            (planned.members, planned.gaining, planned.losing),
            (180, 180, 0)
        );
        let head = sync(&authority, AFTER, 2).await;
        let told = sidecar.reach(head).await;
        assert_eq!(told.replaced, replaced + 1, "by a snapshot");
        let next = authority.change(|tx| put_user(tx, 9)).await;
        assert_eq!(next, head, "users are not replicated");
        sidecar.stop().await;
        let (position, rows) = rows_of(&told.path.unwrap());
        assert_eq!(position, head);
        assert_eq!(rows, authority.scan().await);
        assert_eq!(primary_roles(&rows), [("accountant".to_owned(), 200)]);
        authority.stop().await;
    }
}

/// Run by hand: `cargo test --test it a_million_members -- --ignored --nocapture`. Prints how long
/// each step takes; the dry run and the transaction are one request each, which has 30 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak: minutes, and a gigabyte of disk"]
#[expect(clippy::print_stdout, reason = "its figures are its result")]
async fn a_million_members_change_their_role() {
    for engine in engines() {
        let authority = Authority::start_on(&engine, 50_000, |_| {}).await;
        sync(&authority, BEFORE, 1).await;
        let dialect = authority.store.dialect();
        let began = Instant::now();
        populate(&authority, 1_000, 1_000).await;
        println!("{dialect:?}: populated in {:?}", began.elapsed());
        let began = Instant::now();
        let planned = plan(&authority, AFTER).await.blast_radius;
        let dry_run = began.elapsed();
        println!("{dialect:?}: dry run {dry_run:?}");
        assert_eq!((planned.members, planned.gaining), (900_000, 900_000));
        let began = Instant::now();
        let head = sync(&authority, AFTER, 2).await;
        println!("{dialect:?}: transaction {:?}", began.elapsed());
        let began = Instant::now();
        let download = authority.supplier.snapshot(head.revision).await.unwrap();
        println!(
            "{dialect:?}: copy built and snapshot made {:?}, {} bytes packed, {} unpacked",
            began.elapsed(),
            download.snapshot.manifest.compressed_bytes,
            download.snapshot.manifest.content_bytes
        );
        drop(download);
        let data = crate::support::directory();
        let began = Instant::now();
        let mut sidecar = Sidecar::follow(authority.address, data.path());
        let told = sidecar.reach(head).await;
        println!("{dialect:?}: fetched and checked {:?}", began.elapsed());
        sidecar.stop().await;
        let (_, rows) = rows_of(&told.path.unwrap());
        assert_eq!(primary_roles(&rows), [("accountant".to_owned(), 1_000_000)]);
        assert!(dry_run < Duration::from_secs(30));
        assert!(head.revision > Revision::ZERO);
        authority.stop().await;
    }
}
