//! The copy: one SQLite file that holds the replicated tables of [`super::replicated`], the
//! position it stands at, and nothing else. Sidecars decide by it; the authority keeps one of its
//! own and makes snapshots of it.
//!
//! [`Replica`] is the single writer and applies whole revisions; [`ReplicaReader`] reads beside it.
//! A file describes itself (`replica_tables`), so an older program counts and applies columns that
//! a newer authority added without knowing what they mean. A copy is disposable: whatever is wrong
//! with it, [`ReplicaError::discard`] says whether to throw it away and fetch it again.

mod apply;
mod error;
mod instances;
mod meta;
mod reader;
mod schema;
mod search;
#[cfg(test)]
mod tests;
mod writer;

pub use apply::{Advance, Applied, BeforeCommit, NewEpoch, Uncommitted};
pub use error::ReplicaError;
pub use instances::{InstanceBounds, InstanceCursor, InstanceFacts, InstanceRow};
pub use meta::ReplicaPosition;
pub use reader::{MemberFacts, PolicyRows, ReplicaReader, SigningKeyRow, StateRow};
pub use search::{MembershipRow, Page};
pub use writer::{Builder, Replica};
