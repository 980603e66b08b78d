//! The command line of `doorward-authority`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::domain::{ClientIdentifier, ServiceName, UserId};

use super::control::Command;
use super::daemon::{Daemon, DaemonError, Source};

const EXAMPLES: &str = "\
Examples:
  doorward-authority init --data /var/lib/doorward    make an installation, print the first secret
  doorward-authority serve --config authority.toml    serve until SIGTERM
  doorward-authority sidecar join-token web-1         invite a sidecar
  doorward-authority client create billing --service billing
  doorward-authority token --user 0198c0de-0000-7000-8000-000000000001
  doorward-authority keys rotate                      new signing keys, without a failed check
  doorward-authority audit verify                     is the audit log what it was?

All but the first two go to the authority that runs on the data directory, if one does.
Every setting can be given in the environment: `DOORWARD_AUTHORITY__LIFETIMES__ACCESS=5m`.

Exit codes:
  0 success   1 it cannot start or go on   64 wrong arguments
  74 a file cannot be read or written      78 wrong or missing configuration";

/// The daemon that owns the truth: manifests, organizations, members, credentials and the feed.
#[derive(Debug, Parser)]
#[command(name = "doorward-authority", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory; wins over the configuration's
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make an installation and print the first operator's secret, once
    Init,
    /// Serve until SIGTERM or SIGINT (the default)
    Serve,
    /// Print a short access token for a user; it is audited
    Token {
        /// The user's id
        #[arg(long)]
        user: UserId,
        /// Space-delimited scopes; `doorward:organizations` if absent
        #[arg(long)]
        scope: Option<String>,
    },
    /// Clients: programs with credentials of their own
    #[command(subcommand)]
    Client(ClientTask),
    /// Sidecars
    #[command(subcommand)]
    Sidecar(SidecarTask),
    /// Signing keys, and the key that seals them
    #[command(subcommand)]
    Keys(KeysTask),
    /// The audit log
    #[command(subcommand)]
    Audit(AuditTask),
}

#[derive(Debug, Subcommand)]
enum KeysTask {
    /// Show the signing keys: what they sign, their state and its times
    List,
    /// Stage new signing keys; they sign once every verifier knows them
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate {
        /// Of which tokens: access-token or id-token; both if absent
        #[arg(long, value_name = "PURPOSE", value_parser = ["access-token", "id-token"])]
        purpose: Option<String>,
        /// Sign with the new keys at once: verifiers that keep the key set must fetch it again
        #[arg(long)]
        now: bool,
    },
    /// Seal every sealed value again under the newest key of the key file
    #[command(after_help = RESEAL_EXAMPLES)]
    Reseal {
        /// Put a new key in front of the key file first
        #[arg(long)]
        new_key: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AuditTask {
    /// Check that no audit row was changed, removed or inserted
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        /// The head that an earlier run printed: the log must still pass through it
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
}

const ROTATE_EXAMPLES: &str = "\
Examples:
  doorward-authority keys rotate                          publish new keys now, sign with them in ten minutes
  doorward-authority keys rotate --purpose id-token       only those of ID tokens
  doorward-authority keys rotate --purpose access-token --now   a key has leaked: refuse what it signed

The former key stays published until nothing that it signed counts any more. With --now that of
access tokens is deleted: what it signed is refused at once, refresh tokens and sessions survive.";

const RESEAL_EXAMPLES: &str = "\
Examples:
  doorward-authority keys reseal --new-key    make a new sealing key and seal everything under it
  doorward-authority keys reseal              the key file was edited by hand: a new key stands first

With several authorities, copy the key file to every host before an older key is taken out of it.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  doorward-authority audit verify
  doorward-authority audit verify --head 1207:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

Exit code 1 when something was changed, removed or inserted.";

#[derive(Debug, Subcommand)]
enum ClientTask {
    /// Make a client and print its secret, once
    Create {
        /// Its public name
        client_id: ClientIdentifier,
        /// The service whose manifest it syncs; without one it is an operator's
        #[arg(long)]
        service: Option<ServiceName>,
    },
}

#[derive(Debug, Subcommand)]
enum SidecarTask {
    /// Make a one-time join token and print the command that uses it
    JoinToken {
        /// What the sidecar is called
        name: String,
    },
}

impl Arguments {
    /// Does what was asked for, and gives what is to be shown.
    ///
    /// # Errors
    ///
    /// [`DaemonError::exit`] has the exit code.
    pub fn run(self) -> Result<String, DaemonError> {
        let daemon = Daemon::new(&Source {
            file: self.config,
            data: self.data,
        })?;
        let command = match self.task.unwrap_or(Task::Serve) {
            Task::Init => return daemon.init(),
            Task::Serve => return daemon.serve().map(|()| String::new()),
            Task::Token { user, scope } => Command::Token { user, scope },
            Task::Client(ClientTask::Create { client_id, service }) => {
                Command::CreateClient { client_id, service }
            }
            Task::Sidecar(SidecarTask::JoinToken { name }) => Command::JoinToken { name },
            Task::Keys(KeysTask::List) => Command::ListKeys,
            Task::Keys(KeysTask::Rotate { purpose, now }) => Command::RotateKeys {
                purpose: purpose.map(|text| text.replace('-', "_")),
                at_once: now,
            },
            Task::Keys(KeysTask::Reseal { new_key }) => Command::ResealKeys { new_key },
            Task::Audit(AuditTask::Verify { head }) => Command::VerifyAudit { head },
        };
        daemon.command(command)
    }
}
