//! What a running sidecar says, beside what its authority says.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::authority::{AuthorityState, get};
use super::finding::Findings;
use crate::cli::http::Endpoint;

/// A connected sidecar hears of a change within milliseconds; one that is busy may need a moment.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Heartbeats come every second or so; an answer this old means that they do not.
const STALE_MS: u64 = 10_000;

/// Asks a sidecar how it is.
pub(super) async fn ask(
    at: &Endpoint,
    authority: Option<&AuthorityState>,
    findings: &mut Findings,
) {
    findings.about(format!("sidecar at {at}"));
    let Some(status) = status(at, findings).await else {
        return;
    };
    if status.get("ready").and_then(Value::as_bool) != Some(true) {
        return findings.wrong(
            "it answers, but has no copy yet: everything is denied",
            not_hearing(&status),
        );
    }
    let revision = number(&status, "revision").unwrap_or_default();
    findings.ok(format!("it answers, from a copy at revision {revision}"));
    link(&status, findings);
    if let Some(problem) = status.get("policies_problem").and_then(Value::as_str) {
        findings.wrong(
            format!("its hand-written policies do not fit what is declared: {problem}"),
            "mend the policies, or sync the manifest that they were written for, and restart",
        );
    }
    if let Some(authority) = authority {
        compare(at, revision, authority, findings).await;
    }
}

async fn status(at: &Endpoint, findings: &mut Findings) -> Option<Value> {
    match get(at, "/v1/status").await {
        Ok(answer) if answer.status == StatusCode::OK => {
            let status = serde_json::from_slice(&answer.body).ok();
            if status.is_none() {
                findings.wrong(
                    "its `/v1/status` is no JSON",
                    "is this address really the sidecar's? Something else may answer here",
                );
            }
            status
        }
        Ok(answer) if matches!(answer.status.as_u16(), 401 | 403) => {
            findings.warning(
                "it does not tell its status here",
                "ask on its Unix socket: --sidecar unix:PATH, or --sidecar-config FILE",
            );
            None
        }
        Ok(answer) => {
            findings.wrong(
                format!("it answers {} to `/v1/status`", answer.status.as_u16()),
                "is this address really the sidecar's? Something else may answer here",
            );
            None
        }
        Err(error) => {
            findings.wrong(
                error.to_string(),
                "start it, or name it: --sidecar ADDRESS, a profile, or --sidecar-config FILE",
            );
            None
        }
    }
}

fn number(status: &Value, name: &str) -> Option<u64> {
    status.get(name).and_then(Value::as_u64)
}

fn not_hearing(status: &Value) -> String {
    match status.get("last_problem").and_then(Value::as_str) {
        Some(problem) => format!("its last problem with the authority was: {problem}"),
        None => "wait for its first copy, and read its log if none comes".to_owned(),
    }
}

fn link(status: &Value, findings: &mut Findings) {
    let staleness = number(status, "staleness_ms");
    let shown = staleness.map_or("unknown".to_owned(), |ms| format!("{ms} ms"));
    if status.get("connected").and_then(Value::as_bool) != Some(true) {
        findings.wrong(
            format!("it does not hear the authority; staleness: {shown}"),
            not_hearing(status),
        );
    } else if staleness.is_none_or(|ms| ms > STALE_MS) {
        findings.wrong(
            format!("it is connected, and yet its facts are old; staleness: {shown}"),
            "something between them holds data back: a proxy that buffers must let the feed through",
        );
    } else {
        findings.ok(format!("it hears the authority; staleness: {shown}"));
    }
}

async fn compare(
    at: &Endpoint,
    mut revision: u64,
    authority: &AuthorityState,
    findings: &mut Findings,
) {
    if revision < authority.revision {
        tokio::time::sleep(CATCH_UP).await;
        let again = get(at, "/v1/status").await.ok();
        let again: Option<Value> = again.and_then(|a| serde_json::from_slice(&a.body).ok());
        revision = again
            .and_then(|status| number(&status, "revision"))
            .unwrap_or(revision);
    }
    if revision < authority.revision {
        findings.wrong(
            format!(
                "it is at revision {revision}, and the authority was at {} before",
                authority.revision
            ),
            "does it follow this authority? If so, read its log: it cannot keep up or cannot write",
        );
    }
}
