//! Arguments, and the order of things.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::super::error::CliError;
use super::super::output::Output;
use super::super::profile::ProfileFile;
use super::daemons::{AuthorityHandle, Places, SidecarHandle};
use super::load::{Target, load};
use super::world::{World, WorldSize};
use super::{demo, enroll, guide, live, questions};
use crate::authority::config::Config;
use crate::authority::init::{Initialized, initialize};
use crate::domain::Timestamp;
use crate::runtime::files::{create_private_dir, replace_private};
use crate::runtime::limits::DRAIN_TIME;
use crate::runtime::signals::Signals;
use crate::runtime::telemetry::{LogFormat, start_logging};
use crate::runtime::{Clock, Entropy, SystemClock, SystemEntropy, Tasks, chain};

/// When generated worlds began: 2026-01-01. A fixed time, so that a seed gives the same ids.
const WORLD_BEGAN: Timestamp = Timestamp::from_unix_seconds(1_767_225_600);

/// Runs authority and sidecar with demo data in one process
///
/// Prints requests to paste, then shows decisions and revisions as they happen. `a` and Enter stops
/// or starts the authority, to see the sidecar go on without it; Ctrl-C ends both.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward dev
  doorward dev --data ./demo          # keeps everything; run it again and go on
  doorward dev --members 1000000 --organizations 20000 --services 20 --seed 7 --data ./world
  doorward dev --port 0 --sidecar-port 0")]
pub(in crate::cli) struct DevArgs {
    /// Where everything is kept; without it, in a temporary directory that is removed at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The authority's port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 7180)]
    port: u16,
    /// The sidecar's port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 7181)]
    sidecar_port: u16,
    /// What is logged to standard error
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    log: String,
    #[command(flatten)]
    world: WorldArgs,
}

/// A generated world beside the demo data.
#[derive(Debug, Args)]
#[command(next_help_heading = "Generated world")]
struct WorldArgs {
    /// Memberships to generate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    members: Option<u64>,
    /// Organizations to spread them over; a tenth of the members by default
    #[arg(long, value_name = "N", requires = "members", value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    organizations: Option<u64>,
    /// Services to generate
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    services: u64,
    /// Roles of each service
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    roles: u64,
    /// Permissions of each service
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    permissions: u64,
    /// The same seed gives the same world
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Make everything, wait until the sidecar's copy is whole, write questions with known answers
    /// to authzen.jsonl, and end: for benchmarks
    #[arg(long, requires = "members", requires = "data")]
    prepare: bool,
}

impl WorldArgs {
    fn world(&self) -> Result<Option<World>, CliError> {
        let Some(members) = self.members else {
            return Ok(None);
        };
        let size = WorldSize {
            members,
            organizations: self.organizations.unwrap_or((members / 10).max(1)),
            services: self.services,
            roles: self.roles,
            permissions: self.permissions,
        };
        World::new(size, self.seed, WORLD_BEGAN)
            .map(Some)
            .map_err(|error| CliError::local(chain(&error)))
    }
}

pub(in crate::cli) async fn run(args: &DevArgs, output: Output) -> Result<ExitCode, CliError> {
    start_logging(LogFormat::Text, &args.log)
        .map_err(|error| CliError::usage(format!("--log: {error}")))?;
    let kept = Kept::at(args.data.as_deref())?;
    let tasks = Tasks::new();
    let mut signals = Signals::listen()
        .map_err(|error| CliError::local(format!("signals cannot be heard: {error}")))?;
    let result = tokio::select! {
        result = start_and_watch(args, &kept.path, &tasks, output) => result,
        signal = signals.recv() => {
            output.note(&format!("{signal}: draining"));
            Ok(())
        }
    };
    let drained = tasks.shutdown(DRAIN_TIME).await;
    result?;
    drained.map_err(|overdue| CliError::local(overdue.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// The data directory; a temporary one is removed at the end.
struct Kept {
    path: PathBuf,
    temporary: bool,
}

impl Kept {
    fn at(data: Option<&Path>) -> Result<Self, CliError> {
        let temporary = data.is_none();
        let path = data.map_or_else(
            || std::env::temp_dir().join(format!("doorward-dev-{}", std::process::id())),
            Path::to_owned,
        );
        create_private_dir(&path)
            .map_err(|error| CliError::local(chain(&error)).fix("name a directory of your own"))?;
        let path = std::path::absolute(&path)
            .map_err(|error| CliError::local(format!("{}: {error}", path.display())))?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

async fn start_and_watch(
    args: &DevArgs,
    data: &Path,
    tasks: &Tasks,
    output: Output,
) -> Result<(), CliError> {
    let world = args.world.world()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    let places = Places {
        data: data.to_owned(),
        authority_port: free_port(args.port)?,
        sidecar_port: free_port(args.sidecar_port)?,
    };
    let config = places.authority()?;
    let mut profile = prepare_installation(&config, &places, &clock, &entropy)?;
    let mut authority =
        AuthorityHandle::start(config, Arc::clone(&clock), Arc::clone(&entropy), tasks)?;
    demo::fill(&mut profile, output).await?;
    profile.write(&places.profile())?;
    if let (Some(world), Some(store)) = (&world, authority.store()) {
        let target = Target {
            store,
            clock: &*clock,
            entropy: Arc::clone(&entropy),
            output,
        };
        load(&target, world).await?;
    }
    enroll::ensure(&places, &profile).await?;
    let sidecar = SidecarHandle::start(&places, &clock, &entropy, tasks)?;
    sidecar.wait_for(authority.head(), output).await?;
    if args.world.prepare {
        if let Some(world) = &world {
            questions::write(world, &places.data.join("authzen.jsonl"))?;
        }
        output.note(&format!("ready in {}", places.data.display()));
        authority.stop().await?;
        return Ok(());
    }
    guide::show(&places, &profile, args.data.is_some(), output);
    let names = live::Names::of(&profile, &sidecar);
    live::watch(&mut authority, &sidecar, &names, output).await
}

/// A port that is free now, for a listener a moment later.
fn free_port(port: u16) -> Result<u16, CliError> {
    if port != 0 {
        return Ok(port);
    }
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| CliError::local(format!("no port is free: {error}")))
}

/// The first start makes the installation and keeps the operator's secret beside it.
fn prepare_installation(
    config: &Config,
    places: &Places,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<ProfileFile, CliError> {
    let made = tokio::task::block_in_place(|| initialize(config, clock, entropy))
        .map_err(|error| CliError::local(chain(&error)))?;
    let mut profile = match made {
        Initialized::Made { client_id, secret } => {
            replace_private(&places.secret(), secret.expose().as_bytes())
                .map_err(|error| CliError::local(chain(&error)))?;
            ProfileFile {
                client_id: Some(client_id),
                client_secret: Some(secret.expose().to_owned()),
                ..ProfileFile::default()
            }
        }
        Initialized::Already => ProfileFile::read(&places.profile())?,
    };
    profile.authority = Some(config.issuer.to_string());
    profile.sidecar = Some(format!("http://127.0.0.1:{}", places.sidecar_port));
    profile.sidecar_socket = places
        .socket()
        .map(|path| format!("unix:{}", path.display()));
    // Before the demo data: a start that is cut off must not lose the secret.
    profile.write(&places.profile())?;
    Ok(profile)
}
