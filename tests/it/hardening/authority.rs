//! `doorward-authority`: starts that cannot work, stops, and what survives.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;

use serde_json::json;

use super::process::{AUTHORITY, run};
use super::wire::{Reply, by};
use super::world::{Authority, init, verify_history};
use crate::support::directory;

/// Runs `serve` on a directory, in vain.
fn serve(data: &Path) -> super::process::Finished {
    run(
        AUTHORITY,
        &["serve", "--data", data.to_str().unwrap()],
        &[("DOORWARD_AUTHORITY__LISTEN", "127.0.0.1:0")],
    )
}

#[test]
fn a_second_init_changes_nothing_and_shows_no_secret() {
    let directory = directory();
    init(directory.path());
    let arguments = ["init", "--data", directory.path().to_str().unwrap()];
    let printed = run(AUTHORITY, &arguments, &[]).succeeded();
    assert!(printed.contains("already"), "{printed}");
    assert!(!printed.contains("dwc_") && !printed.contains("client_secret"));
}

#[test]
fn wrong_arguments_and_wrong_configuration_have_codes_of_their_own() {
    run(AUTHORITY, &["conquer"], &[]).refused(64, &["conquer"]);
    run(AUTHORITY, &["serve"], &[]).refused(78, &["data", "--data"]);
    let directory = directory();
    let file = directory.path().join("authority.toml");
    let path = file.to_str().unwrap();
    run(AUTHORITY, &["serve", "--config", path], &[]).refused(78, &[path]);
    std::fs::write(&file, "data = [broken").unwrap();
    run(AUTHORITY, &["serve", "--config", path], &[]).refused(78, &[path]);
    std::fs::write(&file, b"data = '\xFF'").unwrap();
    run(AUTHORITY, &["serve", "--config", path], &[]).refused(78, &[path]);
    std::fs::write(
        &file,
        "data = 5\nissuer = 'ftp://x'\ncolour = 'red'\nlisten = ['nowhere']\n\
         [lifetimes]\naccess = 'soon'\n[store]\nmax_connections = 0\n",
    )
    .unwrap();
    run(AUTHORITY, &["serve", "--config", path], &[]).refused(
        78,
        &[
            "data",
            "issuer",
            "colour",
            "listen",
            "lifetimes.access",
            "store.max_connections",
        ],
    );
    // A value in the environment is looked at like one in the file.
    let variable = [("DOORWARD_AUTHORITY__LIFETIMES__ACCESS", "never")];
    run(AUTHORITY, &["serve", "--data", "/d"], &variable)
        .refused(78, &["environment", "lifetimes.access"]);
}

#[test]
fn serving_what_init_never_made_says_so() {
    let directory = directory();
    serve(directory.path()).refused(78, &["doorward-authority init"]);
}

#[test]
fn a_port_in_use_is_named_and_the_store_is_not_touched() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(
        AUTHORITY,
        &["serve", "--data", directory.path().to_str().unwrap()],
        &[("DOORWARD_AUTHORITY__LISTEN", &address)],
    )
    .refused(1, &[&address, "in use"]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn one_directory_is_served_by_one_authority() {
    let directory = directory();
    let mut first = Authority::start(directory.path(), "");
    serve(directory.path()).refused(1, &["in use"]);
    assert!(first.process().runs());
    first.stop();
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() {
    let directory = directory();
    init(directory.path());
    let file = directory.path().join("doorward.db");
    let whole = std::fs::read(&file).unwrap();
    let mut no_database = whole.clone();
    no_database[..64].fill(0);
    let cut = whole[..whole.len() / 2].to_vec();
    let mut holed = whole.clone();
    holed[4096..whole.len() / 2].fill(0xA5);
    for damaged in [no_database, cut, holed] {
        std::fs::write(&file, &damaged).unwrap();
        serve(directory.path()).refused(1, &["the store"]);
        assert!(std::fs::read(&file).unwrap() == damaged, "it was written");
    }
    std::fs::write(&file, &whole).unwrap();
    let mut authority = Authority::reopen(directory.path(), "");
    authority.stop();
}

#[test]
fn a_schema_of_a_newer_program_is_refused() {
    let directory = directory();
    init(directory.path());
    let file = directory.path().join("doorward.db");
    let database = rusqlite::Connection::open(file).unwrap();
    database
        .execute(
            "INSERT INTO schema_migrations SELECT 99, name, checksum, applied_at
             FROM schema_migrations WHERE version = 1",
            [],
        )
        .unwrap();
    drop(database);
    serve(directory.path()).refused(1, &["99", "newer"]);
}

#[test]
fn a_key_file_that_is_missing_damaged_foreign_or_exposed_is_refused() {
    let (first, second) = (directory(), directory());
    init(first.path());
    init(second.path());
    let file = first.path().join("doorward.keys");
    let own = std::fs::read(&file).unwrap();
    let foreign = std::fs::read(second.path().join("doorward.keys")).unwrap();
    let path = file.to_str().unwrap();
    std::fs::remove_file(&file).unwrap();
    serve(first.path()).refused(74, &[path]);
    for (text, said) in [
        (&b"no keys at all"[..], "key"),
        (b"", "key"),
        (b"\xFF\xFE", path),
        (&foreign, "does not belong to this database"),
    ] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let code = if said == path { 74 } else { 78 };
        serve(first.path()).refused(code, &[said]);
    }
    std::fs::write(&file, &own).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    serve(first.path()).refused(78, &["chmod 600"]);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    Authority::reopen(first.path(), "").stop();
}

#[test]
fn sigterm_lets_an_open_request_end() {
    let directory = directory();
    let mut authority = Authority::start(directory.path(), "");
    let body = json!({"display_name": "Late Lea"}).to_string();
    let (first, rest) = body.split_at(5);
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n{}\r\n",
        body.len(),
        by(&authority.token())
    );
    let mut stream = TcpStream::connect(authority.address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // Said when the handler begins to read the body: the request is under way.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"));
    stream.write_all(first.as_bytes()).unwrap();
    authority.process().terminate();
    authority.process().line(0, "stopping");
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 201"), "{answer}");
    assert!(authority.process().wait().success());
}

/// What a storm of writes was told.
#[derive(Default)]
struct Told {
    slugs: BTreeSet<String>,
    revision: u64,
}

/// Writes from two threads until the authority is killed, which happens after `writes` answers.
fn storm(authority: &mut Authority, owner: &str, round: usize, writes: usize, told: &Mutex<Told>) {
    let token = authority.token();
    let enough = told.lock().unwrap().slugs.len() + writes;
    let shared = &*authority;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|writer| {
                let token = &token;
                scope.spawn(move || {
                    for number in 0.. {
                        let slug = format!("org-{round}-{writer}-{number}");
                        let body = json!({"name": slug, "slug": slug, "owner": owner});
                        let reply = shared.try_call(token, "POST", "/v1/organizations", &body);
                        let Some(reply) = reply.filter(|reply: &Reply| !reply.body.is_empty())
                        else {
                            return;
                        };
                        let answer = reply.expect(201);
                        let freshness = answer["freshness"].as_str().unwrap();
                        let revision = freshness.rsplit('.').next().unwrap().parse().unwrap();
                        let mut told = told.lock().unwrap();
                        told.slugs.insert(slug);
                        told.revision = told.revision.max(revision);
                    }
                })
            })
            .collect();
        super::process::until("writes", || {
            (told.lock().unwrap().slugs.len() >= enough).then_some(())
        });
        shared.kill_shared();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    authority.reap();
}

#[test]
fn kill_dash_nine_in_a_storm_of_writes_loses_no_acknowledged_one() {
    let directory = directory();
    let mut authority = Authority::start(directory.path(), "");
    let owner = authority.user(&authority.token(), "Olga Owner");
    let told = Mutex::new(Told::default());
    for (round, writes) in [1, 25, 8].into_iter().enumerate() {
        storm(&mut authority, &owner, round, writes, &told);
        {
            let told = told.lock().unwrap();
            assert!(verify_history(&authority.store()) >= told.revision);
        }
        authority.run();
        let told = told.lock().unwrap();
        assert!(authority.revision() >= told.revision);
        let token = authority.token();
        for slug in &told.slugs {
            let path = format!("/v1/organizations/{slug}");
            authority
                .call(&token, "GET", &path, &json!(null))
                .expect(200);
        }
    }
    authority.stop();
}
