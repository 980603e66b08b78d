//! The copy's own rules, without an authority.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::crypto::sign::{FeedPublicKey, FeedSigner};
use crate::domain::user::UserState;
use crate::domain::{
    Chain, Epoch, FeedName, OrganizationId, Position, Revision, RoleId, Timestamp, UserId,
};
use crate::protocol::feed::{Cell, Frame, Op, SealedFrame, row_hash};
use crate::store::replicated::REPLICATED;

fn key() -> FeedPublicKey {
    FeedSigner::from_seed(&[1; 32]).unwrap().public()
}

fn start() -> Position {
    Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(Uuid::from_u128(1)),
        revision: Revision::ZERO,
        chain: Chain::ZERO,
    }
}

fn empty(folder: &TempDir) -> Replica {
    Builder::create(&folder.path().join("copy.db"), start(), &key())
        .unwrap()
        .finish(Timestamp::EPOCH)
        .unwrap()
}

fn bytes(id: u8) -> Cell {
    Cell::Bytes(vec![id; 16])
}

fn member(organization: u8, user: u8, role: u8) -> Op {
    Op::Put {
        table: 5,
        cells: vec![bytes(organization), bytes(user), bytes(role)],
    }
}

fn further(organization: u8, user: u8, role: u8) -> Op {
    Op::Put {
        table: 6,
        cells: vec![bytes(organization), bytes(user), bytes(role)],
    }
}

fn suspended(user: u8) -> Op {
    Op::Put {
        table: 7,
        cells: vec![bytes(user), Cell::Text("suspended".into()), Cell::Int(3)],
    }
}

fn no_member(organization: u8, user: u8) -> Op {
    Op::Delete {
        table: 5,
        key: vec![bytes(organization), bytes(user)],
    }
}

fn user(id: u8) -> UserId {
    UserId::from_uuid(Uuid::from_bytes([id; 16]))
}

fn organization(id: u8) -> OrganizationId {
    OrganizationId::from_uuid(Uuid::from_bytes([id; 16]))
}

fn role(id: u8) -> RoleId {
    RoleId::from_uuid(Uuid::from_bytes([id; 16]))
}

/// Seals frames after a position.
fn seal(position: Position, frames: &[Vec<Op>]) -> Vec<SealedFrame> {
    let (mut revision, mut chain) = (position.revision, position.chain);
    frames
        .iter()
        .map(|ops| {
            let payload = Frame {
                reset: false,
                ops: ops.clone(),
            }
            .encode();
            revision = revision.next();
            chain = chain.extend(revision, &payload);
            SealedFrame {
                revision,
                chain,
                payload,
            }
        })
        .collect()
}

fn apply(replica: &mut Replica, ops: Vec<Op>) -> Applied {
    let frames = seal(replica.position(), &[ops]);
    replica.apply(&Advance::frames(&frames)).unwrap()
}

#[test]
fn a_member_is_read_with_further_roles_and_state_in_one_step() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    let mut reader = ReplicaReader::open(replica.path()).unwrap();
    assert_eq!(reader.member(organization(1), user(1)).unwrap(), None);

    apply(
        &mut replica,
        vec![member(1, 1, 7), further(1, 1, 9), further(1, 1, 8)],
    );
    let facts = reader.member(organization(1), user(1)).unwrap().unwrap();
    assert_eq!(facts.roles, [role(7), role(8), role(9)]);
    assert_eq!(facts.state, UserState::Active);
    assert_eq!(reader.member(organization(2), user(1)).unwrap(), None);

    apply(&mut replica, vec![suspended(1)]);
    let facts = reader.member(organization(1), user(1)).unwrap().unwrap();
    assert_eq!((facts.state, facts.token_epoch), (UserState::Suspended, 3));
    assert_eq!(facts.roles, [role(7), role(8), role(9)]);
}

#[test]
fn an_addition_need_not_wait_for_the_disk_and_everything_else_does() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    assert!(!apply(&mut replica, vec![member(1, 1, 7)]).durable);
    assert!(
        !apply(&mut replica, vec![member(1, 1, 7)]).durable,
        "no change"
    );
    assert!(
        apply(&mut replica, vec![member(1, 1, 8)]).durable,
        "a downgrade is a put"
    );
    assert!(
        apply(&mut replica, vec![suspended(5)]).durable,
        "a suspension is a new row"
    );
    assert!(apply(&mut replica, vec![no_member(1, 1)]).durable);
}

#[test]
fn what_changed_is_told_so_that_caches_can_forget_it() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    let applied = apply(
        &mut replica,
        vec![
            member(1, 2, 7),
            further(1, 1, 9),
            suspended(3),
            member(2, 2, 7),
        ],
    );
    assert_eq!(applied.touched_users, [user(1), user(2), user(3)]);
    assert!(!applied.policy_changed && !applied.organizations_changed);
    let applied = apply(
        &mut replica,
        vec![Op::Put {
            table: 4,
            cells: vec![bytes(1), bytes(2)],
        }],
    );
    assert!(applied.policy_changed && applied.touched_users.is_empty());
}

#[test]
fn a_frame_out_of_order_or_off_the_chain_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    let frames = seal(
        start(),
        &[
            vec![member(1, 1, 1)],
            vec![member(1, 2, 1)],
            vec![member(1, 3, 1)],
        ],
    );
    let before = replica.meta().clone();

    let error = replica.apply(&Advance::frames(&frames[1..])).unwrap_err();
    assert!(matches!(error, ReplicaError::Gap { .. }), "{error}");
    let swapped = [frames[0].clone(), frames[2].clone()];
    let error = replica.apply(&Advance::frames(&swapped)).unwrap_err();
    assert!(matches!(error, ReplicaError::Gap { .. }), "{error}");
    let mut garbled = frames.clone();
    garbled[1].payload = frames[2].payload.clone();
    let error = replica.apply(&Advance::frames(&garbled)).unwrap_err();
    assert!(matches!(error, ReplicaError::Chain { .. }), "{error}");

    assert_eq!(replica.meta(), &before);
    assert_eq!(replica.rows(5).unwrap().unwrap(), Vec::<Vec<Cell>>::new());
    replica.apply(&Advance::frames(&frames)).unwrap();
    let again = replica.apply(&Advance::frames(&frames)).unwrap();
    assert_eq!(again.frames, 0, "a duplicate is passed over");
    replica.verify().unwrap();
}

#[test]
fn a_reset_marker_and_a_poison_frame_ask_for_a_snapshot() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    let sealed = |payload: Vec<u8>| SealedFrame {
        revision: Revision::new(1),
        chain: Chain::ZERO.extend(Revision::new(1), &payload),
        payload,
    };
    for payload in [
        Frame::reset_marker().encode(),
        b"no frame".to_vec(),
        Frame {
            reset: false,
            ops: vec![Op::Put {
                table: 5,
                cells: vec![bytes(1)],
            }],
        }
        .encode(),
        Frame {
            reset: false,
            ops: vec![Op::Put {
                table: 1,
                cells: vec![bytes(1), Cell::Null],
            }],
        }
        .encode(),
    ] {
        let error = replica
            .apply(&Advance::frames(&[sealed(payload)]))
            .unwrap_err();
        assert!(error.needs_snapshot() && !error.discard(), "{error}");
        assert_eq!(replica.position(), start());
    }
}

#[test]
fn tables_and_columns_of_the_future_are_passed_over() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    apply(
        &mut replica,
        vec![
            Op::Put {
                table: 999,
                cells: vec![bytes(1)],
            },
            Op::Put {
                table: 5,
                cells: vec![bytes(1), bytes(2), bytes(3), Cell::Text("new".into())],
            },
        ],
    );
    replica.verify().unwrap();
    assert_eq!(
        replica.rows(5).unwrap().unwrap(),
        [[bytes(1), bytes(2), bytes(3)]]
    );
}

#[test]
fn an_epoch_moves_the_numbers_and_the_chain_runs_on() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    apply(&mut replica, vec![member(1, 1, 1)]);
    let new = NewEpoch {
        epoch: Epoch::from_uuid(Uuid::from_u128(2)),
        first_revision: Revision::new(1_000_002),
    };
    let mut position = replica.position();
    position.revision = Revision::new(1_000_001);
    let frames = seal(position, &[vec![member(1, 2, 1)]]);
    assert!(replica.apply(&Advance::frames(&frames)).is_err());
    replica
        .apply(&Advance {
            frames: &frames,
            epoch: Some(new),
            signed_time: Some(Timestamp::from_unix_micros(5)),
        })
        .unwrap();
    assert_eq!(replica.position().epoch, new.epoch);
    assert_eq!(replica.position().revision, Revision::new(1_000_002));
    let path = replica.path().to_owned();
    drop(replica);
    let replica = Replica::open(&path).unwrap().unwrap();
    assert_eq!(replica.meta().signed_time, Timestamp::from_unix_micros(5));
}

#[test]
fn a_file_that_is_no_copy_is_told_apart_from_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("copy.db");
    assert!(Replica::open(&path).unwrap().is_none());
    for content in [&b""[..], b"hello", &[0; 8192]] {
        std::fs::write(&path, content).unwrap();
        let error = Replica::open(&path).unwrap_err();
        assert!(error.discard(), "{error}");
    }
}

#[test]
fn a_flipped_bit_is_found_or_changed_no_row() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    apply(&mut replica, (0..200).map(|n| member(n, 3, 0xA5)).collect());
    let rows = replica.rows(5).unwrap();
    let image = folder.path().join("image.db");
    Replica::vacuum_into(replica.path(), &image).unwrap();
    let clean = std::fs::read(&image).unwrap();

    let mut found = 0;
    for at in (0..clean.len()).step_by(787) {
        let mut damaged = clean.clone();
        damaged[at] ^= 0x10;
        writer::remove(&image).unwrap();
        std::fs::write(&image, damaged).unwrap();
        match Replica::open(&image).and_then(|copy| {
            let copy = copy.unwrap();
            copy.verify()?;
            copy.rows(5)
        }) {
            Ok(read) => assert_eq!(read, rows, "byte {at}"),
            Err(error) => {
                assert!(error.discard(), "byte {at}: {error:?}");
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn an_index_that_disagrees_with_its_table_is_found() {
    let folder = TempDir::new().unwrap();
    let mut replica = empty(&folder);
    let put = |id: u8| Op::Put {
        table: 1,
        cells: vec![bytes(id), Cell::Text(format!("slug-number-{id}"))],
    };
    apply(&mut replica, vec![put(1), put(2)]);
    let image = folder.path().join("image.db");
    Replica::vacuum_into(replica.path(), &image).unwrap();
    let clean = std::fs::read(&image).unwrap();
    let places: Vec<usize> = (0..clean.len())
        .filter(|at| clean[*at..].starts_with(b"slug-number-2"))
        .collect();
    assert_eq!(places.len(), 2, "once in the table, once in the index");
    for at in places {
        let mut damaged = clean.clone();
        damaged[at + 12] = b'7';
        writer::remove(&image).unwrap();
        std::fs::write(&image, damaged).unwrap();
        let error = Replica::open(&image)
            .unwrap()
            .unwrap()
            .verify()
            .unwrap_err();
        assert!(error.discard(), "{error}");
    }
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0_u8..5;
    (id.clone(), id.clone(), id, 0..5).prop_map(|(a, b, c, kind)| match kind {
        0 => member(a, b, c),
        1 => no_member(a, b),
        2 => further(a, b, c),
        3 => suspended(b),
        _ => Op::Delete {
            table: 6,
            key: vec![bytes(a), bytes(b), bytes(c)],
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_batching_of_any_history_gives_the_same_copy(
        history in prop::collection::vec(prop::collection::vec(op(), 0..6), 1..25),
        cuts in prop::collection::vec(1_usize..6, 25),
    ) {
        let folder = TempDir::new().unwrap();
        let mut replica = empty(&folder);
        let frames = seal(start(), &history);
        let mut rest = &frames[..];
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            replica.apply(&Advance::frames(now)).unwrap();
            rest = later;
        }
        replica.apply(&Advance::frames(rest)).unwrap();

        let mut model: BTreeMap<(u16, Vec<Cell>), Vec<Cell>> = BTreeMap::new();
        for op in history.into_iter().flatten() {
            match op {
                Op::Put { table, cells } => {
                    let table_len = REPLICATED.iter().find(|t| t.id == table).unwrap().key_len;
                    model.insert((table, cells[..table_len].to_vec()), cells);
                }
                Op::Delete { table, key } => { model.remove(&(table, key)); }
            }
        }
        let mut state = [0_u64; 4];
        for ((table, _), cells) in &model {
            meta::add(&mut state, row_hash(*table, cells));
        }
        prop_assert_eq!(replica.state(), state);
        for table in [5, 6, 7] {
            let want: Vec<_> = model.iter().filter(|((t, _), _)| *t == table).map(|(_, c)| c.clone()).collect();
            prop_assert_eq!(replica.rows(table).unwrap().unwrap(), want);
        }
        prop_assert_eq!(replica.position().chain, frames.last().unwrap().chain);
        replica.verify().unwrap();
    }
}
