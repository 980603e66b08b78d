//! From arguments to an exit code.

use std::process::ExitCode;

use super::args::{Cli, Command};
use super::error::CliError;
use super::output::{Format, Output};
use super::profile::Profile;
use super::{
    check, client, completions, decisions, dev, doctor, explain, invite, manifest, member, openapi,
    org, policy, provider, routes, status, user,
};
use crate::domain::Secret;

/// Runs one command. Failures are shown here, once.
pub async fn run(cli: Cli, client_secret: Option<Secret<String>>) -> ExitCode {
    let output = Output::new(if cli.json {
        Format::Json
    } else {
        Format::Human
    });
    match dispatch(&cli, client_secret, output).await {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            error.exit_code()
        }
    }
}

async fn dispatch(
    cli: &Cli,
    client_secret: Option<Secret<String>>,
    output: Output,
) -> Result<ExitCode, CliError> {
    let profile = || Profile::load(&cli.connection, client_secret.clone());
    match &cli.command {
        Command::Dev(args) => dev::run(args, output).await,
        Command::Check(args) => check::run(args, &profile()?, output).await,
        Command::Explain(args) => explain::run(args, &profile()?, output).await,
        Command::Status(_) => Ok(status::run(&profile()?, output).await),
        Command::Doctor(args) => doctor::run(args, &cli.connection, &profile()?, output).await,
        Command::Policy(args) => policy::run(args, profile, output).await,
        Command::Routes(args) => routes::run(args, output),
        Command::Decisions(args) => decisions::run(args, output),
        Command::Manifest(args) => manifest::run(args, &profile()?, output).await,
        Command::Org(args) => org::run(args, &profile()?, output).await,
        Command::Member(args) => member::run(args, &profile()?, output).await,
        Command::Invite(args) => invite::run(args, &profile()?, output).await,
        Command::User(args) => user::run(args, &profile()?, output).await,
        Command::Client(args) => client::run(args, &profile()?, output).await,
        Command::Provider(args) => provider::run(args, &profile()?, output).await,
        Command::Openapi(args) => Ok(openapi::run(args, output)),
        Command::Completions(args) => Ok(completions::run(args, output)),
    }
}
