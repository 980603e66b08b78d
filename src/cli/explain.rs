//! `doorward explain`: why a check comes out as it does.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::check::{AnswerView, QuestionArgs, ask, decision_code, freshness};
use super::error::CliError;
use super::output::Output;
use super::profile::Profile;

/// Says which role grants, which policy forbids, or what is missing
///
/// Asked on the sidecar's Unix socket, or over TCP with its credential. Exit codes as `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward explain alice acme billing:invoice:approve
  doorward explain alice acme billing:invoice:approve --json | jq .context.explanation.cause")]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    question: QuestionArgs,
}

pub(super) async fn run(
    args: &ExplainArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    let answer = ask(
        profile.sidecar_admin(),
        "/v1/explain",
        &args.question,
        profile,
    )
    .await?;
    output.show(&answer, human);
    Ok(decision_code(answer.decision))
}

fn human(answer: &AnswerView) -> String {
    let word = if answer.decision { "allow" } else { "deny" };
    let mut lines = vec![format!("{word}  ({})", freshness(&answer.context))];
    let explanation = answer.context.more.get("explanation");
    let text = |name: &str| explanation?.get(name)?.as_str();
    if let Some(summary) = text("summary") {
        lines.push(format!("  {summary}"));
    }
    if let Some(roles) = names(explanation, "roles_held") {
        lines.push(format!("  roles held: {roles}"));
    }
    let faults = explanation
        .and_then(|explanation| explanation.get("faults")?.as_array())
        .into_iter()
        .flatten();
    lines.extend(faults.map(|fault| format!("  fault: {fault}")));
    lines.join("\n")
}

fn names(explanation: Option<&Value>, member: &str) -> Option<String> {
    let names: Vec<&str> = explanation?
        .get(member)?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    Some(if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_reads_as_a_few_lines() {
        let answer: AnswerView = serde_json::from_value(json!({
            "decision": false,
            "context": {"revision": 7, "staleness_ms": 1500, "explanation": {
                "summary": "denied: no role held grants it",
                "roles_held": ["billing/clerk"],
                "faults": [],
            }},
        }))
        .unwrap();
        assert_eq!(
            human(&answer),
            "deny  (revision 7, 1.5 s old)\n  denied: no role held grants it\n  \
             roles held: billing/clerk"
        );
    }
}
