//! What `doorward-authority` can be asked to do, once its arguments are read.
//!
//! A running SQLite authority has its database to itself, so commands on the host go to it over
//! its control socket ([`super::control`]); without one running they open the store themselves.

use std::path::PathBuf;
use std::sync::Arc;

use crate::runtime::config::{ConfigError, Environment};
use crate::runtime::notify;
use crate::runtime::signals::Signals;
use crate::runtime::{Clock, Entropy, Exit, SystemClock, SystemEntropy, telemetry};

use super::app::{App, Authority, StartError};
use super::config::Config;
use super::control::{self, Command, ControlError};
use super::init::{InitError, Initialized, initialize};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    /// The first start.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Starting or running.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A command on the host.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The runtime or its signals.
    #[error("the runtime cannot start")]
    Runtime(#[from] std::io::Error),
}

impl DaemonError {
    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Telemetry(_) => Exit::Config,
            Self::Init(error) => error.exit(),
            Self::Start(error) => error.exit(),
            Self::Control(_) | Self::Runtime(_) => Exit::Failed,
        }
    }
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file.
    pub file: Option<PathBuf>,
    /// The data directory, which wins over the file's.
    pub data: Option<PathBuf>,
}

/// The process around a command.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    environment: Environment,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Daemon {
    /// Reads configuration and environment, and starts logging.
    pub fn new(source: &Source) -> Result<Self, DaemonError> {
        let environment = Environment::of_process();
        let config = Config::load(source.file.as_deref(), source.data.as_deref(), &environment)?;
        telemetry::start_logging(config.log_format, &config.log_filter)?;
        Ok(Self {
            config,
            environment,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
        })
    }

    /// Makes the installation, and gives what is to be shown.
    pub fn init(&self) -> Result<String, DaemonError> {
        let data = self.config.data.display();
        Ok(
            match initialize(&self.config, &self.clock, &self.entropy)? {
                Initialized::Already => format!(
                    "There is an installation in {data} already; nothing was changed, and its first \
                 secret is not shown again.\nMake another client with `doorward-authority client \
                 create`.\n"
                ),
                Initialized::Made { client_id, secret } => format!(
                    "Installation made in {data}.\n\nThe first operator, shown this once:\n\n  \
                 client_id      {client_id}\n  client_secret  {}\n\nKeep a copy of {} apart from \
                 the database.\n",
                    secret.expose(),
                    self.config.key_file.display(),
                ),
            },
        )
    }

    /// Serves until SIGTERM or SIGINT.
    pub fn serve(self) -> Result<(), DaemonError> {
        telemetry::metrics()?;
        let control = control::socket(&self.config.data);
        let mut app = App::build(self.config, &self.environment, self.clock, self.entropy)?;
        if let Err(error) = app.listen_for_control(&control) {
            // A path too long for a socket, for example: the API works all the same.
            tracing::warn!(%error, "commands on the host will not reach this process");
        }
        runtime()?.block_on(async move {
            let mut signals = Signals::listen()?;
            // Its sockets are bound, and who connects now is answered when it runs.
            notify::ready("serving");
            app.run(async move {
                let signal = signals.recv().await;
                tracing::info!(signal, "stopping");
                notify::stopping();
            })
            .await?;
            Ok(())
        })
    }

    /// Carries out a command on the host, in the running authority if there is one, and gives what
    /// is to be shown.
    pub fn command(self, command: Command) -> Result<String, DaemonError> {
        let socket = control::socket(&self.config.data);
        let runtime = runtime()?;
        if let Some(answer) = runtime.block_on(control::ask(&socket, &command))? {
            return Ok(answer.to_string());
        }
        let authority = Authority::open(self.config, self.clock, self.entropy)?;
        let answer = runtime.block_on(control::carry_out(&authority, command, &os_user()))?;
        Ok(answer.to_string())
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// The operating system's user, by number: for the audit log.
fn os_user() -> String {
    rustix::process::getuid().as_raw().to_string()
}
