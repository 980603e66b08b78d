//! `doorward check`: one question to the sidecar.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::CliError;
use super::http::{Call, Endpoint, send};
use super::output::Output;
use super::profile::Profile;
use super::session::{problem, read};
use crate::domain::{FreshnessToken, PermissionKey, UserId};
use crate::runtime::config::parse_duration;

/// Asks the sidecar whether a user may do something; the exit code tells
///
/// Exit code 0: allowed. 1: denied. 2 and more: no decision, see `doorward --help`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward check alice acme billing:invoice:approve
  doorward check 0190c3f4-7a31-7c55-9a0e-2f6f5b1c9d10 acme documents:file:read --resource file-7
  doorward check alice acme billing:invoice:read --at-least dw1.authz.….42
  doorward --sidecar unix:/run/doorward.sock check alice acme billing:invoice:read && echo yes")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    question: QuestionArgs,
}

/// Who wants to do what, where.
#[derive(Debug, Args)]
pub(super) struct QuestionArgs {
    /// The user: an id, or a short name of the profile
    user: String,
    /// The organization: an id or a slug
    organization: String,
    /// The permission: service:resource:action
    permission: PermissionKey,
    /// The resource's id, when a policy looks at it
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// Properties of the resource, as a JSON object
    #[arg(long, value_name = "JSON")]
    properties: Option<String>,
    /// Only an answer that knows of this write: the freshness token it returned
    #[arg(long, value_name = "TOKEN")]
    at_least: Option<FreshnessToken>,
    /// Only an answer that is at most this old, such as 2s or 500ms
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_staleness: Option<Duration>,
}

/// The sidecar's answer, as the command shows it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AnswerView {
    pub decision: bool,
    #[serde(default)]
    pub context: ContextView,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ContextView {
    pub revision: Option<u64>,
    pub staleness_ms: Option<u64>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

pub(super) async fn run(
    args: &CheckArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    let sidecar = profile.sidecar();
    let answer = ask(sidecar, "/access/v1/evaluation", &args.question, profile).await?;
    output.show(&answer, human);
    Ok(decision_code(answer.decision))
}

/// 0 for allow, 1 for deny.
pub(super) fn decision_code(decision: bool) -> ExitCode {
    ExitCode::from(u8::from(!decision))
}

fn human(answer: &AnswerView) -> String {
    let word = if answer.decision { "allow" } else { "deny" };
    let mut text = format!("{word}  ({})", freshness(&answer.context));
    if let Some(message) = reason(&answer.context) {
        text.push_str("\n  ");
        text.push_str(message);
    }
    text
}

/// `revision 42, 120 ms old`
pub(super) fn freshness(context: &ContextView) -> String {
    let revision = context.revision.map_or_else(
        || "revision unknown".to_owned(),
        |number| format!("revision {number}"),
    );
    let age = match context.staleness_ms {
        Some(ms) if ms < 1000 => format!("{ms} ms old"),
        Some(ms) => format!("{}.{} s old", ms / 1000, ms % 1000 / 100),
        None => "age unknown: no word from the authority yet".to_owned(),
    };
    format!("{revision}, {age}")
}

fn reason(context: &ContextView) -> Option<&str> {
    ["reason", "error"]
        .iter()
        .find_map(|name| context.more.get(*name)?.get("message")?.as_str())
}

impl QuestionArgs {
    /// The AuthZEN request.
    pub(super) fn body(&self, profile: &Profile) -> Result<Value, CliError> {
        let user: UserId = profile.user(&self.user)?;
        let permission = &self.permission;
        let mut resource = json!({
            "type": format!("{}:{}", permission.service, permission.resource),
            "id": self.resource.as_deref().unwrap_or("*"),
        });
        if let Some(text) = &self.properties {
            let properties: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
                CliError::usage(format!("--properties is no JSON object: {error}"))
            })?;
            set(&mut resource, "properties", Value::Object(properties));
        }
        Ok(json!({
            "subject": {"type": "user", "id": user},
            "action": {"name": permission.action},
            "resource": resource,
            "context": {"organization": self.organization},
        }))
    }
}

impl QuestionArgs {
    /// On which terms the answer is wanted.
    fn headers(&self) -> Result<HeaderMap, CliError> {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: String| {
            let value = HeaderValue::try_from(value)
                .map_err(|error| CliError::usage(format!("{name}: {error}")))?;
            headers.insert(name, value);
            Ok::<_, CliError>(())
        };
        if let Some(token) = &self.at_least {
            add("doorward-at-least", token.to_string())?;
        }
        if let Some(most) = self.max_staleness {
            add("doorward-max-staleness", format!("{}ms", most.as_millis()))?;
        }
        Ok(headers)
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// Posts one question.
pub(super) async fn ask(
    sidecar: &Endpoint,
    path: &str,
    question: &QuestionArgs,
    profile: &Profile,
) -> Result<AnswerView, CliError> {
    let body = question.body(profile)?;
    let mut call = Call::new(Method::POST, path).body("application/json", body.to_string());
    call.headers = question.headers()?;
    let answer = send(sidecar, call).await?;
    if answer.status == StatusCode::OK {
        read(sidecar, &answer)
    } else {
        Err(problem(sidecar, &answer))
    }
}
