//! `doorward decisions`: records of the sidecar's decision log.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::error::CliError;
use super::output::Output;
use crate::domain::DecisionId;
use crate::sidecar::decision_log::find;

/// Looks into the sidecar's decision log
#[derive(Debug, Args)]
pub(super) struct DecisionsArgs {
    #[command(subcommand)]
    command: DecisionsCommand,
}

#[derive(Debug, Subcommand)]
enum DecisionsCommand {
    /// Shows the record of a decision; exit code 1 if the files have none
    #[command(after_help = "\
Examples:
  doorward decisions show 5f0c9a17d2be44010000000003e9 --directory /var/log/doorward-sidecar")]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The id: `context.decision_id` of an answer, or its header `Doorward-Decision-Id`
    id: DecisionId,
    /// The log's directory, as the sidecar's `decision_log.directory` names it
    #[arg(long, value_name = "DIRECTORY")]
    directory: PathBuf,
}

pub(super) fn run(args: &DecisionsArgs, output: Output) -> Result<ExitCode, CliError> {
    let DecisionsCommand::Show(args) = &args.command;
    let directory = args.directory.display();
    let found = find(&args.directory, args.id)
        .map_err(|error| CliError::usage(format!("cannot read `{directory}`: {error}")))?;
    let Some(line) = found else {
        output.show(&Value::Null, |_| {
            format!(
                "No record of {} in {directory}. It was deleted with the oldest files, or is \
                 another sidecar's.",
                args.id
            )
        });
        return Ok(ExitCode::from(1));
    };
    let record: Value = serde_json::from_str(&line)
        .map_err(|error| CliError::usage(format!("the record is no JSON: {error}")))?;
    output.show(&record, |record| {
        printable(&serde_json::to_string_pretty(record).unwrap_or_default())
    });
    Ok(ExitCode::SUCCESS)
}

/// JSON for a terminal: what a caller wrote into a record must neither move the cursor nor turn the
/// direction of what stands behind it.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || (c.is_control() && c != '\n') {
            // None of them is beyond the first plane.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_cannot_steer_the_terminal_and_stays_the_json_it_was() {
        let value = serde_json::json!({"id": "a\u{9b}2J\u{202e}b\u{1b}\u{7f}é\u{2066}"});
        let shown = printable(&serde_json::to_string_pretty(&value).unwrap());
        assert!(
            shown.chars().all(|c| c == '\n' || !c.is_control()),
            "{shown:?}"
        );
        assert!(
            !shown.contains('\u{202e}') && !shown.contains('\u{2066}'),
            "{shown:?}"
        );
        assert!(shown.contains('é'));
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
