//! The command line of `doorward-sidecar`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::runtime::config::Environment;
use crate::sidecar::daemon::{self, DaemonError};

const EXAMPLES: &str = "\
Examples:
  doorward-sidecar enroll --authority https://authority.example --data /var/lib/doorward-sidecar
  doorward-sidecar serve --config sidecar.toml        answer checks until SIGTERM

`enroll` takes the join token from DOORWARD_JOIN_TOKEN, where other users cannot see it.
Every setting can be given in the environment: `DOORWARD_SIDECAR__CACHE__MEMBERS=50000`.

Exit codes:
  0 success   1 it cannot start or go on   64 wrong arguments
  74 a file cannot be read or written      78 wrong or missing configuration";

/// The daemon beside every service: answers checks from its own copy.
#[derive(Debug, Parser)]
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

#[derive(Debug, Subcommand)]
enum Task {
    /// Answer checks until SIGTERM or SIGINT (the default)
    Serve,
}

impl Arguments {
    /// Does what was asked for, and gives what is to be shown.
    ///
    /// # Errors
    ///
    /// [`DaemonError::exit`] has the exit code.
    pub fn run(self) -> Result<String, DaemonError> {
        let environment = Environment::of_process();
        let config = daemon::configuration(self.config.as_deref(), self.data, &environment)?;
        match self.task.unwrap_or(Task::Serve) {
            Task::Serve => daemon::serve(&config, &environment).map(|()| String::new()),
        }
    }
}
