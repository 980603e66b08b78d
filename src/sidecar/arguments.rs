//! The command line of `doorward-sidecar`.

use std::fmt;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use http::Uri;

use crate::domain::Secret;
use crate::runtime::config::Environment;
use crate::sidecar::daemon::{self, DaemonError};
use crate::sidecar::gate::KeyChange;

const EXAMPLES: &str = "\
Examples:
  doorward-sidecar enroll --authority https://authority.example --data /var/lib/doorward-sidecar
  doorward-sidecar serve --config sidecar.toml        answer checks until SIGTERM
  doorward-sidecar gate-keys new /etc/doorward/gate.keys   keys for the cookies of gates

`enroll` takes the join token from DOORWARD_JOIN_TOKEN, where other users cannot see it.
Every setting can be given in the environment: `DOORWARD_SIDECAR__CACHE__MEMBERS=50000`.

Exit codes:
  0 success   1 it cannot start or go on   64 wrong arguments
  74 a file cannot be read or written      78 wrong or missing configuration";

/// The daemon beside every service: answers checks from its own copy.
#[derive(Parser)]
#[command(name = "doorward-sidecar", version, after_help = EXAMPLES)]
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

#[derive(Subcommand)]
enum Task {
    /// Answer checks until SIGTERM or SIGINT (the default)
    Serve,
    /// Join an authority with a one-time token
    Enroll {
        /// The authority's base URL
        #[arg(long, value_name = "URL")]
        authority: Uri,
        /// The join token; better given in the environment, where other users cannot see it
        #[arg(
            long,
            value_name = "TOKEN",
            env = "DOORWARD_JOIN_TOKEN",
            hide_env_values = true
        )]
        join_token: String,
        /// Certificates (PEM) to trust instead of the public roots
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// What the sidecar is called; the invitation's name if absent
        #[arg(long)]
        name: Option<String>,
    },
    /// Make or change the keys that seal the cookies of gates
    GateKeys {
        /// The step
        change: KeyChange,
        /// The file of keys
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// The join token is among them.
impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arguments")
            .field("config", &self.config)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl Arguments {
    /// Does what was asked for, and gives what is to be shown.
    ///
    /// # Errors
    ///
    /// [`DaemonError::exit`] has the exit code.
    pub fn run(self) -> Result<String, DaemonError> {
        if let Some(Task::GateKeys { change, file }) = &self.task {
            return daemon::gate_keys(file, *change);
        }
        let environment = Environment::of_process();
        let config =
            daemon::configuration(self.config.as_deref(), self.data.clone(), &environment)?;
        match self.task.unwrap_or(Task::Serve) {
            Task::Serve => {
                let (file, data) = (self.config, self.data);
                let again = || daemon::read(file.as_deref(), data.clone(), &environment);
                daemon::serve(&config, &environment, again).map(|()| String::new())
            }
            Task::GateKeys { change, file } => daemon::gate_keys(&file, change),
            Task::Enroll {
                authority,
                join_token,
                ca_file,
                name,
            } => {
                let join_token = Secret::new(join_token);
                daemon::enroll(&config, authority, ca_file, &join_token, name)
            }
        }
    }
}
