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

The last three go to the authority that runs on the data directory, if one does.
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
}

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
        };
        daemon.command(command)
    }
}
