//! What can be typed.

use clap::{Parser, Subcommand};

use super::check::CheckArgs;
use super::client::ClientArgs;
use super::completions::CompletionsArgs;
use super::decisions::DecisionsArgs;
use super::dev::DevArgs;
use super::doctor::DoctorArgs;
use super::explain::ExplainArgs;
use super::invite::InviteArgs;
use super::manifest::ManifestArgs;
use super::member::MemberArgs;
use super::openapi::OpenapiArgs;
use super::org::OrgArgs;
use super::policy::PolicyArgs;
use super::profile::ConnectionArgs;
use super::provider::ProviderArgs;
use super::routes::RoutesArgs;
use super::status::StatusArgs;
use super::user::UserArgs;

/// Asks, shows and changes who may do what.
///
/// Exit codes: 0 done (check: allowed), 1 denied (check), failed (policy test, prove), 2 wrong arguments, files or
/// credentials, 3 refused by the server, 4 nobody answered, 5 a failure of this machine.
#[derive(Debug, Parser)]
#[command(
    name = "doorward",
    version,
    max_term_width = 100,
    propagate_version = true
)]
#[command(after_help = "\
Examples:
  doorward dev --data ./demo
  export DOORWARD_PROFILE=./demo/profile.toml
  doorward check alice acme billing:invoice:approve
  doorward member revoke acme alice billing/approver
  doorward manifest plan manifest.yaml")]
pub struct Cli {
    /// Results as JSON on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,

    #[command(flatten)]
    pub(super) connection: ConnectionArgs,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Dev(DevArgs),
    Check(CheckArgs),
    Explain(ExplainArgs),
    Status(StatusArgs),
    Doctor(DoctorArgs),
    Manifest(ManifestArgs),
    Policy(PolicyArgs),
    Routes(RoutesArgs),
    Decisions(DecisionsArgs),
    Org(OrgArgs),
    Member(MemberArgs),
    Invite(InviteArgs),
    User(UserArgs),
    Client(ClientArgs),
    Provider(ProviderArgs),
    Openapi(OpenapiArgs),
    Completions(CompletionsArgs),
}
