//! Following the authority on a thread of its own.

use std::io;
use std::sync::Arc;

use crate::replication::client::ClientError;
use crate::replication::consumer::{Follower, FollowerConfig, Sink};
use crate::runtime::tasks::Tasks;
use crate::runtime::{Clock, Entropy};

/// Why following could not begin.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ClientError),
    /// The system has no more threads.
    #[error("the follower's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Opens the copy and follows until `tasks` stop. When this returns the sink knows of the copy on
/// disk, if there is one that holds: the sidecar may serve without its authority.
pub fn start(
    tasks: &Tasks,
    config: FollowerConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    sink: Box<dyn Sink>,
) -> Result<(), FollowError> {
    let follower = Follower::new(config, clock, entropy, sink)?;
    let stop = tasks.stop();
    tasks
        .spawn_worker("feed", move || follower.run(stop))
        .map_err(FollowError::Thread)
}
