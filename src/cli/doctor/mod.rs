//! `doorward doctor`: what is wrong with a deployment, and what to do about it.
//!
//! Nothing is changed and nothing is locked: it asks running daemons over their public interfaces,
//! and reads what lies on this machine as they would.

mod authority;
mod authority_files;
mod finding;
mod place;
mod sidecar;
mod sidecar_files;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::finding::Findings;
use super::error::CliError;
use super::output::Output;
use super::profile::{ConnectionArgs, Profile};
use crate::runtime::config::Environment;
use crate::runtime::{Clock as _, SystemClock};

/// Checks a deployment and says what is wrong with it, and how to mend it
///
/// Asks both daemons, and reads the configuration, keys, routes, policies and copy of those whose
/// files are named. Changes nothing. Exit code 0 when nothing is wrong (there may be warnings), 1
/// when something is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward doctor
  doorward doctor --sidecar-config /etc/doorward/sidecar.toml --sidecar unix:/run/doorward/sidecar.sock
  doorward doctor --authority-config /etc/doorward/authority.toml --json | jq '.findings[] | select(.level == \"wrong\")'")]
pub(super) struct DoctorArgs {
    /// The configuration of an authority on this machine
    #[arg(long, value_name = "FILE")]
    authority_config: Option<PathBuf>,
    /// Its data directory, if that is not in its configuration
    #[arg(long, value_name = "DIRECTORY")]
    authority_data: Option<PathBuf>,
    /// The configuration of a sidecar on this machine
    #[arg(long, value_name = "FILE")]
    sidecar_config: Option<PathBuf>,
    /// Its data directory, if that is not in its configuration
    #[arg(long, value_name = "DIRECTORY")]
    sidecar_data: Option<PathBuf>,
}

pub(super) async fn run(
    args: &DoctorArgs,
    connection: &ConnectionArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    let environment = Environment::of_process();
    let now = SystemClock.now();
    let mut findings = Findings::default();
    let named = connection.profile.is_some();

    let files = authority_files::examine(
        args.authority_config.as_deref(),
        args.authority_data.as_deref(),
        &environment,
        &mut findings,
    );
    let at = match files.and_then(|config| place::of(&config.listen)) {
        Some(at) if !named && connection.authority.is_none() => at,
        _ => profile.authority().clone(),
    };
    let authority = authority::ask(&at, profile, now, &mut findings).await;

    let files = sidecar_files::examine(
        args.sidecar_config.as_deref(),
        args.sidecar_data.as_deref(),
        &environment,
        now,
        &mut findings,
    );
    let listeners = files.map(|config| config.listeners);
    let at = match listeners.and_then(|listeners| {
        let addresses: Vec<_> = listeners.into_iter().map(|one| one.address).collect();
        place::of(&addresses)
    }) {
        Some(at) if !named && connection.sidecar.is_none() => at,
        _ => profile.sidecar_admin().clone(),
    };
    sidecar::ask(&at, authority.as_ref(), &mut findings).await;

    output.show(&findings.report(), finding::Report::words);
    Ok(if findings.any_wrong() {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}
