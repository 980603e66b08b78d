//! What can go wrong with a copy, by what to do about it.

use crate::domain::{Chain, Revision};
use crate::protocol::feed::FeedError;

/// Why a copy could not be opened, read or moved on. Nothing of a refused revision is in the copy.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The file is no database, is damaged, or does not add up to its state.
    #[error("the copy is damaged: {0}")]
    Corrupt(String),
    /// The file's tables are not those this program reads.
    #[error("the copy has a schema this program cannot read: {0}")]
    Schema(String),
    /// A frame that does not follow the copy's revision.
    #[error("revision {found} does not follow {at}")]
    Gap {
        /// Where the copy stands.
        at: Revision,
        /// The frame's number.
        found: Revision,
    },
    /// A frame whose chain does not continue the copy's.
    #[error("the chain breaks at revision {revision}")]
    Chain {
        /// The frame's number.
        revision: Revision,
        /// What the copy's history gives.
        expected: Chain,
        /// What the frame says.
        found: Chain,
    },
    /// A frame that verifies and still cannot be applied. Never skipped: take a snapshot.
    #[error("revision {revision} cannot be applied: {detail}")]
    Poison {
        /// The frame's number.
        revision: Revision,
        /// What is wrong with it.
        detail: String,
    },
    /// A reset marker: the change is too large to travel as rows. Take a snapshot.
    #[error("revision {revision} is a reset: a snapshot is needed")]
    Reset {
        /// The marker's number.
        revision: Revision,
    },
    /// Whoever decides by the copy cannot take the change up. The copy stays where it was.
    #[error("the change cannot be taken up: {0}")]
    Refused(String),
    /// The disk is full. The copy stays where it was and keeps serving.
    #[error("the disk is full")]
    Full,
    /// The system refused: busy, unreadable, unwritable.
    #[error("the copy is unavailable: {0}")]
    Unavailable(String),
}

impl ReplicaError {
    /// Whether the file is of no use any more.
    pub const fn discard(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Schema(_))
    }

    /// Whether only a snapshot helps from here.
    pub const fn needs_snapshot(&self) -> bool {
        matches!(
            self,
            Self::Corrupt(_) | Self::Schema(_) | Self::Poison { .. } | Self::Reset { .. }
        )
    }

    /// From a payload that does not decode.
    pub(super) fn poison(revision: Revision, error: &FeedError) -> Self {
        Self::Poison {
            revision,
            detail: error.to_string(),
        }
    }
}

impl From<rusqlite::Error> for ReplicaError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        // The WAL's index finds no room: SQLite's only other word for a full disk.
        let extended = error.sqlite_error().map(|code| code.extended_code);
        if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full,
            // Damage; and missing tables, wrong types and broken constraints, which no file of ours
            // gives.
            None
            | Some(
                Code::DatabaseCorrupt
                | Code::NotADatabase
                | Code::ConstraintViolation
                | Code::TypeMismatch
                | Code::Unknown,
            ) => Self::Corrupt(error.to_string()),
            Some(_) => Self::Unavailable(error.to_string()),
        }
    }
}
