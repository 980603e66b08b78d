//! Databases that are refused, and disks that refuse.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use doorward::domain::Secret;
use doorward::store::{StoreConfig, StoreError, StoreLimits};

use super::bench::{Bench, add_organization, on_both_engines, open};
use crate::support;

on_both_engines! {
    a_schema_of_a_newer_program_is_refused,
    a_schema_of_another_build_is_refused,
    a_damaged_record_of_migrations_is_refused,
    a_reopened_store_goes_on_where_it_was,
}

fn reopen(bench: &Bench) -> Result<(), StoreError> {
    // SQLite's file is held by the bench: the refusal is looked for on a copy.
    let config = match &bench.config {
        StoreConfig::Sqlite { path } => {
            let copy = path.with_file_name("copy.db");
            let _ = std::fs::remove_file(&copy);
            bench
                .manual(&format!("VACUUM INTO '{}'", copy.display()))
                .unwrap();
            StoreConfig::Sqlite { path: copy }
        }
        config @ StoreConfig::Postgres { .. } => config.clone(),
    };
    open(&config, StoreLimits::default()).map(|store| {
        assert_eq!(
            store.read_blocking(doorward::store::feed::head).unwrap(),
            bench.head()
        );
    })
}

fn refusal(bench: &Bench) -> String {
    match reopen(bench) {
        Err(StoreError::Schema(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn a_schema_of_a_newer_program_is_refused(bench: &Bench) {
    bench
        .manual(
            "INSERT INTO schema_migrations SELECT 99, name, checksum, applied_at
             FROM schema_migrations WHERE version = 1",
        )
        .unwrap();
    let why = refusal(bench);
    assert!(why.contains("schema 99") && why.contains("newer"), "{why}");
}

fn a_schema_of_another_build_is_refused(bench: &Bench) {
    bench
        .manual("UPDATE schema_migrations SET checksum = 'other' WHERE version = 2")
        .unwrap();
    let why = refusal(bench);
    assert!(why.contains("migration 2"), "{why}");
}

fn a_damaged_record_of_migrations_is_refused(bench: &Bench) {
    bench
        .manual("DELETE FROM schema_migrations WHERE version = 1")
        .unwrap();
    let why = refusal(bench);
    assert!(why.contains("number 1 is missing"), "{why}");
}

fn a_reopened_store_goes_on_where_it_was(bench: &Bench) {
    bench.put(|tx| add_organization(tx, 1, "acme"));
    reopen(bench).unwrap();
}

fn sqlite(path: &Path) -> StoreConfig {
    StoreConfig::Sqlite {
        path: path.to_owned(),
    }
}

fn refused(config: &StoreConfig) -> StoreError {
    open(config, StoreLimits::default()).unwrap_err()
}

#[test]
fn a_file_of_something_else_is_refused_and_left_as_it_was() {
    let directory = support::directory();
    let path = directory.path().join("other.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE notes (text TEXT)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refused(&sqlite(&path));
    assert!(matches!(&error, StoreError::Schema(why) if why.contains("not a Doorward database")));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::write(
        &path,
        "a diary, and certainly no database at all\n".repeat(99),
    )
    .unwrap();
    let error = refused(&sqlite(&path));
    assert!(matches!(&error, StoreError::Schema(why) if why.contains("no SQLite database")));
}

#[test]
fn a_postgresql_database_of_something_else_is_refused_and_left_as_it_was() {
    let Some(url) = support::postgres::database_url() else {
        return;
    };
    let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).unwrap();
    client
        .batch_execute("CREATE TABLE notes (text TEXT)")
        .unwrap();
    let error = refused(&StoreConfig::Postgres {
        url: Secret::new(url),
        max_connections: 1,
    });
    assert!(
        matches!(&error, StoreError::Schema(why) if why.contains("`notes`")),
        "{error}"
    );
    let tables = client
        .query_one(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'",
            &[],
        )
        .unwrap();
    assert_eq!(tables.get::<_, i64>(0), 1);
}

#[test]
fn a_file_that_another_store_has_open_is_refused_by_each_of_its_names() {
    let bench = Bench::sqlite();
    let other = bench.path().with_file_name("other.db");
    std::os::unix::fs::symlink(bench.path(), &other).unwrap();
    let config = StoreConfig::Sqlite { path: other };
    let error = open(&config, StoreLimits::default()).unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("in use")));
}

#[test]
fn a_file_that_another_store_has_open_is_refused() {
    let bench = Bench::sqlite();
    let error = refused(&bench.config);
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("in use")));
    drop(bench.store);
    open(&bench.config, StoreLimits::default()).unwrap();
}

#[test]
fn a_missing_directory_is_told() {
    let directory = support::directory();
    let error = refused(&sqlite(&directory.path().join("missing/doorward.db")));
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("missing")));
}

#[test]
fn a_server_that_is_not_there_is_told_without_the_password() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = refused(&StoreConfig::Postgres {
        url: Secret::new(format!("postgres://u:hunter2@127.0.0.1:{port}/d")),
        max_connections: 1,
    });
    assert!(matches!(&error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn connections_that_the_server_ended_are_replaced() {
    let Some(bench) = Bench::postgres() else {
        return;
    };
    for round in 0..3_u128 {
        bench
            .manual(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .unwrap();
        bench.put(|tx| add_organization(tx, round, &format!("slug-{round}")));
    }
    bench.verify_history();
}

#[test]
fn a_full_disk_is_told_and_nothing_is_half_written() {
    let bench = Bench::sqlite();
    bench.put(|tx| add_organization(tx, 0, "before"));
    let pages = |limit: i64| {
        bench.put(|tx| tx.rows(&format!("PRAGMA max_page_count = {limit}"), &[]));
    };
    pages(1);
    let mut written = 0;
    let error = (1..10_000_u128)
        .find_map(|number| {
            let result = bench.write(|tx| {
                (0..20).try_for_each(|row| {
                    let id = number * 100 + row;
                    add_organization(tx, id, &format!("slug-{id}")).map(drop)
                })
            });
            written += i64::from(result.is_ok()) * 20;
            result.err()
        })
        .expect("the disk becomes full");
    assert_eq!(error, StoreError::Full);
    assert_eq!(bench.count("organizations"), 1 + written);
    bench.verify_history();
    pages(1_000_000);
    bench.put(|tx| add_organization(tx, 1, "after"));
    bench.verify_history();
}

const READ_ONLY: &str = "DOORWARD_TEST_READ_ONLY_STORE";

#[test]
#[ignore = "the process that the test below starts as another user"]
fn child_opens_a_store_it_may_not_write() {
    let Some(path) = std::env::var_os(READ_ONLY) else {
        return;
    };
    let error = refused(&sqlite(&PathBuf::from(path)));
    assert!(matches!(&error, StoreError::ReadOnly(_)), "{error:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_told_as_read_only() {
    let directory = support::directory();
    // Root may write anywhere: as root the child is another user.
    let program = directory.path().join("child");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output = command
        .args([
            "--exact",
            "store::refusals::child_opens_a_store_it_may_not_write",
        ])
        .args(["--ignored", "--test-threads=1"])
        .env(READ_ONLY, directory.path().join("doorward.db"))
        .current_dir("/")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_database_is_its_owners_alone_whatever_the_directory_allows() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = support::directory();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("doorward.db");
    let clock = doorward::runtime::ManualClock::at(doorward::domain::Timestamp::EPOCH);
    let store = doorward::store::Store::open(
        &StoreConfig::Sqlite { path },
        std::sync::Arc::new(clock),
        std::sync::Arc::new(doorward::runtime::SeededEntropy::new(1)),
    )
    .unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        files += 1;
    }
    assert!(files >= 3, "the database, its lock and its log");
    drop(store);
}
