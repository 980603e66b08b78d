//! A running sidecar: listeners bound, copy taken up, follower started, threads serving.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::domain::{Position, Revision};
use crate::policy::{Attributes, BuildError, CustomError, CustomPolicies, PolicyFacts};
use crate::protocol::authzen::{metadata, metadata_path};
use crate::replication::consumer::{FollowerConfig, Sink};
use crate::runtime::config::Environment;
use crate::runtime::files::{DirectoryLock, FileError, read_text};
use crate::runtime::listen::{Bound, ListenError, Listening};
use crate::runtime::tasks::Tasks;
use crate::runtime::{Clock, Entropy, chain, telemetry};
use crate::sidecar::callers::{Callers, Transport, anonymous};
use crate::sidecar::config::{Config, Listener};
use crate::sidecar::counts::Counts;
use crate::sidecar::decide::Worker;
use crate::sidecar::decision_log::{DecisionLog, DecisionLogError};
use crate::sidecar::follow::{self, FollowError};
use crate::sidecar::forward_auth::ForwardAuth;
use crate::sidecar::gate::{GateError, Gates};
use crate::sidecar::http::{Door, Shared, Workers, accept};
use crate::sidecar::recent::Decided;
use crate::sidecar::reload::Fixed;
use crate::sidecar::routes::{self, RoutesError};
use crate::sidecar::validate::{Validated, Validating};
use crate::sidecar::view::{AdoptError, State};
use crate::sidecar::watch::Places;
use crate::store::replica::{Applied, ReplicaError, ReplicaReader, Uncommitted};

/// Declares the attributes that policies of a directory may read.
const ATTRIBUTES: &str = "attributes.toml";

/// The largest policy file.
const POLICY_MAX: u64 = 4 * 1024 * 1024;

/// Why a sidecar did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// TCP beyond loopback without its safeguards.
    #[error("{0}")]
    Exposed(String),
    /// A policy file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The policies are wrong.
    #[error("the policies are refused")]
    Policies(#[from] CustomError),
    /// The routes are wrong.
    #[error(transparent)]
    Routes(#[from] RoutesError),
    /// Routes ask for tokens, and nobody said whose.
    #[error(
        "the routes let people in by token: `tokens.issuer` and `tokens.audiences` must be set"
    )]
    TokenRules,
    /// A gate cannot be opened.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Gates without routes: nobody would ever be sent to one.
    #[error("there are gates and no `routes`: set `routes`, or remove `gate`")]
    GateWithoutRoutes,
    /// The policies do not compile.
    #[error("the policies do not compile")]
    Build(#[from] BuildError),
    /// The copy cannot be read.
    #[error("the copy cannot be read")]
    Copy(#[from] ReplicaError),
    /// Following cannot begin.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The decision log cannot be opened.
    #[error(transparent)]
    DecisionLog(#[from] DecisionLogError),
    /// No threads, or no I/O.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// A running sidecar. It stops with its [`Tasks`].
#[derive(Debug)]
pub struct Sidecar {
    pub(in crate::sidecar) shared: Arc<Shared>,
    /// What a new configuration cannot change while it runs.
    pub(in crate::sidecar) fixed: Fixed,
    /// For gates that a new configuration brings.
    pub(in crate::sidecar) entropy: Arc<dyn Entropy>,
    bound: Vec<Bound>,
    /// Two followers in one directory would take each other's copies away.
    _directory: Option<DirectoryLock>,
    validated: Option<watch::Receiver<Option<Validated>>>,
}

impl Sidecar {
    /// Starts everything. When this returns, checks are answered: from the copy on disk if there
    /// is one, whether or not the authority can be reached.
    ///
    /// `follow` is `None` where somebody else feeds the [`State`] (tests, embedding).
    ///
    /// # Errors
    ///
    /// [`StartError`]. Nothing listens any more then, once `tasks` are stopped.
    pub fn start(
        config: &Config,
        follow: Option<FollowerConfig>,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        environment: &Environment,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        if let Some(mistake) = config.exposure_mistakes().into_iter().next() {
            return Err(StartError::Exposed(mistake));
        }
        let forward_auth = forward_auth(config, &entropy)?;
        let directory = match &follow {
            Some(follower) => hold(&follower.data_dir)?,
            None => None,
        };
        let mut listening = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            listening.push((listener, Listening::bind(&listener.address, environment)?));
        }
        let bound: Vec<Bound> = listening
            .iter()
            .map(|(_, listening)| listening.bound().clone())
            .collect();
        let custom = match &config.policies {
            Some(directory) => load_policies(directory)?,
            None => CustomPolicies::none(),
        };
        let state = Arc::new(State::new(
            &config.cache,
            config.mapping.clone(),
            custom.clone(),
            Arc::clone(&clock),
        )?);
        let mut log = match &config.decision_log {
            Some(log) => Some(DecisionLog::open(log, clock.now())?),
            None => None,
        };
        let workers = workers(config, &state, log.as_mut(), entropy.as_ref());
        let log_counts = log.as_ref().map(DecisionLog::counts);
        if let Some(log) = log {
            log.start(Arc::clone(&state), tasks)?;
        }
        let validating = Validating::start(&state, custom.clone(), tasks)?;
        let validated = validating.as_ref().map(Validating::outcome);
        if let Some(follower) = follow {
            let sink = Box::new(StateSink {
                state: Arc::clone(&state),
                validating,
            });
            follow::start(tasks, follower, clock, Arc::clone(&entropy), sink)?;
        }
        validate(&state, &custom)?;
        let shared = Shared {
            workers,
            log_counts,
            ..shared(config, forward_auth, state, &bound)
        };
        let shared = Arc::new(shared);
        let workers = Workers::start(&shared.workers, config.max_connections, tasks)?;
        for (listener, listening) in listening {
            let door = Arc::new(door(&shared, listener, listening.bound())?);
            let acceptor = listening.into_acceptor()?;
            tasks.spawn(
                "accept",
                accept(acceptor, door, Arc::clone(&workers), tasks.stop()),
            );
        }
        Ok(Self {
            shared,
            fixed: Fixed::of(config),
            entropy,
            bound,
            _directory: directory,
            validated,
        })
    }

    /// What decisions are made from.
    pub fn state(&self) -> &Arc<State> {
        &self.shared.state
    }

    /// Where it listens, in the order of the configuration.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// What came of validating the hand-written policies against the facts, each time these change.
    /// `None` without such policies.
    pub fn validated(&self) -> Option<watch::Receiver<Option<Validated>>> {
        self.validated.clone()
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// The last decisions since the call before, for a person who watches. The first call begins to
    /// keep them, which costs every decision from then on a little.
    pub fn watch(&self) -> Vec<Decided> {
        self.shared.watch()
    }
}

/// Holds the data directory. One that cannot be written cannot be spoilt by two either: the copy in
/// it still answers.
fn hold(directory: &Path) -> Result<Option<DirectoryLock>, StartError> {
    match DirectoryLock::take(directory) {
        Ok(lock) => Ok(Some(lock)),
        Err(busy) if busy.source.kind() == io::ErrorKind::ResourceBusy => Err(busy.into()),
        Err(error) => {
            tracing::warn!(%error, cause = %error.source, "going on without holding it");
            Ok(None)
        }
    }
}

/// Whether a start would take the routes and gates; `false` without any.
///
/// # Errors
///
/// [`StartError`], as a start would end.
pub fn check_doors(config: &Config, entropy: &Arc<dyn Entropy>) -> Result<bool, StartError> {
    forward_auth(config, entropy).map(|doors| doors.is_some())
}

/// The doors of proxies, if there are routes.
pub(in crate::sidecar) fn forward_auth(
    config: &Config,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<ForwardAuth>, StartError> {
    let Some(path) = &config.routes else {
        return if config.gates.is_empty() {
            Ok(None)
        } else {
            Err(StartError::GateWithoutRoutes)
        };
    };
    let routes = routes::load(path)?;
    if routes.needs_tokens() && config.tokens.is_none() {
        return Err(StartError::TokenRules);
    }
    Ok(Some(ForwardAuth {
        routes,
        tokens: config.tokens.clone(),
        deadline: config.door_deadline,
        gates: Gates::open(&config.gates, config.tokens.as_ref(), entropy)?,
    }))
}

fn shared(
    config: &Config,
    forward_auth: Option<ForwardAuth>,
    state: Arc<State>,
    bound: &[Bound],
) -> Shared {
    let base = config.public_url.clone().unwrap_or_else(|| {
        bound
            .iter()
            .find_map(Bound::tcp)
            .map_or_else(|| "http://localhost".to_owned(), |a| format!("http://{a}"))
    });
    Shared {
        state,
        forward_auth: ArcSwapOption::new(forward_auth.map(Arc::new)),
        workers: Vec::new(),
        callers: Callers::new(config.credential.as_ref(), &config.callers),
        metadata: metadata(&base).into(),
        metadata_path: metadata_path(&base),
        at_least_wait: config.at_least_wait,
        body_timeout: config.body_timeout,
        listeners: bound.iter().map(ToString::to_string).collect(),
        process_metrics: telemetry::metrics().ok(),
        log_counts: None,
        watches: Arc::new(Places::new(config.watch)),
    }
}

/// What each thread keeps for itself, its side of the decision log included.
fn workers(
    config: &Config,
    state: &State,
    mut log: Option<&mut DecisionLog>,
    entropy: &dyn Entropy,
) -> Vec<Arc<Mutex<Worker>>> {
    let worker = |_| {
        let mut worker = Worker::new(state);
        worker.log = log.as_mut().map(|log| Box::new(log.notes(entropy)));
        Arc::new(Mutex::new(worker))
    };
    (0..config.workers.max(1)).map(worker).collect()
}

fn door(shared: &Arc<Shared>, listener: &Listener, bound: &Bound) -> Result<Door, StartError> {
    let transport = match bound {
        Bound::Unix(_) => Transport::Unix,
        Bound::Tcp(address) if address.ip().is_loopback() => Transport::Loopback,
        // An inherited socket's address is known only now.
        Bound::Tcp(_) if listener.remote && shared.callers.have_credentials() => Transport::Remote,
        Bound::Tcp(address) => {
            return Err(StartError::Exposed(format!(
                "`{address}` is reachable from other hosts: that needs `remote = true` and \
                 `credential_file`"
            )));
        }
    };
    let anonymous =
        anonymous(transport, listener.anonymous.as_deref()).map_err(StartError::Exposed)?;
    Ok(Door {
        shared: Arc::clone(shared),
        transport,
        protocol: listener.protocol,
        anonymous,
        hosts: listener.hosts.clone(),
        deny_beyond: listener.deny_beyond,
        open_metrics: listener.metrics,
        // Beyond loopback, an answer may go to whoever asks only where somebody said so.
        forward_auth: listener
            .forward_auth
            .unwrap_or(transport != Transport::Remote),
    })
}

/// Reads `*.cedar` and `attributes.toml` of a directory.
///
/// # Errors
///
/// [`StartError::File`], [`StartError::Policies`].
pub fn load_policies(directory: &Path) -> Result<CustomPolicies, StartError> {
    let list = |source| FileError::new("read the directory", directory)(source);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(list)? {
        let path = entry.map_err(list)?.path();
        if path.extension().is_some_and(|end| end == "cedar") {
            paths.push(path);
        }
    }
    // By name, so that every start and every message tells the same order.
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        files.push((name, read_text(&path, POLICY_MAX)?.to_string()));
    }
    let attributes = match read_text(&directory.join(ATTRIBUTES), POLICY_MAX) {
        Ok(text) => Attributes::parse(ATTRIBUTES, &text)?,
        Err(error) if error.is_not_found() => Attributes::default(),
        Err(error) => return Err(error.into()),
    };
    Ok(CustomPolicies::parse(files, attributes)?)
}

/// Hand-written policies are validated strictly against what the copy declares. Without a copy
/// there is nothing to validate against yet, and nothing is allowed either: [`Validating`] does it
/// when the first one comes.
fn validate(state: &State, custom: &CustomPolicies) -> Result<(), StartError> {
    let Some(path) = state.copy_path().filter(|_| !custom.is_empty()) else {
        return Ok(());
    };
    let rows = ReplicaReader::open(&path)?.policy_facts()?;
    Ok(custom.validate(&PolicyFacts {
        roles: rows.roles,
        permissions: rows.permissions,
        grants: rows.grants,
    })?)
}

/// Tells the state what the follower does. Its rows are committed when it is called.
#[derive(Debug)]
struct StateSink {
    state: Arc<State>,
    validating: Option<Validating>,
}

impl StateSink {
    fn refused(&self, error: &AdoptError) {
        let problem = chain(error);
        tracing::error!(problem, "a change was not taken up; the old policies serve");
        metrics::counter!("doorward_sidecar_changes_refused_total").increment(1);
        self.state.lose(problem);
    }

    fn revalidate(&self) {
        if let Some(validating) = &self.validating {
            validating.facts_changed();
        }
    }
}

impl Sink for StateSink {
    fn prepare(&mut self, change: &Uncommitted<'_>) -> Result<(), String> {
        self.state.prepare(change).map_err(|error| {
            self.refused(&error);
            chain(&error)
        })
    }

    fn applied(&mut self, applied: &Applied) {
        if let Err(error) = self.state.apply(applied) {
            self.refused(&error);
        }
        if applied.policy_changed {
            self.revalidate();
        }
    }

    fn replaced(&mut self, path: &Path, _position: Position) {
        if let Err(error) = self.state.adopt(path) {
            self.refused(&error);
        }
        self.revalidate();
    }

    fn fresh(&self, head: Revision, at_boot: std::time::Duration) {
        if let Err(error) = self.state.hear(head, at_boot) {
            self.refused(&error);
        }
    }

    fn disconnected(&self, reason: &str) {
        self.state.lose(reason.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::FeedSigner;
    use crate::domain::{Chain, Epoch, FeedName, Timestamp};
    use crate::runtime::ManualClock;
    use crate::sidecar::config::{CacheSizes, Mapping};
    use crate::store::replica::Builder;

    fn empty_copy(path: &Path) -> Position {
        let position = Position {
            feed: FeedName::Authz,
            epoch: Epoch::from_uuid(uuid::Uuid::from_u128(1)),
            revision: Revision::ZERO,
            chain: Chain::ZERO,
        };
        let key = FeedSigner::from_seed(&[1; 32]).unwrap().public();
        let builder = Builder::create(path, position, &key).unwrap();
        builder.finish(Timestamp::EPOCH).unwrap();
        position
    }

    /// A sink over policies that name an action which nobody declares.
    fn sink(tasks: &Tasks) -> (StateSink, CustomPolicies) {
        let text = "forbid (principal, action == Action::\"docs:page:wirte\", resource);";
        let files = vec![("site.cedar".to_owned(), text.to_owned())];
        let custom = CustomPolicies::parse(files, Attributes::default()).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let state = State::new(
            &CacheSizes::default(),
            Mapping::default(),
            custom.clone(),
            clock,
        );
        let state = Arc::new(state.unwrap());
        let sink = StateSink {
            validating: Validating::start(&state, custom.clone(), tasks).unwrap(),
            state,
        };
        (sink, custom)
    }

    #[tokio::test]
    async fn policies_that_met_no_copy_at_start_are_validated_by_the_first_that_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        let tasks = Tasks::new();
        let (mut sink, custom) = sink(&tasks);
        validate(&sink.state, &custom).unwrap();
        let position = empty_copy(&path);
        let mut outcome = sink.validating.as_ref().unwrap().outcome();
        sink.replaced(&path, position);
        outcome.wait_for(Option::is_some).await.unwrap();
        tasks.stop().request();
        let problem = sink.state.policies_problem().unwrap();
        assert!(problem.contains("docs:page:wirte"), "{problem}");
    }

    #[test]
    fn policies_that_are_wrong_for_the_copy_at_start_do_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.db");
        let tasks = Tasks::new();
        let (sink, custom) = sink(&tasks);
        empty_copy(&path);
        sink.state.adopt(&path).unwrap();
        let refused = validate(&sink.state, &custom);
        assert!(matches!(refused, Err(StartError::Policies(_))));
        tasks.stop().request();
    }
}
