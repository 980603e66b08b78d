//! Permissions: capabilities a service declares.

use super::ids::PermissionId;
use super::names::PermissionKey;

/// A permission as the store tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Its id.
    pub id: PermissionId,
    /// Its names.
    pub key: PermissionKey,
    /// What it is for, in the service's words.
    pub description: Option<String>,
    /// Whether the service announced its removal.
    pub deprecated: bool,
}
