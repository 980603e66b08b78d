//! The spool and the forms of a line.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::config::{DecisionLogConfig, Form};
use super::fields::Field;
use super::format::{Line, Masks, Times};
use super::notes::Notes;
use super::packed::Unpack;
use super::queue::{LogCounts, Queue};
use super::record::{AskedToken, Asker, Door, Record};
use super::spool::{ACTIVE, Spool, find};
use crate::domain::{DecisionId, Secret, Timestamp};
use crate::runtime::SeededEntropy;

const NOW: Timestamp = Timestamp::from_unix_micros(1_795_000_000_123_456);

fn record() -> Record<'static> {
    Record {
        id: (1, 2),
        at: NOW.unix_micros(),
        asker: Asker {
            door: Door::Nginx,
            unix: true,
            caller: Some("billing"),
            uid: Some(1001),
            request_id: Some("r-1"),
        },
        allow: false,
        reason: "scope",
        revision: Some(7),
        staleness_ms: Some(12),
        user: Some([0x11; 16]),
        action: Some("read"),
        resource_type: Some("docs:page"),
        resource_id: Some("p1"),
        organization: Some([0x22; 16]),
        token: Some(AskedToken {
            client: "board",
            session: Some([0x33; 16]),
            grant: Some([0x44; 16]),
            id: "t1",
        }),
        route: Some("page"),
        method: Some("GET"),
        host: Some("app.test"),
        context: Some("{\n \"mfa\": true}"),
        ..Record::default()
    }
}

fn line(form: Form, change: impl FnOnce(&mut DecisionLogConfig)) -> Value {
    let mut config = DecisionLogConfig::default();
    change(&mut config);
    let mut times = Times::default();
    let record = record();
    let masks = Masks::new(&config);
    let mut out = Vec::new();
    Line::of(&record, &masks, times.text(NOW), None).write(form, NOW, &mut out);
    assert_eq!(out.split(|byte| *byte == b'\n').count(), 2);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_line_says_what_was_asked_and_what_was_answered_on_one_line() {
    assert_eq!(
        line(Form::Doorward, |_| {}),
        json!({
            "id": DecisionId::new(1, 2).to_string(), "time": "2026-11-18T11:06:40.123456Z",
            "decision": "deny", "reason": "scope", "door": "nginx", "transport": "unix",
            "caller": "billing", "uid": 1001, "request_id": "r-1",
            "subject": {"type": "user", "id": "11111111-1111-1111-1111-111111111111"},
            "action": "read", "resource": {"type": "docs:page", "id": "p1"},
            "organization": "22222222-2222-2222-2222-222222222222",
            "client": "board", "session": "33333333-3333-3333-3333-333333333333",
            "grant": "44444444-4444-4444-4444-444444444444", "token_id": "t1",
            "route": "page", "method": "GET", "host": "app.test",
            "revision": 7, "staleness_ms": 12, "context": {"mfa": true},
        })
    );
}

#[test]
fn each_field_can_be_left_out_or_hashed_in_both_forms() {
    let values = [
        (Field::Subject, "11111111-"),
        (Field::Resource, "\"p1\""),
        (Field::Organization, "22222222-"),
        (Field::Caller, "billing"),
        (Field::Client, "board"),
        (Field::Session, "33333333-"),
        (Field::Grant, "44444444-"),
        (Field::Token, "\"t1\""),
        (Field::Request, "r-1"),
        (Field::Host, "app.test"),
    ];
    assert_eq!(values.map(|(field, _)| field), Field::ALL);
    for form in [Form::Doorward, Form::Ocsf] {
        let whole = line(form, |_| {}).to_string();
        for (field, value) in values {
            assert!(whole.contains(value), "{value}: {whole}");
            let dropped = line(form, |config| config.drop = vec![field]).to_string();
            assert!(!dropped.contains(value), "{value}: {dropped}");
            let hashed = |key: &str| {
                let key = Some(Secret::new(key.to_owned()));
                line(form, |config| {
                    config.hash = vec![field];
                    config.hash_key = key;
                })
                .to_string()
            };
            let one = hashed("one");
            assert!(!one.contains(value) && one.contains("\"h:"), "{one}");
            if field == Field::Caller {
                // A caller's user would tell whose hash it is.
                assert!(whole.contains("1001") || form == Form::Ocsf, "{whole}");
                assert!(!one.contains("1001") && !dropped.contains("1001"), "{one}");
            }
            assert_eq!(one, hashed("one"));
            assert_ne!(one, hashed("two"));
        }
        // A caller that is left out does not come back as its user.
        let dropped = line(form, |config| config.drop = vec![Field::Caller]);
        assert!(!dropped.to_string().contains("1001"));
    }
}

#[test]
fn an_ocsf_line_has_what_the_class_requires() {
    let event = line(Form::Ocsf, |_| {});
    for (pointer, wanted) in [
        ("/class_uid", json!(6003)),
        ("/category_uid", json!(6)),
        ("/activity_id", json!(99)),
        ("/activity_name", json!("read")),
        ("/type_uid", json!(600_399)),
        ("/severity_id", json!(1)),
        ("/time", json!(NOW.unix_micros() / 1000)),
        ("/metadata/version", json!("1.6.0")),
        ("/metadata/product/name", json!("doorward-sidecar")),
        ("/metadata/profiles", json!(["security_control"])),
        ("/metadata/uid", json!(DecisionId::new(1, 2).to_string())),
        ("/status_id", json!(2)),
        ("/action_id", json!(2)),
        ("/disposition_id", json!(2)),
        ("/api/operation", json!("read")),
        ("/api/service/name", json!("docs")),
        ("/src_endpoint/svc_name", json!("billing")),
        (
            "/actor/user/uid",
            json!("11111111-1111-1111-1111-111111111111"),
        ),
        ("/actor/app_uid", json!("board")),
        ("/resources/0/type", json!("docs:page")),
        ("/unmapped/revision", json!(7)),
    ] {
        assert_eq!(event.pointer(pointer), Some(&wanted), "{pointer}: {event}");
    }
}

#[test]
fn what_is_asked_again_is_recorded_once_and_what_is_refused_never() {
    let config = DecisionLogConfig::default();
    let queue = Arc::new(Queue::new(config.queue_bytes));
    let (sender, _receiver) = mpsc::channel(1);
    let entropy = SeededEntropy::new(1);
    let counts = Arc::new(LogCounts::default());
    let mut notes = Notes::new(&config, Arc::clone(&queue), counts, sender, &entropy);
    notes.begin();
    notes.note(true, record).unwrap();
    notes.begin();
    let kept = notes.note(true, record).unwrap();
    notes.finish();
    // Refused: begun and noted, not finished.
    notes.begin();
    notes.note(true, record).unwrap();
    notes.begin();
    let mut taken = Vec::new();
    queue.take(&mut taken);
    let mut rest = Unpack(&taken);
    let record = Record::decode(&mut rest).unwrap();
    assert_eq!(record.decision_id(), kept);
    assert!(record.allow);
    assert_eq!(record.context, None, "only where the configuration says so");
    assert!(rest.0.is_empty());
}

fn spool(directory: &Path, change: impl FnOnce(&mut DecisionLogConfig)) -> Spool {
    let mut config = DecisionLogConfig::default();
    change(&mut config);
    Spool::open(directory, &config, NOW).unwrap()
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

fn numbered(count: u64) -> Vec<u8> {
    let id = DecisionId::new(9, count);
    format!("{{\"id\":\"{id}\",\"time\":\"2026-11-18T11:06:40Z\"}}\n").into_bytes()
}

#[test]
fn a_line_torn_at_any_byte_is_cut_off_and_the_lines_before_it_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(ACTIVE);
    let whole = [numbered(1), numbered(2)].concat();
    let first = numbered(1).len();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut spool = spool(folder.path(), |_| {});
        let kept = match length {
            _ if length == whole.len() => whole.len(),
            _ if length >= first => first,
            _ => 0,
        };
        assert_eq!(spool.take_torn(), u64::from(kept != length), "{length}");
        spool.append(&numbered(3), NOW).unwrap();
        let found = fs::read(&path).unwrap();
        assert_eq!(found, [&whole[..kept], &numbered(3)].concat(), "{length}");
    }
    // What a loss of power leaves of a file that had grown: no line at all, however long.
    fs::write(&path, [numbered(1), vec![0; 200_000]].concat()).unwrap();
    assert_eq!(spool(folder.path(), |_| {}).take_torn(), 1);
    assert_eq!(fs::read(&path).unwrap(), numbered(1));
}

#[test]
fn a_file_that_is_too_large_or_too_old_makes_way_and_all_stay_within_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let size = numbered(1).len() as u64;
    let mut spool = spool(folder.path(), |config| {
        config.rotate_bytes = 2 * size;
        config.total_bytes = 7 * size;
        config.rotate_age = Duration::from_hours(1);
    });
    for count in 0..3 {
        spool.append(&numbered(count), NOW).unwrap();
    }
    assert_eq!(files(folder.path()).len(), 2);
    // By age, though there is room.
    let later = NOW.plus(Duration::from_hours(2));
    spool.append(&numbered(3), later).unwrap();
    assert_eq!(files(folder.path()).len(), 3);
    for count in 4..40 {
        spool.append(&numbered(count), later).unwrap();
        let total: u64 = files(folder.path())
            .iter()
            .map(|name| fs::metadata(folder.path().join(name)).unwrap().len())
            .sum();
        assert!(total <= 7 * size, "{total}");
    }
    // The newest are the ones that stay.
    let there = |count| find(folder.path(), DecisionId::new(9, count)).unwrap();
    assert!(there(39).is_some() && there(36).is_some());
    assert!(there(0).is_none() && there(20).is_none());
}

#[test]
fn the_age_of_a_file_counts_from_its_first_line_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for first in [
        "{\"time\":\"2026-11-18T11:06:40Z\"}\n".to_owned(),
        format!("{{\"time\":{}}}\n", NOW.unix_micros() / 1000),
    ] {
        fs::write(folder.path().join(ACTIVE), first).unwrap();
        let before = files(folder.path()).len();
        let mut spool = spool(folder.path(), |config| {
            config.rotate_age = Duration::from_hours(1);
        });
        let soon = NOW.plus(Duration::from_mins(50));
        spool.append(&numbered(1), soon).unwrap();
        assert_eq!(files(folder.path()).len(), before);
        let later = NOW.plus(Duration::from_mins(70));
        spool.append(&numbered(2), later).unwrap();
        assert_eq!(files(folder.path()).len(), before + 1);
    }
}

#[test]
fn a_write_that_fails_leaves_nothing_behind_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("spool");
    let size = numbered(1).len() as u64;
    let mut spool = spool(&directory, |config| config.rotate_bytes = size);
    spool.append(&numbered(1), NOW).unwrap();
    // No file can be renamed or made any more.
    let away = folder.path().join("away");
    fs::rename(&directory, &away).unwrap();
    spool.append(&numbered(2), NOW).unwrap_err();
    spool.append(&numbered(2), NOW).unwrap_err();
    fs::rename(&away, &directory).unwrap();
    spool.append(&numbered(2), NOW).unwrap();
    for count in [1, 2] {
        let id = DecisionId::new(9, count);
        assert!(find(&directory, id).unwrap().is_some(), "{count}");
    }
}

#[test]
fn two_processes_do_not_write_one_spool() {
    let folder = tempfile::tempdir().unwrap();
    let _first = spool(folder.path(), |_| {});
    assert!(Spool::open(folder.path(), &DecisionLogConfig::default(), NOW).is_err());
}

#[test]
fn a_record_that_quotes_an_id_is_not_taken_for_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let id = DecisionId::new(9, 1);
    let quoting = format!("{{\"id\":\"x\",\"request_id\":\"{id}\"}}\n");
    let unfinished = format!("{{\"id\":\"{id}\"}}");
    fs::write(folder.path().join(ACTIVE), quoting + &unfinished).unwrap();
    assert_eq!(find(folder.path(), id).unwrap(), None);
}

#[test]
fn times_are_told_to_the_microsecond() {
    let mut times = Times::default();
    for (micros, wanted) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_000_000_000_001, "2026-11-18T11:06:40.000001Z"),
        (1_795_000_000_999_999, "2026-11-18T11:06:40.999999Z"),
        (1_795_000_001_000_000, "2026-11-18T11:06:41.000000Z"),
    ] {
        assert_eq!(times.text(Timestamp::from_unix_micros(micros)), wanted);
    }
}

#[test]
fn a_link_in_the_directory_is_not_followed_and_what_it_leads_to_is_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    fs::create_dir(&directory).unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "no line").unwrap();
    std::os::unix::fs::symlink(&other, directory.join(ACTIVE)).unwrap();
    Spool::open(&directory, &DecisionLogConfig::default(), NOW).unwrap_err();
    assert_eq!(fs::read_to_string(&other).unwrap(), "no line");
    fs::remove_file(directory.join(ACTIVE)).unwrap();
    std::os::unix::fs::symlink(&other, directory.join("decisions-1.jsonl")).unwrap();
    find(&directory, DecisionId::new(1, 1)).unwrap_err();
}
