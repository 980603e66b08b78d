//! Random histories: the frames alone rebuild the tables, and both engines give the same frames.

use std::collections::BTreeMap;

use doorward::domain::{InstanceId, OrganizationId, PermissionId, ResourceName, RoleId, UserId};
use doorward::protocol::feed::{Cell, Frame, Op};
use doorward::store::replicated::REPLICATED;
use doorward::store::{StoreError, Tx, Val, feed, instances};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::bench::{Bench, NOW, add_member, add_organization, add_permission, add_role, add_user};

/// Something that may happen to a small world. Whether it succeeds is the engines' to say.
#[derive(Debug, Clone)]
enum Step {
    AddOrganization(u8),
    RenameOrganization(u8, u8),
    DeleteOrganization(u8),
    AddUser(u8),
    DeleteUser(u8),
    AddRole(u8),
    DeleteRole(u8),
    AddPermission(u8),
    DeletePermission(u8),
    Grant(u8, u8),
    Revoke(u8),
    AddMember(u8, u8, u8),
    ChangeMember(u8, u8),
    Suspend(u8, u8),
    PutInstance(u8, u8),
    DeleteInstance(u8),
    DeleteEverythingOf(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..4_u8;
    prop_oneof![
        n().prop_map(Step::AddOrganization),
        (n(), n()).prop_map(|(a, b)| Step::RenameOrganization(a, b)),
        n().prop_map(Step::DeleteOrganization),
        n().prop_map(Step::AddUser),
        n().prop_map(Step::DeleteUser),
        n().prop_map(Step::AddRole),
        n().prop_map(Step::DeleteRole),
        n().prop_map(Step::AddPermission),
        n().prop_map(Step::DeletePermission),
        (n(), n()).prop_map(|(a, b)| Step::Grant(a, b)),
        n().prop_map(Step::Revoke),
        (n(), n(), n()).prop_map(|(a, b, c)| Step::AddMember(a, b, c)),
        (n(), n()).prop_map(|(a, b)| Step::ChangeMember(a, b)),
        (n(), n()).prop_map(|(a, b)| Step::Suspend(a, b)),
        (n(), n()).prop_map(|(a, b)| Step::PutInstance(a, b)),
        n().prop_map(Step::DeleteInstance),
        n().prop_map(Step::DeleteEverythingOf),
    ]
}

fn role(id: u8) -> Val {
    RoleId::from_u128(id.into()).into()
}

fn user(id: u8) -> Val {
    UserId::from_u128(id.into()).into()
}

fn run(tx: &mut dyn Tx, step: &Step) -> Result<u64, StoreError> {
    match *step {
        Step::AddOrganization(id) => add_organization(tx, id.into(), &format!("slug-{id}")),
        Step::RenameOrganization(id, slug) => tx.exec(
            "UPDATE organizations SET slug = ?2 WHERE id = ?1",
            &[
                OrganizationId::from_u128(id.into()).into(),
                format!("slug-{slug}").into(),
            ],
        ),
        Step::DeleteOrganization(id) => tx.exec(
            "DELETE FROM organizations WHERE id = ?1",
            &[OrganizationId::from_u128(id.into()).into()],
        ),
        Step::AddUser(id) => add_user(tx, id.into()),
        Step::DeleteUser(id) => tx.exec("DELETE FROM users WHERE id = ?1", &[user(id)]),
        Step::AddRole(id) => add_role(tx, id.into(), &format!("role-{id}")),
        Step::DeleteRole(id) => tx.exec("DELETE FROM roles WHERE id = ?1", &[role(id)]),
        Step::AddPermission(id) => add_permission(tx, id.into(), &format!("action-{id}")),
        Step::DeletePermission(id) => tx.exec(
            "DELETE FROM permissions WHERE id = ?1",
            &[PermissionId::from_u128(id.into()).into()],
        ),
        Step::Grant(id, permission) => tx.exec(
            "INSERT INTO role_permissions (role_id, permission_id) VALUES (?1, ?2)
             ON CONFLICT (role_id, permission_id) DO NOTHING",
            &[role(id), PermissionId::from_u128(permission.into()).into()],
        ),
        Step::Revoke(id) => tx.exec(
            "DELETE FROM role_permissions WHERE role_id = ?1",
            &[role(id)],
        ),
        Step::AddMember(organization, user, role) => {
            add_member(tx, organization.into(), user.into(), role.into())
        }
        Step::ChangeMember(id, to) => tx.exec(
            "UPDATE organization_members SET role_id = ?2 WHERE user_id = ?1",
            &[user(id), role(to)],
        ),
        Step::Suspend(id, epoch) => tx.exec(
            "INSERT INTO user_states (user_id, state, token_epoch) VALUES (?1, 'suspended', ?2)
             ON CONFLICT (user_id) DO UPDATE SET token_epoch = excluded.token_epoch",
            &[user(id), i64::from(epoch).into()],
        ),
        Step::PutInstance(id, organization) => {
            let place = OrganizationId::from_u128(organization.into());
            let attributes = format!("{{\"size\":{}}}", id ^ organization);
            instances::put(
                tx,
                &"billing".parse().unwrap(),
                [(resource(), instance(id), (place, attributes))],
                NOW,
            )
            .map(|()| 1)
        }
        Step::DeleteInstance(id) => instances::delete(
            tx,
            &"billing".parse().unwrap(),
            &resource(),
            &[instance(id)],
        )
        .map(|()| 1),
        Step::DeleteEverythingOf(table) => {
            let sql = match table {
                0 => "DELETE FROM organization_members",
                1 => "DELETE FROM role_permissions",
                2 => "DELETE FROM user_states",
                _ => "UPDATE user_states SET token_epoch = token_epoch",
            };
            tx.exec(sql, &[])
        }
    }
}

fn resource() -> ResourceName {
    "invoice".parse().unwrap()
}

fn instance(id: u8) -> InstanceId {
    format!("ü-{id}").parse().unwrap()
}

type Copy = BTreeMap<(u16, Vec<String>), Vec<Cell>>;

fn key(cells: &[Cell]) -> Vec<String> {
    cells.iter().map(|cell| format!("{cell:?}")).collect()
}

fn key_len(id: u16) -> usize {
    REPLICATED
        .iter()
        .find(|table| table.id == id)
        .unwrap()
        .key_len
}

/// What somebody has who applied each frame in order, and nothing else.
fn copy(bench: &Bench) -> Copy {
    let mut copy = Copy::new();
    for sealed in bench.frames() {
        for op in Frame::decode(&sealed.payload).unwrap().ops {
            match op {
                Op::Put { table, cells } => {
                    copy.insert((table, key(&cells[..key_len(table)])), cells);
                }
                Op::Delete { table, key: cells } => {
                    copy.remove(&(table, key(&cells)));
                }
            }
        }
    }
    copy
}

fn scan(bench: &Bench) -> Copy {
    bench
        .store
        .read_blocking(|tx| {
            let mut rows = Copy::new();
            for table in REPLICATED {
                feed::scan(tx, table, &mut |cells| {
                    rows.insert((table.id, key(&cells[..table.key_len])), cells);
                })?;
            }
            Ok::<_, StoreError>(rows)
        })
        .unwrap()
}

pub(super) fn copy_equals_store(bench: &Bench) {
    assert_eq!(copy(bench), scan(bench));
}

/// Empties the world and forgets its history, so that one database serves many cases.
fn reset(bench: &Bench) {
    bench.put(|tx| {
        for table in [
            "organizations",
            "users",
            "roles",
            "permissions",
            "user_states",
        ] {
            tx.exec(&format!("DELETE FROM {table}"), &[])?;
        }
        Ok(())
    });
}

/// Runs each list as one transaction; gives what each did.
fn play(bench: &Bench, history: &[Vec<Step>]) -> Vec<(Result<Vec<u64>, String>, bool)> {
    history
        .iter()
        .map(|steps| {
            let result = bench.write(|tx| {
                steps
                    .iter()
                    .map(|step| run(tx, step))
                    .collect::<Result<Vec<_>, _>>()
            });
            let changed = result.as_ref().is_ok_and(|written| written.changed);
            let outcome = result
                .map(|written| written.value)
                .map_err(|error| match error {
                    // Engines name constraints each in their way.
                    StoreError::Unique { .. } => "unique".to_owned(),
                    StoreError::Check(_) => "check".to_owned(),
                    other => other.to_string(),
                });
            (outcome, changed)
        })
        .collect()
}

fn payloads(bench: &Bench, after: doorward::domain::Revision) -> Vec<Frame> {
    bench
        .store
        .read_blocking(|tx| feed::frames_after(tx, after, usize::MAX, usize::MAX))
        .unwrap()
        .iter()
        .map(|frame| Frame::decode(&frame.payload).unwrap())
        .collect()
}

#[test]
fn the_same_history_gives_the_same_frames_on_both_engines_and_rebuilds_the_tables() {
    let sqlite = Bench::sqlite();
    let postgres = Bench::postgres();
    let strategy = prop::collection::vec(prop::collection::vec(step(), 1..4), 1..25);
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&strategy, |history| {
            reset(&sqlite);
            let begin = sqlite.head().position.revision;
            let outcome = play(&sqlite, &history);
            let frames = payloads(&sqlite, begin);
            prop_assert_eq!(copy(&sqlite), scan(&sqlite));
            if let Some(postgres) = &postgres {
                reset(postgres);
                let begin = postgres.head().position.revision;
                prop_assert_eq!(&outcome, &play(postgres, &history));
                prop_assert_eq!(&frames, &payloads(postgres, begin));
                prop_assert_eq!(scan(&sqlite), scan(postgres));
            }
            Ok(())
        })
        .unwrap();
    sqlite.verify_history();
    if let Some(postgres) = postgres {
        postgres.verify_history();
        copy_equals_store(&postgres);
    }
}
