//! Roles: named sets of permissions that a service declares. Nobody makes one by hand.

use super::ids::RoleId;
use super::names::{PermissionKey, RoleKey};
use super::time::Timestamp;

/// A role as the store tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its names.
    pub key: RoleKey,
    /// What it is for, in the service's words.
    pub description: Option<String>,
    /// The permission a member needs to give or take this role.
    pub assignable_by: PermissionKey,
    /// Whether the service announced its removal: still held, no longer given.
    pub deprecated: bool,
    /// When the service first declared it.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}
