//! `doorward status`: how both daemons are.

use std::process::ExitCode;

use clap::Args;
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::error::CliError;
use super::http::{Call, Endpoint, send};
use super::output::Output;
use super::profile::Profile;
use super::session::{problem, read};

/// Shows whether the daemons answer, and how fresh the sidecar is
///
/// Exit code 0 when both answer and the sidecar hears the authority, 4 when something is down.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward status
  doorward --sidecar unix:/run/doorward.sock status --json | jq .sidecar.staleness_ms")]
pub(super) struct StatusArgs {}

#[derive(Debug, Serialize)]
struct StatusView {
    authority: Daemon,
    sidecar: Daemon,
}

#[derive(Debug, Serialize)]
struct Daemon {
    address: String,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(flatten)]
    details: Option<Value>,
}

pub(super) async fn run(profile: &Profile, output: Output) -> ExitCode {
    let (authority, sidecar) = tokio::join!(
        authority(profile.authority()),
        sidecar(profile.sidecar_admin())
    );
    let view = StatusView { authority, sidecar };
    output.show(&view, human);
    let connected = number(&view.sidecar, "connected") == Some("true".to_owned());
    ExitCode::from(if view.authority.up && view.sidecar.up && connected {
        0
    } else {
        4
    })
}

async fn authority(endpoint: &Endpoint) -> Daemon {
    let answer = send(endpoint, Call::new(Method::GET, "/readyz")).await;
    daemon(
        endpoint,
        answer.and_then(|answer| {
            if answer.status == StatusCode::OK {
                Ok(None)
            } else {
                Err(problem(endpoint, &answer))
            }
        }),
    )
}

async fn sidecar(endpoint: &Endpoint) -> Daemon {
    let answer = send(endpoint, Call::new(Method::GET, "/v1/status")).await;
    daemon(
        endpoint,
        answer.and_then(|answer| {
            if answer.status == StatusCode::OK {
                read(endpoint, &answer).map(Some)
            } else {
                Err(problem(endpoint, &answer))
            }
        }),
    )
}

fn daemon(endpoint: &Endpoint, result: Result<Option<Value>, CliError>) -> Daemon {
    let address = endpoint.to_string();
    match result {
        Ok(details) => Daemon {
            address,
            up: true,
            problem: None,
            details,
        },
        Err(error) => Daemon {
            address,
            up: false,
            problem: Some(error.to_string()),
            details: None,
        },
    }
}

fn number(daemon: &Daemon, path: &str) -> Option<String> {
    daemon
        .details
        .as_ref()?
        .pointer(&format!("/{path}"))
        .filter(|value| !value.is_null())
        .map(ToString::to_string)
}

fn human(view: &StatusView) -> String {
    let mut lines = Vec::new();
    for (name, daemon) in [("authority", &view.authority), ("sidecar", &view.sidecar)] {
        let word = if daemon.up { "up" } else { "down" };
        lines.push(format!("{name:<10} {word:<5} {}", daemon.address));
        if let Some(problem) = &daemon.problem {
            lines.push(format!("           {problem}"));
        }
    }
    let sidecar = &view.sidecar;
    if sidecar.up {
        let get = |path: &str| number(sidecar, path).unwrap_or_else(|| "unknown".to_owned());
        lines.push(format!(
            "           revision {}, staleness {} ms, hears the authority: {}",
            get("revision"),
            get("staleness_ms"),
            get("connected")
        ));
        lines.push(format!(
            "           {} allowed, {} denied; members: {} cached, {} front hits, {} moka hits, {} misses",
            get("decisions/allowed"),
            get("decisions/denied"),
            get("members/cached"),
            get("members/front_hits"),
            get("members/moka_hits"),
            get("members/misses"),
        ));
        if let Some(problem) = number(sidecar, "last_problem") {
            lines.push(format!("           last problem: {problem}"));
        }
    }
    lines.join("\n")
}
