//! `kill -9` at any moment: what was committed is there, and nothing is half there.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use doorward::domain::{Secret, UserId};
use doorward::protocol::feed::Frame;
use doorward::store::{Store, StoreConfig, StoreLimits};

use super::bench::{Bench, add_organization, add_role, open};
use super::histories::copy_equals_store;

const WHERE: &str = "DOORWARD_TEST_CRASH_STORE";
const ROUND: &str = "DOORWARD_TEST_CRASH_ROUND";

/// Rows that each write of the child makes together.
const TOGETHER: usize = 3;

fn write_one(store: &Store, id: u128) -> u64 {
    let written = store
        .write_blocking(|tx| {
            add_organization(tx, id, &format!("slug-{id}"))?;
            add_role(tx, id, &format!("role-{id}"))?;
            tx.exec(
                "INSERT INTO user_states (user_id, state) VALUES (?1, 'suspended')",
                &[UserId::from_u128(id).into()],
            )
        })
        .unwrap();
    written.position.revision.get()
}

#[test]
#[ignore = "the process that the tests below start and kill"]
fn child_writes_until_it_is_killed() {
    let Some(place) = std::env::var_os(WHERE) else {
        return;
    };
    let round: u128 = std::env::var_os(ROUND)
        .unwrap()
        .into_string()
        .unwrap()
        .parse()
        .unwrap();
    let place = place.into_string().unwrap();
    let config = if place.starts_with("postgres://") {
        StoreConfig::Postgres {
            url: Secret::new(place),
            max_connections: 2,
        }
    } else {
        StoreConfig::Sqlite {
            path: PathBuf::from(place),
        }
    };
    let store = open(&config, StoreLimits::default()).unwrap();
    let mut out = std::io::stdout();
    // An end even when nobody kills it.
    for number in 0..100_000 {
        let revision = write_one(&store, round << 64 | number);
        writeln!(out, "\ncommitted {revision}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts the child, kills it after `writes` commits were told, and gives the last one's revision.
fn killed_after(place: &str, round: usize, writes: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::crash::child_writes_until_it_is_killed"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(WHERE, place)
        .env(ROUND, (round + 1).to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let told = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok())
        .take(writes)
        .last();
    child.kill().unwrap();
    child.wait().unwrap();
    told.expect("the child writes")
}

fn verify(bench: &Bench, told: u64) {
    assert!(bench.head().position.revision.get() >= told);
    bench.verify_history();
    for sealed in bench.frames() {
        let frame = Frame::decode(&sealed.payload).unwrap();
        assert_eq!(frame.ops.len(), TOGETHER);
    }
    copy_equals_store(bench);
}

#[test]
fn kill_dash_nine_during_writes_loses_nothing_and_halves_nothing_on_sqlite() {
    let mut bench = Bench::sqlite();
    for (round, writes) in [1, 7, 20, 55].into_iter().enumerate() {
        let path = bench.path();
        let Bench {
            store,
            config,
            directory,
        } = bench;
        // One process at a time may have the file.
        drop(store);
        let told = killed_after(path.to_str().unwrap(), round, writes);
        bench = Bench {
            store: open(&config, StoreLimits::default()).unwrap(),
            config,
            directory,
        };
        verify(&bench, told);
    }
}

#[test]
fn kill_dash_nine_during_writes_loses_nothing_and_halves_nothing_on_postgresql() {
    let Some(bench) = Bench::postgres() else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &bench.config else {
        panic!("not PostgreSQL");
    };
    for (round, writes) in [1, 7, 20, 55].into_iter().enumerate() {
        let told = killed_after(url.expose(), round, writes);
        // The server may still be ending what the dead client began; a write waits for the counter.
        bench.put(|tx| tx.exec("UPDATE feed_state SET floor = floor", &[]));
        verify(&bench, told);
    }
}
