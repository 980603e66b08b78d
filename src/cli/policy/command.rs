//! The subcommands.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::super::error::CliError;
use super::super::output::Output;
use super::super::profile::Profile;
#[cfg(feature = "prove")]
use super::prove;
use super::{diff, export, test};

/// Tests, compares, proves and exports policies
#[derive(Debug, Args)]
pub(in crate::cli) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Runs cases against policies, and tells which policies no case reaches
    ///
    /// Exit codes: 0 all cases pass, 1 a case fails (or a policy decides none, with
    /// --require-coverage), 2 a file is wrong.
    #[command(after_help = "\
Examples:
  doorward policy test policies/tests
  doorward policy test policies/tests/examples.yaml --require-coverage
  doorward policy test policies/tests --json | jq '.uncovered[].id'")]
    Test(test::TestArgs),
    /// Shows what a change of manifests or policies widens and narrows
    ///
    /// A source is a manifest, a directory (its *manifest.{json,yaml,toml}, *.cedar and
    /// attributes.toml), or `live`: what the authority serves. Roles are compared by sets, and
    /// exactly. Where hand-written policies have a say a solver compares, and every difference comes
    /// with a request that the evaluator confirmed.
    ///
    /// Exit codes: 0 done, 1 wider or not known (only with --fail-if-wider), 2 a source is wrong or
    /// a solver is missing.
    #[command(after_help = "\
Examples:
  doorward policy diff billing.old.yaml billing.yaml
  doorward policy diff before/ after/ --fail-if-wider
  doorward policy diff live billing.yaml --policies /etc/doorward/policies")]
    Diff(diff::DiffArgs),
    /// Proves that properties hold for every request, or shows one for which they do not
    ///
    /// Exit codes: 0 all proved, 1 one disproved or undecided, 2 a file is wrong or a solver is
    /// missing, 5 the solver and the evaluator contradict each other (a bug: please report it).
    #[cfg(feature = "prove")]
    #[command(after_help = "\
Examples:
  pip install z3-solver
  doorward policy prove policies/tests/examples.properties.yaml
  doorward policy prove properties.yaml --source live --policies /etc/doorward/policies
  doorward policy prove properties.yaml --solver /opt/cvc5/bin/cvc5 --timeout 120")]
    Prove(prove::ProveArgs),
    /// Writes Cedar policies, schema and entities for the stock Cedar tools
    #[command(after_help = "\
Examples:
  doorward policy export > policies.cedar
  doorward policy export --part schema > doorward.cedarschema
  doorward policy export --policies /etc/doorward/policies --out ./cedar")]
    Export(export::ExportArgs),
}

/// Runs a subcommand. The profile is loaded by those that speak to an authority.
pub(in crate::cli) async fn run(
    args: &PolicyArgs,
    profile: impl Fn() -> Result<Profile, CliError>,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        PolicyCommand::Test(args) => test::run(args, output),
        PolicyCommand::Diff(args) => diff::run(args, profile, output).await,
        #[cfg(feature = "prove")]
        PolicyCommand::Prove(args) => prove::run(args, profile, output).await,
        PolicyCommand::Export(args) => export::run(args, &profile()?, output).await,
    }
}
