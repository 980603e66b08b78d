//! What the feed costs: applying changes, making a snapshot, recounting a copy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark may panic and is not read as an API"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use doorward::crypto::sign::FeedSigner;
use doorward::domain::{Chain, Epoch, FeedName, Position, Revision, Timestamp};
use doorward::protocol::feed::{Cell, Frame, Op, SealedFrame};
use doorward::replication::signing::HeadSigner;
use doorward::replication::snapshot;
use doorward::runtime::SystemClock;
use doorward::store::replica::{Advance, Builder, Replica};
use doorward::store::replicated::REPLICATED;
use uuid::Uuid;

const MEMBERS: u64 = 100_000;
const PER_ORGANIZATION: u64 = 50;

fn signer() -> Arc<FeedSigner> {
    Arc::new(FeedSigner::from_seed(&[1; 32]).unwrap())
}

/// Spread over the whole key space, the same in each run.
fn id(space: u64, number: u64) -> Cell {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Cell::Bytes(Uuid::from_u64_pair(mixed, space).as_bytes().to_vec())
}

fn member(number: u64, role: u64) -> Vec<Cell> {
    vec![id(1, number / PER_ORGANIZATION), id(2, number), id(3, role)]
}

fn world(folder: &Path) -> Replica {
    let position = Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(Uuid::from_u128(1)),
        revision: Revision::ZERO,
        chain: Chain::ZERO,
    };
    let path = folder.join("copy.db");
    let mut builder = Builder::create(&path, position, &signer().public()).unwrap();
    let members = REPLICATED.iter().find(|table| table.id == 5).unwrap();
    for number in 0..MEMBERS {
        builder
            .insert(members, &member(number, number % 7))
            .unwrap();
    }
    builder.finish(Timestamp::EPOCH).unwrap()
}

/// `count` frames of one change each after the copy's position: a role given, or changed.
fn frames(replica: &Replica, count: u64, new: bool, salt: &mut u64) -> Vec<SealedFrame> {
    let position = replica.position();
    let (mut revision, mut chain) = (position.revision, position.chain);
    (0..count)
        .map(|_| {
            *salt += 1;
            let number = if new {
                MEMBERS + *salt
            } else {
                salt.wrapping_mul(7919) % MEMBERS
            };
            let cells = member(number, *salt % 1000);
            let payload = Frame {
                reset: false,
                ops: vec![Op::Put { table: 5, cells }],
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

fn replication(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let replica = std::cell::RefCell::new(world(folder.path()));
    let mut salt = 0;
    for (name, count, new) in [
        ("apply_one_addition", 1, true),
        ("apply_one_change_durable", 1, false),
        ("apply_batch_of_100_changes", 100, false),
        ("apply_batch_of_1000_changes", 1000, false),
    ] {
        let mut group = criterion.benchmark_group("replication");
        group.throughput(Throughput::Elements(count));
        group.sample_size(20);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || frames(&replica.borrow(), count, new, &mut salt),
                |frames| {
                    let mut replica = replica.borrow_mut();
                    black_box(replica.apply(&Advance::frames(&frames)).unwrap());
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
    let head_signer = HeadSigner::new(signer(), Arc::new(SystemClock), Timestamp::EPOCH);
    let mut group = criterion.benchmark_group("replication");
    group.sample_size(10);
    group.throughput(Throughput::Elements(MEMBERS));
    group.bench_function("snapshot_of_100k_members", |bencher| {
        bencher.iter(|| snapshot::build(&replica.borrow(), folder.path(), &head_signer).unwrap());
    });
    group.bench_function("recount_of_100k_members", |bencher| {
        bencher.iter(|| black_box(replica.borrow().recount().unwrap()));
    });
    group.finish();
}

criterion_group!(benches, replication);
criterion_main!(benches);
