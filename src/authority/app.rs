//! The authority as one value: built from a configuration, run until it is asked to stop.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use uuid::Uuid;

use crate::domain::Timestamp;
use crate::replication::supplier::{Supplier, SupplierConfig, SupplyError};
use crate::runtime::config::Environment;
use crate::runtime::files::create_private_dir;
use crate::runtime::listen::{Bound, ListenError, Listening};
use crate::runtime::serve::{ServeLimits, serve};
use crate::runtime::tasks::Overdue;
use crate::runtime::{Clock, Entropy, Exit, Stop, Tasks, limits};
use crate::store::audit::AuditEntry;
use crate::store::{Store, StoreError};

use super::access::{Access, AccessError};
use super::apps::documents::Documents;
use super::apps::{AppsError, sync_configured};
use super::config::Config;
use super::control;
use super::credentials::limiter::FailureLimiter;
use super::http;
use super::init::{InitError, apply_built_in};
use super::jobs;
use super::keys::{self, Keys, KeysError, check_canary, ensure_derivation_secret, read_ring};
use super::load::LoadLimiter;
use super::login::{self, DemoProvider, Directory, ProviderError, RememberedSessions};
use super::oauth::{KnownClients, backchannel};
use super::outbound::{Outbound, OutboundSetupError};
use super::providers;

/// What every request works with. Handlers get it as `State<Arc<Authority>>`.
#[derive(Debug)]
pub struct Authority {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The judge of this API.
    pub access: Arc<Access>,
    /// The signing keys.
    pub keys: Arc<Keys>,
    /// The configuration.
    pub config: Arc<Config>,
    /// Requests to others.
    pub outbound: Arc<Outbound>,
    /// What providers publish.
    pub directory: Directory,
    /// The demo provider, where it runs.
    pub demo: Option<DemoProvider>,
    /// The change feed.
    pub feed: Arc<Supplier>,
    /// The metadata document, made when it is first asked for.
    pub metadata: OnceLock<Bytes>,
    /// The documents of clients whose id is a URL.
    pub documents: Documents,
    /// Clients as they were read last.
    pub known: KnownClients,
    /// Sessions as they were read last.
    pub sessions: RememberedSessions,
    /// Counts wrong secrets.
    pub failures: FailureLimiter,
    /// Counts requests by where they come from.
    pub load: LoadLimiter,
    /// Background work, and the stop that long responses watch.
    pub tasks: Tasks,
}

impl Authority {
    /// Opens the store and the keys of an installation that `init` made.
    ///
    /// Blocks; belongs to start-up.
    pub fn open(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        create_private_dir(&config.data).map_err(InitError::File)?;
        let store = Store::open(&config.store, Arc::clone(&clock), Arc::clone(&entropy))?;
        let ring = match read_ring(&config.key_file) {
            Ok(ring) => ring,
            Err(error) => return Err(without_ring(&store, error)?),
        };
        let ring = Arc::new(ring);
        store.write_blocking(|tx| {
            check_canary(tx, &ring)?;
            ensure_derivation_secret(tx, &ring, &*entropy)
        })?;
        let now = clock.now();
        let stored = store.read_blocking(crate::store::keys::list)?;
        let missing = keys::missing(&ring, &stored, now)?;
        if !missing.is_empty() {
            store.write_blocking(|tx| keys::insert_missing(tx, &missing))?;
        }
        let keys = store.read_blocking(|tx| Keys::load(tx, &ring))?;
        store.write_blocking(|tx| apply_built_in(tx, now, &*entropy))?;
        let demo = providers::prepare(&store, &ring, &config, now, &*entropy)?;
        let overlap = config.lifetimes.previous_secret;
        sync_configured(&store, &config.clients, (now, &*entropy), overlap)?;
        let tasks = Tasks::new();
        let feed = Supplier::open(
            store.clone(),
            Arc::clone(keys.feed()),
            Arc::clone(&clock),
            &tasks,
            SupplierConfig::new(config.data.join("feed")),
        )?;
        Ok(Self {
            feed,
            failures: FailureLimiter::new(&clock),
            load: LoadLimiter::new(&config.limits, &clock),
            access: Arc::new(Access::new()?),
            outbound: Arc::new(Outbound::new(login::outbound_config(&config))?),
            directory: Directory::default(),
            known: KnownClients::default(),
            sessions: RememberedSessions::default(),
            demo,
            keys: Arc::new(keys),
            metadata: OnceLock::new(),
            documents: Documents::default(),
            config: Arc::new(config),
            tasks,
            store,
            clock,
            entropy,
        })
    }

    /// A `UUIDv7` of now.
    pub fn mint_uuid(&self) -> Uuid {
        mint_uuid(self.clock.now(), &*self.entropy)
    }

    /// The stop that long responses watch.
    pub fn stop(&self) -> Stop {
        self.tasks.stop()
    }

    /// An audit entry of now, to be recorded in the transaction of what it tells.
    pub fn audit(
        &self,
        actor: String,
        event: &'static str,
        target: String,
        details: serde_json::Value,
    ) -> AuditEntry {
        AuditEntry {
            id: self.mint_uuid(),
            at: self.clock.now(),
            actor,
            event,
            organization: None,
            target: Some(target),
            details,
        }
    }
}

/// A `UUIDv7` for rows without an id type of their own.
pub(super) fn mint_uuid(now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.unix_millis(), &entropy.id_bits()).into_uuid()
}

/// Without a key file it matters whether there is something to open.
fn without_ring(store: &Store, error: KeysError) -> Result<StartError, StoreError> {
    let initialized = store.read_blocking(super::init::is_initialized)?;
    Ok(match error {
        KeysError::File(file) if file.is_not_found() && !initialized => {
            KeysError::NotInitialized.into()
        }
        error => error.into(),
    })
}

/// Why the authority does not start or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The key file or the keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Directory or built-in manifest.
    #[error(transparent)]
    Init(#[from] InitError),
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The change feed.
    #[error("the change feed cannot be supplied")]
    Feed(#[from] SupplyError),
    /// The platform's rules.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Providers that the configuration names.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Clients that the configuration names.
    #[error("a client of the configuration cannot be taken up")]
    Clients(#[from] AppsError),
    /// The client for requests to others.
    #[error(transparent)]
    Outbound(#[from] OutboundSetupError),
    /// The runtime.
    #[error("the runtime failed")]
    Runtime(#[source] io::Error),
    /// Work went on after the stop.
    #[error(transparent)]
    Overdue(#[from] Overdue),
}

impl StartError {
    /// The exit code that tells it to a supervisor.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Store(error)
            | Self::Provider(ProviderError::Store(error))
            | Self::Clients(AppsError::Store(error)) => store_exit(error),
            Self::Init(error) => error.exit(),
            Self::Keys(error) => error.exit(),
            Self::Feed(SupplyError::Io { .. }) => Exit::Io,
            Self::Provider(_) | Self::Clients(_) | Self::Outbound(_) => Exit::Config,
            _ => Exit::Failed,
        }
    }
}

/// The exit code of a store that fails a start.
pub(super) const fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::ReadOnly(_) | StoreError::Full => Exit::Io,
        _ => Exit::Failed,
    }
}

/// The authority with its sockets open, not serving yet.
#[derive(Debug)]
pub struct App {
    authority: Arc<Authority>,
    listening: Vec<Listening>,
    control: Option<Listening>,
}

impl App {
    /// Opens store, keys and sockets.
    ///
    /// Blocks; belongs to start-up.
    ///
    /// # Errors
    ///
    /// [`StartError`]; [`StartError::exit`] has the exit code.
    pub fn build(
        config: Config,
        environment: &Environment,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        // Sockets first: a second authority by mistake fails here, before it touches the store.
        let listening = config
            .listen
            .iter()
            .map(|address| Listening::bind(address, environment))
            .collect::<Result<_, _>>()?;
        let authority = Arc::new(Authority::open(config, clock, entropy)?);
        Ok(Self {
            authority,
            listening,
            control: None,
        })
    }

    /// Takes commands of the host on a socket too ([`super::control`]).
    ///
    /// # Errors
    ///
    /// [`ListenError`]; the app is as it was.
    pub fn listen_for_control(&mut self, path: &Path) -> Result<(), ListenError> {
        self.control = Some(control::listen(path)?);
        Ok(())
    }

    /// What it is bound to, in the order of the configuration.
    pub fn addresses(&self) -> Vec<Bound> {
        self.listening
            .iter()
            .map(|listening| listening.bound().clone())
            .collect()
    }

    /// What its requests will work with.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Serves until `shutdown` is ready, then lets open requests end.
    ///
    /// # Errors
    ///
    /// [`StartError::Overdue`] when some did not end in time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
        let tasks = self.authority.tasks.clone();
        if let Some(listening) = self.control {
            control::serve(&self.authority, listening).map_err(StartError::Runtime)?;
        }
        self.authority.feed.start()?;
        backchannel::start(&self.authority);
        jobs::start(&self.authority);
        let service = http::Api::new(self.authority);
        for listening in self.listening {
            tracing::info!(address = %listening.bound(), "listening");
            serve(listening, service.clone(), ServeLimits::default(), &tasks)
                .map_err(StartError::Runtime)?;
        }
        shutdown.await;
        Ok(tasks.shutdown(limits::DRAIN_TIME).await?)
    }
}
