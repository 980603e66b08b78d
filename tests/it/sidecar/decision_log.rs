//! The decision log: each answer's id finds its record, and nothing waits for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward::domain::{DecisionId, Secret};
use doorward::protocol::forward_auth::Dialect;
use doorward::sidecar::callers::{Ask, CallerConfig};
use doorward::sidecar::config::Config;
use doorward::sidecar::decision_log::{ACTIVE, DecisionLogConfig, Form, find};
use serde_json::{Value, json};

use super::door_world::*;
use super::token_world::*;
use super::world::*;

fn logged(config: &mut Config, change: impl FnOnce(&mut DecisionLogConfig)) {
    let mut log = DecisionLogConfig {
        directory: Some(spool(&config.data)),
        ..DecisionLogConfig::default()
    };
    change(&mut log);
    config.decision_log = Some(log);
}

fn spool(data: &Path) -> PathBuf {
    data.join("decisions")
}

impl Running {
    fn spool(&self) -> PathBuf {
        spool(self.socket.parent().unwrap())
    }

    /// Stops, and gives all records.
    async fn records(&self) -> Vec<Value> {
        self.tasks.shutdown(Duration::from_secs(20)).await.unwrap();
        let text = std::fs::read_to_string(self.spool().join(ACTIVE)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn record(&self, id: &str) -> Value {
        let line = find(&self.spool(), id.parse().unwrap()).unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

fn id_of(answer: &Value) -> String {
    let id = answer["context"]["decision_id"].as_str().unwrap();
    assert!(id.parse::<DecisionId>().is_ok());
    id.to_owned()
}

#[tokio::test]
async fn the_id_of_each_answer_finds_a_record_of_what_was_asked_and_answered() {
    let running = Running::with(|config| {
        logged(config, |_| {});
        config.callers.push(CallerConfig {
            name: "billing".to_owned(),
            credential: Some(Secret::new("a secret of billing".to_owned())),
            uid: None,
            may: vec![Ask::Check],
            services: Vec::new(),
        });
    })
    .await;
    let ask = question("acme", 1, "write").to_string();
    let headers = "authorization: Bearer a secret of billing\r\nx-request-id: r-7\r\n";
    let allowed = running
        .post_with("/access/v1/evaluation", headers, &ask)
        .await;
    let allowed = id_of(&allowed.json());
    let denied = running
        .raw_unix(&post(
            "/v1/explain",
            "",
            &question("acme", 2, "write").to_string(),
        ))
        .await;
    let denied = id_of(&denied.json());
    let compact = format!(
        "/v1/check?user={}&organization=nowhere&permission=docs:page:read&resource=p1",
        user(1)
    );
    let compact = id_of(&running.get(&compact).await.json());
    let mut batch = question("acme", 1, "read");
    batch["evaluations"] = json!([{}, {"action": {"name": "publish"}}, {"action": {"name": 5}}]);
    let batch = running
        .post("/access/v1/evaluations", &batch.to_string())
        .await;
    let batch: Vec<String> = batch.json()["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(id_of)
        .collect();
    assert_eq!(running.records().await.len(), 6);

    let record = running.record(&allowed);
    for (pointer, wanted) in [
        ("/decision", json!("allow")),
        ("/reason", json!("roles")),
        ("/door", json!("authzen")),
        ("/transport", json!("tcp")),
        ("/caller", json!("billing")),
        ("/request_id", json!("r-7")),
        ("/subject/type", json!("user")),
        ("/subject/id", json!(user(1).to_string())),
        ("/action", json!("write")),
        ("/resource/type", json!("docs:page")),
        ("/resource/id", json!("p1")),
        ("/organization", json!(organization(1).to_string())),
        ("/roles", json!(["docs/editor"])),
        ("/revision", json!(1)),
    ] {
        assert_eq!(
            record.pointer(pointer),
            Some(&wanted),
            "{pointer}: {record}"
        );
    }
    assert!(record.get("context").is_none());
    let record = running.record(&denied);
    assert_eq!(
        (&record["decision"], &record["door"]),
        (&json!("deny"), &json!("explain"))
    );
    assert_eq!(record["transport"], "unix");
    assert!(record["uid"].is_number(), "{record}");
    assert_eq!(record["roles"], json!(["docs/reader"]));
    let record = running.record(&compact);
    assert_eq!(record["reason"], "organization_unknown");
    assert_eq!(record["subject"]["id"], user(1).to_string());
    assert!(record.get("organization").is_none() && record.get("roles").is_none());
    let reasons: Vec<Value> = batch
        .iter()
        .map(|id| running.record(id)["reason"].clone())
        .collect();
    assert_eq!(reasons, ["roles", "roles", "bad_item"]);
}

#[tokio::test]
async fn without_a_log_no_answer_has_an_id() {
    let running = Running::start().await;
    let ask = question("acme", 1, "write").to_string();
    let answer = running.post("/access/v1/evaluation", &ask).await;
    assert!(answer.json()["context"].get("decision_id").is_none());
    let metrics = running.get_unix("/metrics").await.body;
    assert!(!metrics.contains("decision_log"));
}

#[tokio::test]
async fn a_proxys_answer_has_an_id_and_its_record_no_token_path_or_query() {
    let doors = Doors::with(|config| {
        config.workers = 1;
        logged(config, |_| {});
    })
    .await;
    let token = doors.token(|_| {});
    let expired = doors.token(|claims| claims.exp = 1);
    let about = "PUT app.test/o/acme/pages/secret-page?key=secret-query";
    for dialect in Dialect::HTTP {
        let reply = doors.ask_with_token(dialect, about, &token).await;
        assert_eq!(reply.status, 200);
        let id = reply.header("doorward-decision-id").unwrap();
        assert!(id.parse::<DecisionId>().is_ok(), "{id}");
    }
    let mut ids = Vec::new();
    for (about, headers) in [
        (about, String::new()),
        (about, format!("authorization: Bearer {expired}\r\n")),
        ("GET app.test/nowhere", String::new()),
        ("GET app.test/health", String::new()),
        ("GET app.test/a//b", String::new()),
        (
            "PUT app.test/o/globex/pages/1",
            format!("authorization: Bearer {token}\r\n"),
        ),
    ] {
        let reply = doors.ask(Dialect::Nginx, about, &headers).await;
        ids.push(reply.header("doorward-decision-id").unwrap().to_owned());
    }
    let records = doors.running.records().await;
    assert_eq!(records.len(), Dialect::HTTP.len() + 6);
    for (record, dialect) in records.iter().zip(Dialect::HTTP) {
        for (pointer, wanted) in [
            ("/decision", json!("allow")),
            ("/door", json!(dialect.name())),
            ("/subject/id", json!(user(1).to_string())),
            ("/action", json!("write")),
            ("/resource/type", json!("docs:page")),
            ("/resource/id", json!("secret-page")),
            ("/organization", json!(organization(1).to_string())),
            ("/roles", json!(["docs/editor"])),
            ("/client", json!("board")),
            ("/session", json!(session(1).to_string())),
            ("/grant", json!(grant_of(1).to_string())),
            ("/token_id", json!("t1")),
            ("/route", json!("write")),
            ("/method", json!("PUT")),
            ("/host", json!("app.test")),
            ("/revision", json!(2)),
            ("/staleness_ms", json!(0)),
        ] {
            assert_eq!(
                record.pointer(pointer),
                Some(&wanted),
                "{pointer}: {record}"
            );
        }
    }
    let told: Vec<(Value, Value, Value)> = ids
        .iter()
        .map(|id| {
            let record = doors.running.record(id);
            let of = |name: &str| record.get(name).cloned().unwrap_or_default();
            (of("reason"), of("detail"), of("route"))
        })
        .collect();
    let none = Value::Null;
    assert_eq!(
        told,
        [
            (json!("anonymous"), none.clone(), json!("write")),
            (json!("invalid_token"), json!("expired"), json!("write")),
            (json!("unmatched"), none.clone(), none.clone()),
            (json!("public"), none.clone(), json!("health")),
            (json!("malformed"), none.clone(), none.clone()),
            (json!("roles"), none, json!("write")),
        ]
    );
    let all = format!("{records:?}");
    let signature = token.rsplit('.').next().unwrap();
    for secret in [
        token.as_str(),
        signature,
        &expired,
        "secret-query",
        "/o/acme",
        "Bearer",
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_the_answer_is_given_without_an_id() {
    let running = Running::with(|config| logged(config, |log| log.queue_bytes = 0)).await;
    let ask = question("acme", 1, "write").to_string();
    for _ in 0..3 {
        let answer = running.post("/access/v1/evaluation", &ask).await.json();
        assert_eq!(answer["decision"], true);
        assert!(answer["context"].get("decision_id").is_none());
    }
    let metrics = running.get_unix("/metrics").await.body;
    let line = "doorward_sidecar_decision_log_records_total{outcome=\"dropped\"} 3";
    assert!(metrics.contains(line), "{metrics}");
    assert!(running.records().await.is_empty());
}

#[tokio::test]
async fn what_is_sampled_out_has_no_id_and_denies_are_recorded_all_the_same() {
    let running = Running::with(|config| {
        logged(config, |log| log.allow = "0".parse().unwrap());
    })
    .await;
    for (action, recorded) in [("write", false), ("publish", true), ("read", false)] {
        let ask = question("acme", 1, action).to_string();
        let answer = running.post("/access/v1/evaluation", &ask).await.json();
        assert_eq!(answer["context"].get("decision_id").is_some(), recorded);
    }
    let records = running.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["action"], "publish");
}

#[tokio::test]
async fn a_stop_writes_out_what_is_queued_and_no_id_is_given_twice() {
    let running = Running::with(|config| logged(config, |_| {})).await;
    let mut batch = question("acme", 1, "read");
    batch["evaluations"] = json!(vec![json!({}); 50]);
    let batch = batch.to_string();
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        let answer = running.post("/access/v1/evaluations", &batch).await.json();
        ids.extend(answer["evaluations"].as_array().unwrap().iter().map(id_of));
    }
    let written: BTreeSet<String> = running
        .records()
        .await
        .iter()
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 1000);
    assert_eq!(ids, written);
}

#[tokio::test]
async fn context_is_recorded_only_where_the_configuration_says_so_and_on_one_line() {
    let running = Running::with(|config| logged(config, |log| log.context = true)).await;
    let ask = serde_json::to_string_pretty(&question("acme", 1, "write")).unwrap();
    running.post("/access/v1/evaluation", &ask).await;
    let records = running.records().await;
    assert_eq!(records[0]["context"], json!({"organization": "acme"}));
}

#[tokio::test]
async fn a_refused_request_is_no_decision_and_makes_no_record() {
    let running = Running::with(|config| logged(config, |_| {})).await;
    let mut ask = question("acme", 1, "write");
    ask["resource"]["properties"] = json!({"organization": "globex"});
    let reply = running
        .post("/access/v1/evaluation", &ask.to_string())
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(running.post("/access/v1/evaluation", "{").await.status, 400);
    assert!(running.records().await.is_empty());
}

#[tokio::test]
async fn an_ocsf_log_is_found_by_id_too() {
    let running = Running::with(|config| logged(config, |log| log.form = Form::Ocsf)).await;
    let ask = question("acme", 1, "write").to_string();
    let answer = running.post("/access/v1/evaluation", &ask).await.json();
    let id = id_of(&answer);
    running.records().await;
    let event = running.record(&id);
    assert_eq!(event["class_uid"], 6003);
    assert_eq!(event["unmapped"]["roles"], json!(["docs/editor"]));
}

#[tokio::test]
async fn a_torn_line_of_a_killed_process_is_cut_off_at_the_next_start() {
    let running = Running::with(|config| {
        logged(config, |_| {});
        let directory = spool(&config.data);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(ACTIVE), "{\"id\":\"a\"}\n{\"id\":\"to").unwrap();
    })
    .await;
    let ask = question("acme", 1, "write").to_string();
    running.post("/access/v1/evaluation", &ask).await;
    let metrics = running.get_unix("/metrics").await.body;
    assert!(
        metrics.contains("doorward_sidecar_decision_log_torn_total 1"),
        "{metrics}"
    );
    assert_eq!(running.records().await.len(), 2);
}
