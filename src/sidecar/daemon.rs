//! What `doorward-sidecar` can be asked to do, once its arguments are read.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use crate::domain::Secret;
use crate::runtime::config::{ConfigError, Environment};
use crate::runtime::files::FileError;
use crate::runtime::listen::ListenError;
use crate::runtime::notify;
use crate::runtime::signals::{Hangups, Signals};
use crate::runtime::tasks::Tasks;
use crate::runtime::telemetry::{self, TelemetryError};
use crate::runtime::{Clock as _, Exit, SystemClock, SystemEntropy, chain, limits};
use crate::sidecar::app::{Sidecar, StartError};
use crate::sidecar::config::Config;
use crate::sidecar::enrolment::{Enrolment, EnrolmentError};
use crate::sidecar::gate::{GateError, KeyChange, KeysError, change_keys};
use crate::sidecar::routes::RoutesError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// There is no usable enrolment.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// The sealing keys of gates.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Starting.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The runtime or its signals.
    #[error("the runtime cannot start")]
    Runtime(#[from] io::Error),
}

impl DaemonError {
    /// The exit code that goes with it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Telemetry(_)
            | Self::Keys(KeysError::Keys(_))
            | Self::Enrolment(EnrolmentError::Missing(_) | EnrolmentError::Damaged(_))
            | Self::Start(
                StartError::Exposed(_)
                | StartError::Policies(_)
                | StartError::Routes(RoutesError::Syntax(_) | RoutesError::Mistakes(_))
                | StartError::TokenRules
                | StartError::GateWithoutRoutes
                | StartError::Gate(
                    GateError::Keys { .. } | GateError::Issuer { .. } | GateError::Client { .. },
                )
                | StartError::Listen(ListenError::NotInherited(..)),
            ) => Exit::Config,
            Self::Enrolment(EnrolmentError::File(_))
            | Self::Start(
                StartError::File(_)
                | StartError::DecisionLog(_)
                | StartError::Routes(RoutesError::File(_))
                | StartError::Gate(GateError::File(_)),
            )
            | Self::Keys(KeysError::File(_)) => Exit::Io,
            Self::Enrolment(EnrolmentError::JoinToken(_)) => Exit::Usage,
            Self::Enrolment(_) | Self::Start(_) | Self::Runtime(_) => Exit::Failed,
        }
    }
}

/// Reads the configuration and starts logging.
pub fn configuration(
    file: Option<&Path>,
    data: Option<PathBuf>,
    environment: &Environment,
) -> Result<Config, DaemonError> {
    let config = read(file, data, environment)?;
    telemetry::start_logging(config.log_format, &config.log_filter)?;
    Ok(config)
}

/// Reads the configuration.
pub fn read(
    file: Option<&Path>,
    data: Option<PathBuf>,
    environment: &Environment,
) -> Result<Config, ConfigError> {
    let mut config = Config::load(file, environment)?;
    if let Some(data) = data {
        config.data = data;
    }
    Ok(config)
}

/// Joins an authority and keeps the credentials in the data directory.
pub fn enroll(
    config: &Config,
    authority: Uri,
    ca_file: Option<PathBuf>,
    join_token: &Secret<String>,
    name: Option<String>,
) -> Result<String, DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Enrolment::make_room(&config.data)?;
    let joined = Enrolment::join(authority, ca_file, join_token.expose(), name);
    let enrolment = runtime.block_on(joined)?;
    enrolment.save(&config.data)?;
    let data = config.data.display();
    Ok(format!(
        "Enrolled as {}. Start it with `doorward-sidecar serve --data {data}`.\n",
        enrolment.client_id
    ))
}

/// Changes the sealing keys of gates.
pub fn gate_keys(file: &Path, change: KeyChange) -> Result<String, DaemonError> {
    Ok(change_keys(file, change, &SystemEntropy::default())?)
}

/// Answers checks until SIGTERM or SIGINT. On SIGHUP, `again` reads the configuration.
pub fn serve(
    config: &Config,
    environment: &Environment,
    again: impl Fn() -> Result<Config, ConfigError>,
) -> Result<(), DaemonError> {
    telemetry::metrics()?;
    let follower = Enrolment::load(&config.data)?.follower(&config.data);
    refuse_read_only(&config.data).map_err(StartError::File)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mut signals, mut hangups) = (Signals::listen()?, Hangups::listen()?);
        let tasks = Tasks::new();
        let started = Sidecar::start(
            config,
            Some(follower),
            (Arc::new(SystemClock), Arc::new(SystemEntropy::default())),
            environment,
            &tasks,
        );
        let sidecar = match started {
            Ok(sidecar) => sidecar,
            Err(error) => {
                let _ = tasks.shutdown(limits::DRAIN_TIME).await;
                return Err(error.into());
            }
        };
        for bound in sidecar.bound() {
            tracing::info!(%bound, "answering checks");
        }
        notify::ready("answering checks");
        let signal = loop {
            tokio::select! {
                signal = signals.recv() => break signal,
                () = hangups.recv() => reload(&sidecar, &again),
            }
        };
        tracing::info!(signal, "stopping");
        notify::stopping();
        if let Err(overdue) = tasks.shutdown(limits::DRAIN_TIME).await {
            tracing::warn!(%overdue, "stopped");
        }
        Ok(())
    })
}

/// Reads the configuration again, and says what came of it: in the log, in metrics and to systemd.
fn reload(sidecar: &Sidecar, again: &impl Fn() -> Result<Config, ConfigError>) {
    notify::reloading();
    let outcome = again()
        .map_err(DaemonError::from)
        .and_then(|config| sidecar.reload(&config));
    metrics::gauge!("doorward_sidecar_reload_success").set(u8::from(outcome.is_ok()));
    let at = u64::try_from(SystemClock.now().unix_seconds()).unwrap_or_default();
    metrics::gauge!("doorward_sidecar_reload_timestamp_seconds")
        .set(Duration::from_secs(at).as_secs_f64());
    let status = match outcome {
        Ok(later) if later.is_empty() => {
            tracing::info!("the configuration was read again");
            "the configuration was read again".to_owned()
        }
        Ok(later) => {
            let later = later.join(", ");
            tracing::warn!(
                later,
                "the configuration was read again; some of it counts after a restart"
            );
            format!("the configuration was read again; after a restart: {later}")
        }
        Err(error) => {
            let problem = chain(&error);
            tracing::error!(
                problem,
                "the new configuration is refused; the old one serves"
            );
            format!("the new configuration is refused, the old one serves: {problem}")
        }
    };
    notify::ready(&status);
}

/// A copy that can never be moved on would only hide that it cannot. A full disk is no such case:
/// there will be room again.
fn refuse_read_only(data: &Path) -> Result<(), FileError> {
    let probe = data.join("write.probe");
    match std::fs::write(&probe, b"") {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied
            ) =>
        {
            Err(FileError::new("write", &probe)(error))
        }
        // What cannot be removed will be written again.
        _ => {
            let _ = std::fs::remove_file(&probe);
            Ok(())
        }
    }
}
