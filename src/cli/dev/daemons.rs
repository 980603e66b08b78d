//! Both daemons inside this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::super::error::CliError;
use super::super::output::Output;
use crate::authority::app::{App, StartError};
use crate::authority::config::Config;
use crate::domain::{Position, Revision};
use crate::runtime::config::Environment;
use crate::runtime::listen::Address;
use crate::runtime::{Clock, Entropy, Tasks, chain};
use crate::sidecar::app::Sidecar;
use crate::sidecar::config::{Config as SidecarConfig, Listener};
use crate::sidecar::enrolment::Enrolment;
use crate::store::Store;

/// The longest path of a Unix socket.
const MAX_SOCKET_PATH: usize = 100;

/// How long the sidecar may take to have everything: a world of millions arrives as a snapshot.
const COPY_TIMEOUT: Duration = Duration::from_mins(10);

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub data: PathBuf,
    pub authority_port: u16,
    pub sidecar_port: u16,
}

impl Places {
    /// The profile of the other commands.
    pub(super) fn profile(&self) -> PathBuf {
        self.data.join("profile.toml")
    }

    /// The operator's secret, for `curl`.
    pub(super) fn secret(&self) -> PathBuf {
        self.data.join("operator.secret")
    }

    /// The sidecar's data directory.
    pub(super) fn sidecar(&self) -> PathBuf {
        self.data.join("sidecar")
    }

    /// The sidecar's socket, unless its path would be too long for one.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        let path = self.data.join("sidecar.sock");
        (path.as_os_str().len() <= MAX_SOCKET_PATH).then_some(path)
    }

    /// The authority's configuration.
    pub(super) fn authority(&self) -> Result<Config, CliError> {
        let mut config = Config::in_directory(&self.data.join("authority"));
        let address = format!("127.0.0.1:{}", self.authority_port);
        config.issuer = format!("http://{address}")
            .parse()
            .map_err(CliError::local)?;
        config.listen = vec![address.parse().map_err(CliError::local)?];
        config.demo_provider = true;
        Ok(config)
    }

    fn sidecar_config(&self) -> Result<SidecarConfig, CliError> {
        let mut config = SidecarConfig::for_data(self.sidecar());
        let address: Address = format!("127.0.0.1:{}", self.sidecar_port)
            .parse()
            .map_err(CliError::local)?;
        config.listeners.push(Listener::at(address));
        if let Some(path) = self.socket() {
            config
                .listeners
                .push(Listener::at(Address::Unix { path, mode: 0o600 }));
        }
        Ok(config)
    }
}

/// The authority, running or stopped.
pub(super) struct AuthorityHandle {
    config: Config,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tasks: Tasks,
    running: Option<Running>,
    last_head: Position,
}

struct Running {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<Result<(), StartError>>,
    store: Store,
    head: watch::Receiver<Position>,
}

impl AuthorityHandle {
    /// Starts it.
    pub(super) fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        tasks: &Tasks,
    ) -> Result<Self, CliError> {
        let running = Running::start(&config, &clock, &entropy, tasks)?;
        let last_head = *running.head.borrow();
        Ok(Self {
            config,
            clock,
            entropy,
            tasks: tasks.clone(),
            running: Some(running),
            last_head,
        })
    }

    /// The store, while it runs.
    pub(super) fn store(&self) -> Option<&Store> {
        self.running.as_ref().map(|running| &running.store)
    }

    /// The feed's head; the last one known while it is stopped.
    pub(super) fn head(&self) -> Position {
        self.running
            .as_ref()
            .map_or(self.last_head, |running| *running.head.borrow())
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Stops it when it runs, and starts it when it does not.
    pub(super) async fn toggle(&mut self) -> Result<(), CliError> {
        if self.is_running() {
            return self.stop().await;
        }
        self.running = Some(Running::start(
            &self.config,
            &self.clock,
            &self.entropy,
            &self.tasks,
        )?);
        Ok(())
    }

    /// Stops it and waits until its database is closed.
    pub(super) async fn stop(&mut self) -> Result<(), CliError> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        self.last_head = *running.head.borrow();
        drop(running.store);
        let _ = running.stop.send(());
        match running.ended.await {
            Ok(Err(error)) => Err(CliError::local(chain(&error))),
            _ => Ok(()),
        }
    }
}

impl Running {
    fn start(
        config: &Config,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
        tasks: &Tasks,
    ) -> Result<Self, CliError> {
        let app = tokio::task::block_in_place(|| {
            App::build(
                config.clone(),
                &Environment::default(),
                Arc::clone(clock),
                Arc::clone(entropy),
            )
        })
        .map_err(|error| {
            CliError::local(format!("the authority does not start: {}", chain(&error)))
                .fix("is another one running? --port 0 takes a free port")
        })?;
        let store = app.authority().store.clone();
        let head = store.subscribe();
        let (stop, stopped) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        let all = tasks.stop();
        tasks.spawn("authority", async move {
            let shutdown = async move {
                tokio::select! {
                    _ = stopped => {}
                    () = all.requested() => {}
                }
            };
            let _ = done.send(app.run(shutdown).await);
        });
        Ok(Self {
            stop,
            ended,
            store,
            head,
        })
    }
}

/// The sidecar, running.
pub(super) struct SidecarHandle {
    sidecar: Sidecar,
}

impl SidecarHandle {
    /// Starts it from its enrolment.
    pub(super) fn start(
        places: &Places,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
        tasks: &Tasks,
    ) -> Result<Self, CliError> {
        let data = places.sidecar();
        let enrolment = Enrolment::load(&data).map_err(|error| CliError::local(chain(&error)))?;
        let sidecar = Sidecar::start(
            &places.sidecar_config()?,
            Some(enrolment.follower(&data)),
            (Arc::clone(clock), Arc::clone(entropy)),
            &Environment::default(),
            tasks,
        )
        .map_err(|error| {
            CliError::local(format!("the sidecar does not start: {}", chain(&error)))
                .fix("is another one running? --sidecar-port 0 takes a free port")
        })?;
        Ok(Self { sidecar })
    }

    /// The sidecar itself.
    pub(super) const fn sidecar(&self) -> &Sidecar {
        &self.sidecar
    }

    /// Where its answers stand.
    pub(super) fn revision(&self) -> Revision {
        self.sidecar.state().view().revision()
    }

    /// Whether it knows how fresh it is.
    fn is_fresh(&self) -> bool {
        let state = self.sidecar.state();
        state.freshness(&state.view()).staleness.is_some()
    }

    /// Waits until its copy has everything up to `head`, and until it knows that.
    pub(super) async fn wait_for(&self, head: Position, output: Output) -> Result<(), CliError> {
        let spinner = output.spinner("the sidecar takes its copy");
        let arrived = async {
            while self.revision() < head.revision || !self.is_fresh() {
                if let Some(problem) = self.sidecar.state().link().last_problem {
                    spinner.set_message(format!("the sidecar takes its copy ({problem})"));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(COPY_TIMEOUT, arrived).await;
        spinner.finish_and_clear();
        in_time.map_err(|_| {
            let problem = self.sidecar.state().link().last_problem;
            CliError::local(format!(
                "the sidecar has no copy yet: {}",
                problem.unwrap_or_else(|| "no reason known".to_owned())
            ))
        })
    }
}
