//! `doorward decisions`: records of the sidecar's decision log.

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
        serde_json::to_string_pretty(record).unwrap_or_default()
    });
    Ok(ExitCode::SUCCESS)
}
