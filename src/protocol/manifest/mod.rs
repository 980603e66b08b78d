//! The wire form of manifests: JSON on the wire; YAML and TOML read into the same.
//!
//! ```json
//! {
//!   "service": "billing",
//!   "version": 7,
//!   "permissions": {
//!     "invoice": {
//!       "read": "See invoices",
//!       "void": { "description": "Cancel a sent invoice", "deprecated": true }
//!     }
//!   },
//!   "roles": {
//!     "clerk": { "description": "Writes invoices", "permissions": ["invoice:*", "documents:file:read"] }
//!   },
//!   "scopes": { "billing:read": ["*:read"] },
//!   "grantable_by": ["deploy"],
//!   "replaces": { "accountant": "clerk" }
//! }
//! ```
//!
//! Reading reports **every** mistake, each with a JSON pointer, what is wrong and what is allowed.
//! A key that stands twice in one object is a mistake too: most parsers keep the last one silently.

mod document;
mod schema;
#[cfg(test)]
mod tests;
mod views;
mod walk;

use serde::Deserializer;
use serde_json::Value;

use crate::domain::ServiceName;
use crate::domain::manifest::{Manifest, limits};

use super::problem::{Mistake, Problem};

pub use schema::json_schema;
pub use views::{
    Affected, AppliedView, BlastRadius, ConflictView, ManifestView, Page, PermissionView, PlanView,
    RoleHolders, RoleView, ServiceView,
};

/// The most mistakes that one answer lists.
pub const MAX_MISTAKES: usize = 100;

/// Why a document is not a manifest. Each is the sender's to fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More bytes than allowed.
    #[error("a manifest may have at most {max} bytes, this one has {size}", max = limits::MAX_BYTES)]
    TooLarge {
        /// How many there are.
        size: usize,
    },
    /// Not a document of its format at all. The message says where, by line and column.
    #[error("the document cannot be read: {0}")]
    Malformed(String),
    /// Readable, with mistakes: up to [`MAX_MISTAKES`] of them.
    #[error("the manifest holds {} mistake(s), first: {}", .0.len(), first(.0))]
    Invalid(Vec<Mistake>),
}

fn first(mistakes: &[Mistake]) -> String {
    mistakes
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

impl From<ManifestError> for Problem {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::TooLarge { .. } => Self::too_large(limits::MAX_BYTES),
            ManifestError::Malformed(_) => Self::malformed(error.to_string()),
            ManifestError::Invalid(mistakes) => Self::invalid(mistakes),
        }
    }
}

/// Reads a JSON document. `expected` is the service that the sender may speak for: a manifest of
/// another one is refused whole.
pub fn from_json(bytes: &[u8], expected: Option<&ServiceName>) -> Result<Manifest, ManifestError> {
    if bytes.len() > limits::MAX_BYTES {
        return Err(ManifestError::TooLarge { size: bytes.len() });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let (value, mistakes) = document::read(&mut deserializer)
        .map_err(|error| ManifestError::Malformed(error.to_string()))?;
    deserializer
        .end()
        .map_err(|error| ManifestError::Malformed(error.to_string()))?;
    finish(&value, mistakes, expected)
}

/// Reads a document of any self-describing format, such as YAML or TOML.
pub fn from_deserializer<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: Option<&ServiceName>,
) -> Result<Manifest, ManifestError> {
    let (value, mistakes) = document::read(deserializer)
        .map_err(|error| ManifestError::Malformed(error.to_string()))?;
    finish(&value, mistakes, expected)
}

/// Reads a document that is parsed already. Prefer the other two: a key that stood twice is gone
/// from a [`Value`].
pub fn from_value(
    value: &Value,
    expected: Option<&ServiceName>,
) -> Result<Manifest, ManifestError> {
    finish(value, Vec::new(), expected)
}

fn finish(
    value: &Value,
    mut mistakes: Vec<Mistake>,
    expected: Option<&ServiceName>,
) -> Result<Manifest, ManifestError> {
    let manifest = walk::manifest(value, expected, &mut mistakes);
    match manifest {
        Some(manifest) if mistakes.is_empty() => Ok(manifest),
        _ => {
            let more = mistakes.len().saturating_sub(MAX_MISTAKES);
            if more > 0 {
                mistakes.truncate(MAX_MISTAKES);
                mistakes.push(Mistake::new("", format!("and {more} more mistakes")));
            }
            Err(ManifestError::Invalid(mistakes))
        }
    }
}
