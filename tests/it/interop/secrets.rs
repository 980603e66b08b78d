//! After many whole flows neither the database nor the logs hold anything that would open a door.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use doorward::runtime::{SystemClock, SystemEntropy};
use doorward::store::{Store, StoreError};
use serde_json::Value;

use super::programs::Needed;
use super::world::{Setup, World};
use crate::hardening::wire::{At, exchange, request};

const FLOWS: usize = 100;

/// What is looked for, with where it came from.
struct Needle {
    kind: String,
    text: String,
}

/// Each secret as it is, and as a column of bytes or a careless encoding would show it.
fn needles(home: &Path) -> Vec<Needle> {
    let text = std::fs::read_to_string(home.join("secrets.json")).unwrap();
    let told: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let mut secrets: Vec<(String, String)> = told
        .into_iter()
        .flat_map(|(kind, values)| {
            let values: Vec<String> = serde_json::from_value(values).unwrap();
            values.into_iter().map(move |value| (kind.clone(), value))
        })
        .collect();
    let provider = std::fs::read_to_string(home.join("upstream.tokens")).unwrap();
    assert!(provider.lines().count() >= FLOWS, "the provider was asked");
    secrets.extend(
        provider
            .lines()
            .map(|token| ("provider token".to_owned(), token.to_owned())),
    );
    let settings = super::world::settings(home);
    for app in settings["clients"].as_object().unwrap().values() {
        if let Some(secret) = app["secret"].as_str() {
            secrets.push(("client secret".to_owned(), secret.to_owned()));
        }
    }
    secrets.push((
        "provider's client secret".to_owned(),
        "yardstick-secret-yardstick-secret".to_owned(),
    ));
    secrets
        .into_iter()
        .filter(|(_, text)| text.len() >= 8)
        .flat_map(|(kind, text)| {
            // People type a user code with or without its hyphen.
            let bare = (kind == "user_code").then(|| text.replace('-', ""));
            bare.into_iter()
                .chain([text])
                .map(move |text| (kind.clone(), text))
        })
        .flat_map(|(kind, text)| {
            [
                HEXLOWER.encode(text.as_bytes()),
                BASE64.encode(text.as_bytes()),
                BASE64URL_NOPAD.encode(text.as_bytes()),
                text,
            ]
            .map(|text| Needle {
                kind: kind.clone(),
                text,
            })
        })
        .collect()
}

/// Which of them a text holds. Texts are long and needles many, so each place is looked up by its
/// first eight bytes.
fn found(name: &str, text: &[u8], needles: &[Needle]) -> Vec<String> {
    let window = |bytes: &[u8]| -> [u8; 8] { bytes[..8].try_into().unwrap() };
    let mut by_start = std::collections::HashMap::<[u8; 8], Vec<&Needle>>::new();
    for needle in needles {
        by_start
            .entry(window(needle.text.as_bytes()))
            .or_default()
            .push(needle);
    }
    let mut found = std::collections::BTreeSet::new();
    for (at, start) in text.windows(8).enumerate() {
        for needle in by_start.get(start).into_iter().flatten() {
            if text[at..].starts_with(needle.text.as_bytes()) {
                found.insert(format!("{name} holds a {}: {}", needle.kind, needle.text));
            }
        }
    }
    found.into_iter().collect()
}

/// Everything the database has, as text or as the file's bytes.
fn dump(world: &World, setup: &Setup) -> Vec<u8> {
    let Some(url) = &setup.postgres else {
        let data = world.path("data");
        return ["doorward.db", "doorward.db-wal"]
            .iter()
            .filter_map(|name| std::fs::read(data.join(name)).ok())
            .flatten()
            .collect();
    };
    let program = std::fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .map(|version| version.unwrap().path().join("bin/pg_dump"))
        .find(|program| program.exists())
        .expect("pg_dump comes with the server");
    let output = Command::new(program)
        .arg("--dbname")
        .arg(url)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// All that there is to log, and what libraries say of their work.
const EVERYTHING: &str = "debug,doorward=trace";

fn log(world: &World) -> Vec<u8> {
    std::fs::read(world.path("authority.log")).unwrap()
}

/// Writes one of the secrets to a row and has the authority log it. The search must find both, or
/// what it did not find before proves nothing.
fn what_is_planted_is_found(world: &mut World, setup: &Setup, needles: &[Needle]) {
    let planted = needles
        .iter()
        .rev()
        .find(|needle| needle.kind == "refresh_token" && needle.text.starts_with("dwr_"))
        .expect("a refresh token");
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
    let store = Store::open(&setup.store(&world.home), clock, entropy).unwrap();
    store
        .write_blocking::<_, StoreError>(|tx| {
            let row = "UPDATE users SET display_name = ?1 WHERE id = \
                       (SELECT id FROM users ORDER BY id LIMIT 1)";
            assert_eq!(tx.exec(row, &[planted.text.as_str().into()])?, 1);
            Ok(())
        })
        .unwrap();
    drop(store);
    world.run();
    let settings = super::world::settings(&world.home);
    let issuer = settings["issuer"].as_str().unwrap();
    let address = issuer.strip_prefix("http://").unwrap().parse().unwrap();
    let header = format!("x-request-id: {}\r\n", planted.text);
    let asked = request("GET", "/.well-known/jwks.json", &header, b"");
    exchange(At::Tcp(address), &asked).unwrap().expect(200);
    world.stop();
    let told = |name: &str| vec![format!("{name} holds a refresh_token: {}", planted.text)];
    let dump = dump(world, setup);
    assert_eq!(found("the database", &dump, needles), told("the database"));
    assert_eq!(found("the log", &log(world), needles), told("the log"));
}

fn nothing_raw_is_left(postgres: Option<String>) {
    let setup = Setup {
        postgres,
        log: Some(EVERYTHING),
    };
    let mut world = World::start(&setup);
    let mut flows = world.node("flows.mjs");
    let output = flows
        .arg(FLOWS.to_string())
        .arg(world.path("secrets.json"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    world.stop();
    let (needles, log) = (needles(&world.home), log(&world));
    let text = String::from_utf8_lossy(&log);
    assert!(text.matches(" answered ").count() >= 5 * FLOWS);
    assert!(
        text.contains(" hyper_util::"),
        "what libraries say is looked at"
    );
    let mut all = found("the database", &dump(&world, &setup), &needles);
    all.extend(found("the log", &log, &needles));
    assert!(all.is_empty(), "{}", all.join("\n"));
    what_is_planted_is_found(&mut world, &setup, &needles);
}

#[test]
fn after_a_hundred_flows_sqlite_and_the_logs_hold_no_raw_secret() {
    if Needed::Node.is_there() {
        nothing_raw_is_left(None);
    }
}

#[test]
fn after_a_hundred_flows_postgresql_and_the_logs_hold_no_raw_secret() {
    if !Needed::Node.is_there() {
        return;
    }
    if let Some(url) = crate::support::postgres::database_url() {
        nothing_raw_is_left(Some(url));
    }
}
