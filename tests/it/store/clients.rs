//! What is remembered of clients rests on this: every write that may change one is counted.

use doorward::domain::{ClientId, ClientKind, Scopes, TokenDigest};
use doorward::store::clients::{self, Client, ClientState};
use doorward::store::{StoreError, Tx};

use super::bench::{Bench, NOW, add_user};

fn add_client(tx: &mut dyn Tx) -> Result<(), StoreError> {
    let client = Client {
        id: ClientId::from_u128(1),
        identifier: "robot".parse().unwrap(),
        name: "Robot".to_owned(),
        kind: ClientKind::Operator,
        scopes: Scopes::default(),
        state: ClientState::Active,
        token_epoch: 0,
        created_at: NOW,
    };
    clients::insert(tx, &client, Some(TokenDigest::from_bytes([7; 32])))
}

/// How many writes the store counted during `work`.
fn counted<T>(bench: &Bench, work: impl FnOnce() -> T) -> u64 {
    let before = bench.store.client_writes().unwrap();
    let _ = work();
    bench.store.client_writes().unwrap() - before
}

#[test]
fn a_write_that_changes_a_client_is_counted_and_others_are_not() {
    let bench = Bench::sqlite();
    assert_eq!(counted(&bench, || bench.put(add_client)), 1);
    assert_eq!(counted(&bench, || bench.put(|tx| add_user(tx, 1))), 0);
    let client = bench
        .store
        .read_blocking(|tx| clients::find(tx, ClientId::from_u128(1)))
        .unwrap()
        .unwrap();
    assert_eq!(
        counted(&bench, || bench.put(|tx| clients::retire(tx, &client, NOW))),
        1
    );
    let read = || {
        bench
            .store
            .read_blocking(|tx| clients::secrets(tx, client.id))
            .unwrap();
    };
    assert_eq!(counted(&bench, read), 0);
}

#[test]
fn a_write_that_failed_is_counted_too() {
    let bench = Bench::sqlite();
    let fails = || {
        let failed = bench.write(|tx| {
            add_client(tx)?;
            Err::<(), _>(StoreError::Full)
        });
        assert!(failed.is_err());
    };
    assert_eq!(counted(&bench, fails), 1);
}

#[tokio::test]
async fn a_write_of_a_group_is_counted_before_its_caller_is_answered() {
    let bench = Bench::sqlite();
    let before = bench.store.client_writes().unwrap();
    bench.store.write(add_client).await.unwrap();
    assert_eq!(bench.store.client_writes().unwrap(), before + 1);
    bench.store.write(|tx| add_user(tx, 1)).await.unwrap();
    assert_eq!(bench.store.client_writes().unwrap(), before + 1);
}

#[test]
fn on_postgresql_where_others_write_too_nothing_is_counted() {
    if let Some(bench) = Bench::postgres() {
        assert_eq!(bench.store.client_writes(), None);
    }
}

/// The tables whose statements are counted. A new one of a client's belongs there, and here.
const OF_A_CLIENT: [&str; 5] = [
    "oauth_clients",
    "client_settings",
    "client_states",
    "client_secrets",
    "client_details",
];

#[test]
fn no_other_table_cascades_into_a_clients_and_no_trigger_writes_one() {
    let bench = Bench::sqlite();
    let connection = rusqlite::Connection::open(bench.path()).unwrap();
    for table in OF_A_CLIENT {
        let mut keys = connection
            .prepare("SELECT \"table\" FROM pragma_foreign_key_list(?1)")
            .unwrap();
        let parents: Vec<String> = keys
            .query_map([table], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for parent in parents {
            assert!(OF_A_CLIENT.contains(&parent.as_str()), "{parent} > {table}");
        }
    }
    let mut triggers = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap();
    let triggers: Vec<(String, String)> = triggers
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(!triggers.is_empty());
    for (name, sql) in triggers {
        let (_, body) = sql.split_once("BEGIN").unwrap();
        for table in OF_A_CLIENT {
            assert!(!body.contains(table), "{name} writes {table}");
        }
    }
}
