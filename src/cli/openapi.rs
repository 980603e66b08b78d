//! `doorward openapi`: what can be asked over HTTP, for programs.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::output::Output;
use crate::openapi;

/// Prints the OpenAPI 3.1 document of a daemon
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward openapi authority > authority.json
  doorward openapi sidecar > sidecar.json")]
pub(super) struct OpenapiArgs {
    /// Whose
    daemon: Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Daemon {
    /// doorward-authority
    Authority,
    /// doorward-sidecar
    Sidecar,
}

pub(super) fn run(args: &OpenapiArgs, output: Output) -> ExitCode {
    let document = match args.daemon {
        Daemon::Authority => openapi::authority(),
        Daemon::Sidecar => openapi::sidecar(),
    };
    output.document(&format!("{document:#}\n"));
    ExitCode::SUCCESS
}
