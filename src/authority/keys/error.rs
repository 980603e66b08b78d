//! Why keys cannot be used.

use crate::crypto::seal::SealError;
use crate::crypto::sign::KeyError;
use crate::runtime::Exit;
use crate::runtime::files::FileError;
use crate::store::StoreError;

use super::super::app::store_exit;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key file cannot be read or written.
    #[error("the key file is not usable")]
    File(#[from] FileError),
    /// Others than its owner may read the key file.
    #[error("`{path}` may be read by others (mode {mode:o}): run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// The key file is not the one that this database was sealed with.
    #[error("the key file does not belong to this database")]
    Foreign(#[source] SealError),
    /// The database was never set up.
    #[error("there is no installation here yet: run `doorward-authority init` first")]
    NotInitialized,
    /// A sealed value does not open.
    #[error("signing key `{kid}` cannot be opened")]
    Sealed {
        /// Which.
        kid: String,
        /// Why.
        source: SealError,
    },
    /// The key file or a seal is broken.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A stored key is none.
    #[error("a stored key is damaged")]
    Key(#[from] KeyError),
    /// A value of an identity provider does not open.
    #[error("what is kept of identity providers cannot be sealed again: {0}")]
    Upstream(String),
    /// No key signs this.
    #[error("no active key for {0}")]
    Missing(&'static str),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeysError {
    /// The exit code that goes with it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::File(_) => Exit::Io,
            Self::Exposed { .. } | Self::NotInitialized | Self::Foreign(_) | Self::Seal(_) => {
                Exit::Config
            }
            Self::Store(error) => store_exit(error),
            Self::Sealed { .. } | Self::Upstream(_) | Self::Key(_) | Self::Missing(_) => {
                Exit::Failed
            }
        }
    }
}
