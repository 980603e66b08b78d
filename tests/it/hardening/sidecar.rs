//! `doorward-sidecar`: joining, starting, following, dying.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use doorward::protocol::feed::Cell;
use doorward::runtime::{Clock, SystemClock};
use doorward::store::replica::Replica;
use doorward::store::replicated::REPLICATED;
use doorward::store::{Store, StoreError, feed};
use serde_json::{Value, json};

use super::process::{SIDECAR, run, until};
use super::world::{Authority, Sidecar, enroll};
use crate::support::directory;

const READ: &str = "billing:invoice:read";
const WRITE: &str = "billing:invoice:write";

#[test]
fn a_join_token_works_once_for_who_has_it_whole() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let url = format!("http://{}", authority.address);
    let data = directory.path().join("sidecar");
    let token = authority.invite();
    enroll(&data, &url, "no join token").refused(64, &["join token"]);
    let mut wrong = token.clone().into_bytes();
    wrong[10] = if wrong[10] == b'A' { b'B' } else { b'A' };
    let wrong = String::from_utf8(wrong).unwrap();
    enroll(&data, &url, &wrong).refused(1, &["refused the enrolment"]);
    enroll(&data, &url, &token).succeeded();
    let again = enroll(&data, &url, &token);
    again.refused(1, &["refused the enrolment"]);
    assert!(!again.err().contains(&token), "{}", again.err());
    authority.stop();
    enroll(&data, &url, &token).refused(1, &["cannot be reached"]);
    for (url, said) in [("nowhere", "nowhere"), ("ftp://127.0.0.1", "ftp")] {
        let finished = enroll(&data, url, &token);
        assert_ne!(finished.code(), 0);
        assert!(finished.err().contains(said), "{}", finished.err());
    }
}

#[test]
fn an_expired_join_token_is_refused() {
    let directory = directory();
    let more = "[lifetimes]\njoin = '1s'";
    let mut authority = Authority::start(&directory.path().join("authority"), more);
    let url = format!("http://{}", authority.address);
    let token = authority.invite();
    let answer = authority.call(
        &authority.token(),
        "POST",
        "/v1/sidecars/join-tokens",
        &json!({"name": "later"}),
    );
    let expires_at = answer.expect(201)["expires_at"]
        .as_str()
        .unwrap()
        .to_owned();
    until("the token's end", || {
        (SystemClock.now().to_string() > expires_at).then_some(())
    });
    let data = directory.path().join("sidecar");
    enroll(&data, &url, &token).refused(1, &["refused the enrolment"]);
    authority.stop();
}

#[test]
fn an_authority_with_another_feed_key_than_the_join_token_names_is_not_believed() {
    let directory = directory();
    let authority = Authority::start(&directory.path().join("a"), "");
    let other = Authority::start(&directory.path().join("b"), "");
    let (token, others) = (authority.invite(), other.invite());
    // The secret of the one, the key of the other.
    let (secret, _) = token.rsplit_once('.').expect("secret and key");
    let (_, key) = others.rsplit_once('.').expect("secret and key");
    let data = directory.path().join("sidecar");
    let url = format!("http://{}", authority.address);
    enroll(&data, &url, &format!("{secret}.{key}")).refused(1, &["another key"]);
    assert!(!data.join("enrolment.json").exists());
}

fn serve(data: &Path) -> super::process::Finished {
    run(
        SIDECAR,
        &["serve", "--data", data.to_str().unwrap()],
        &[("DOORWARD_SIDECAR__ADDRESSES", "127.0.0.1:0")],
    )
}

#[test]
fn starts_that_cannot_work_have_codes_of_their_own() {
    run(SIDECAR, &["conquer"], &[]).refused(64, &["conquer"]);
    let directory = directory();
    serve(directory.path()).refused(78, &["not enrolled", "doorward-sidecar enroll"]);
    std::fs::write(
        directory.path().join("enrolment.json"),
        "{\"client_secret\": \"x\"}",
    )
    .unwrap();
    serve(directory.path()).refused(78, &["damaged", "enrol again"]);
    let file = directory.path().join("sidecar.toml");
    let path = file.to_str().unwrap();
    run(SIDECAR, &["serve", "--config", path], &[]).refused(78, &[path]);
    std::fs::write(
        &file,
        "colour = 1\nworkers = 'many'\n[cache]\nmembers = -1\nfree = true\n\
         [listen.a]\naddress = '0.0.0.0:7181'\n[listen.b]\nport = 1\n",
    )
    .unwrap();
    run(SIDECAR, &["serve", "--config", path], &[]).refused(
        78,
        &[
            "colour",
            "workers",
            "cache.members",
            "cache.free",
            "remote = true",
            "listen.b",
        ],
    );
}

#[test]
fn a_port_in_use_and_wrong_policies_end_the_start() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let data = directory.path().join("sidecar");
    let url = format!("http://{}", authority.address);
    enroll(&data, &url, &authority.invite()).succeeded();
    let taken = authority.address.to_string();
    let arguments = ["serve", "--data", data.to_str().unwrap()];
    run(
        SIDECAR,
        &arguments,
        &[("DOORWARD_SIDECAR__ADDRESSES", &taken)],
    )
    .refused(1, &[&taken, "in use"]);
    let policies = directory.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::write(policies.join("bad.cedar"), "permit (principal, nonsense").unwrap();
    let environment = [
        ("DOORWARD_SIDECAR__ADDRESSES", "127.0.0.1:0"),
        ("DOORWARD_SIDECAR__POLICIES", policies.to_str().unwrap()),
    ];
    run(SIDECAR, &arguments, &environment).refused(78, &["bad.cedar"]);
    let environment = [
        ("DOORWARD_SIDECAR__ADDRESSES", "127.0.0.1:0"),
        ("DOORWARD_SIDECAR__POLICIES", "/nonexistent/policies"),
    ];
    run(SIDECAR, &arguments, &environment).refused(74, &["/nonexistent/policies"]);
    authority.stop();
}

/// The file that is the copy.
fn copy(data: &Path) -> std::path::PathBuf {
    let name = std::fs::read_to_string(data.join("current")).unwrap();
    data.join(name.trim())
}

#[test]
fn without_its_authority_it_starts_from_its_copy_and_cannot_say_how_stale_it_is() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let user = authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until(&user, READ, true);
    sidecar.stop();
    authority.stop();

    sidecar.run();
    let answer = sidecar.ask(&user, READ);
    assert_eq!(answer["decision"], true, "{answer}");
    assert_eq!(answer["context"]["staleness_ms"], Value::Null, "{answer}");
    let question = format!("/v1/check?user={user}&organization=acme&permission={READ}");
    let bounded = sidecar
        .raw("GET", &format!("{question}&max_staleness=1h"), "", b"")
        .expect(200);
    assert_eq!(bounded["decision"], false, "unknown refuses any maximum");

    authority.run();
    until("a known staleness", || {
        sidecar.ask(&user, READ)["context"]["staleness_ms"].as_u64()
    });
    authority.stop();
    // More than a heartbeat apart: it grows.
    until("a staleness that grows", || {
        let answer = sidecar.ask(&user, READ);
        assert_eq!(answer["decision"], true);
        (answer["context"]["staleness_ms"].as_u64() > Some(2_000)).then_some(())
    });
    sidecar.stop();
}

#[test]
fn a_corrupt_copy_is_thrown_away_and_fetched_again() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let user = authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until(&user, READ, true);
    for round in 0..3 {
        sidecar.stop();
        let file = copy(&sidecar.data);
        let mut bytes = std::fs::read(&file).unwrap();
        match round {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes[..4096].fill(7),
            _ => {
                let half = bytes.len() / 2;
                bytes[half..].fill(0);
            }
        }
        std::fs::write(&file, bytes).unwrap();
        sidecar.run();
        sidecar.until(&user, READ, true);
        sidecar.until_revision(authority.revision());
    }
    assert!(sidecar.log().contains("thrown away"), "{}", sidecar.log());
    sidecar.stop();
    authority.stop();
}

#[test]
fn a_revoked_sidecar_hears_no_more_and_goes_on_answering() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let user = authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until(&user, READ, true);
    sidecar.until_connected(true);
    let token = authority.token();
    let list = authority.call(&token, "GET", "/v1/sidecars", &Value::Null);
    let id = list.expect(200)["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = sidecar.status()["revision"].as_u64().unwrap();
    authority
        .call(
            &token,
            "DELETE",
            &format!("/v1/sidecars/{id}"),
            &Value::Null,
        )
        .expect(200);
    sidecar.process().line(0, "goodbye: Revoked");
    let role = format!("/v1/organizations/acme/members/{user}/roles/billing/editor");
    authority
        .call(&token, "PUT", &role, &Value::Null)
        .expect(200);
    until("a staleness that grows", || {
        let answer = sidecar.ask(&user, READ);
        assert_eq!(answer["decision"], true);
        (answer["context"]["staleness_ms"].as_u64() > Some(1_500)).then_some(())
    });
    assert!(!sidecar.allows(&user, WRITE));
    assert_eq!(sidecar.status()["revision"].as_u64(), Some(before));
    assert_eq!(sidecar.status()["connected"], false);
    // It does not come back either: its secret is nobody's.
    sidecar.stop();
    sidecar.run();
    sidecar.process().line(0, "refused the credentials");
    assert!(sidecar.allows(&user, READ));
    sidecar.stop();
    authority.stop();
}

/// Every replicated row of the store, table for table, must be in the copy, and no other.
fn equals(store: &Store, copy: &Replica) {
    for table in REPLICATED {
        let mut rows: Vec<Vec<Cell>> = store
            .read_blocking(|tx| {
                let mut rows = Vec::new();
                feed::scan(tx, table, &mut |row| rows.push(row))?;
                Ok::<_, StoreError>(rows)
            })
            .unwrap();
        rows.sort_by_key(|row| format!("{row:?}"));
        let mut copied = copy.rows(table.id).unwrap().expect("the table is there");
        copied.sort_by_key(|row| format!("{row:?}"));
        assert_eq!(rows, copied, "{}", table.name);
    }
    copy.verify().unwrap();
}

#[test]
fn kill_dash_nine_in_a_storm_of_changes_ends_in_the_authoritys_state() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    authority.furnish();
    let token = authority.token();
    let users: Vec<_> = (0..4)
        .map(|number| authority.member(&token, &format!("Member {number}")))
        .collect();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until(&users[0], READ, true);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let mut number = 0_usize;
            while !over.load(Ordering::Relaxed) {
                let user = &users[number % users.len()];
                let path = format!("/v1/organizations/acme/members/{user}/roles/billing/editor");
                let method = if number % 3 == 2 { "DELETE" } else { "PUT" };
                let reply = authority.call(&token, method, &path, &Value::Null);
                assert!(matches!(reply.status, 200 | 201 | 404), "{reply:?}");
                number += 1;
            }
        });
        for _ in 0..4 {
            let seen = authority.revision();
            sidecar.until_revision(seen + 3);
            sidecar.kill();
            sidecar.run();
        }
        over.store(true, Ordering::Relaxed);
        storm.join().unwrap();
    });
    sidecar.until_revision(authority.revision());
    assert!(!sidecar.log().contains("thrown away"), "{}", sidecar.log());
    sidecar.kill();
    authority.kill();
    let store = authority.store();
    let replica = Replica::open(&copy(&sidecar.data)).unwrap().unwrap();
    let head = store.read_blocking(feed::head).unwrap();
    assert_eq!(replica.position(), head.position);
    equals(&store, &replica);
}
