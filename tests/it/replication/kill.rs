//! `kill -9` in the middle of applying: the copy is a whole revision, and goes on.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use doorward::domain::{Chain, Epoch, FeedName, Position, Revision, Timestamp};
use doorward::protocol::feed::{Cell, Frame, Op, SealedFrame};
use doorward::store::replica::{Advance, Builder, Replica};
use uuid::Uuid;

use super::support::*;

const COPY: &str = "DOORWARD_TEST_KILLED_COPY";
const FRAMES: u64 = 4_000;

fn start() -> Position {
    Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(Uuid::from_u128(1)),
        revision: Revision::ZERO,
        chain: Chain::ZERO,
    }
}

/// The same frames in parent and child.
fn frames() -> Vec<SealedFrame> {
    let random = Random::new(77);
    let mut chain = Chain::ZERO;
    (1..=FRAMES)
        .map(|number| {
            let ops = (0..=random.below(6))
                .map(|_| {
                    let key = vec![
                        Cell::Bytes(vec![random.small(20); 16]),
                        Cell::Bytes(vec![random.small(20); 16]),
                    ];
                    if random.below(3) == 0 {
                        return Op::Delete { table: 5, key };
                    }
                    let mut cells = key;
                    cells.push(Cell::Bytes(vec![random.small(5); 16]));
                    Op::Put { table: 5, cells }
                })
                .collect();
            let payload = Frame { reset: false, ops }.encode();
            let revision = Revision::new(number);
            chain = chain.extend(revision, &payload);
            SealedFrame {
                revision,
                chain,
                payload,
            }
        })
        .collect()
}

fn after(revision: Revision, frames: &[SealedFrame]) -> &[SealedFrame] {
    &frames[usize::try_from(revision.get()).unwrap()..]
}

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "run by `a_copy_killed_while_applying_is_whole_and_goes_on`"]
#[expect(
    clippy::disallowed_methods,
    reason = "how the parent reaches its child"
)]
#[expect(clippy::print_stdout, reason = "how the child reaches its parent")]
fn the_killed_child() {
    let Ok(path) = std::env::var(COPY) else {
        return;
    };
    let mut replica = Replica::open(Path::new(&path)).unwrap().unwrap();
    let frames = frames();
    for frame in after(replica.position().revision, &frames) {
        replica
            .apply(&Advance::frames(std::slice::from_ref(frame)))
            .unwrap();
        println!("applied");
    }
}

/// Runs the child until it has applied about `count` frames, and kills it there.
fn apply_and_kill(path: &Path, count: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "replication::kill::the_killed_child"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(COPY, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut applied = 0;
    for line in lines {
        applied += u64::from(line.unwrap().contains("applied"));
        if applied == count {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_copy_killed_while_applying_is_whole_and_goes_on() {
    let folder = crate::support::directory();
    let make = |name: &str| -> PathBuf {
        let path = folder.path().join(name);
        Builder::create(&path, start(), &signer().public())
            .unwrap()
            .finish(Timestamp::EPOCH)
            .unwrap();
        path
    };
    let (killed, reference) = (make("killed.db"), make("reference.db"));
    let mut reference = Replica::open(&reference).unwrap().unwrap();
    let frames = frames();
    let random = Random::new(3);
    for _ in 0..12 {
        apply_and_kill(&killed, 1 + random.below(150));
        let copy = Replica::open(&killed).unwrap().unwrap();
        copy.verify().unwrap();
        let at = copy.position();
        let until = after(reference.position().revision, &frames);
        let step = usize::try_from(at.revision.get() - reference.position().revision.get());
        reference
            .apply(&Advance::frames(&until[..step.unwrap()]))
            .unwrap();
        assert_eq!(reference.position(), at);
        assert_eq!(reference.state(), copy.state());
        assert_eq!(reference.rows(5).unwrap(), copy.rows(5).unwrap());
    }
    assert!(reference.position().revision > Revision::ZERO);
}
