//! What a service declares.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::{PermissionKey, RoleName, Scope, ServiceName};

/// How large a manifest may be. Each is tested at its boundary.
pub mod limits {
    /// Bytes of the document.
    pub const MAX_BYTES: usize = 4 * 1024 * 1024;
    /// Permissions a service declares.
    pub const MAX_PERMISSIONS: usize = 10_000;
    /// Roles a service declares.
    pub const MAX_ROLES: usize = 1_000;
    /// Grants of all its roles together, after wildcards are written out.
    pub const MAX_GRANTS: usize = 250_000;
    /// Scopes it declares.
    pub const MAX_SCOPES: usize = 1_000;
    /// Permissions of all its scopes together, after wildcards are written out.
    pub const MAX_SCOPE_PERMISSIONS: usize = 250_000;
    /// Services that may grant its permissions.
    pub const MAX_GRANTEES: usize = 1_000;
    /// Characters of a description.
    pub const MAX_DESCRIPTION: usize = 1_000;
    /// Objects and lists inside one another.
    pub const MAX_DEPTH: usize = 8;
}

/// The permission that lets a member give a role whose manifest names no other.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "the text is a permission, as every test of a role shows"
)]
pub fn default_assignable_by() -> PermissionKey {
    "auth:member:assign"
        .parse()
        .expect("`auth:member:assign` is a permission")
}

/// What is said of a permission beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeclaredPermission {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether its removal is announced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
}

/// What is said of a role beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DeclaredRole {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it grants: permissions of its own service, or of services that allow it.
    pub permissions: BTreeSet<PermissionKey>,
    /// What a member needs to give or take it.
    #[serde(default = "default_assignable_by")]
    pub assignable_by: PermissionKey,
    /// Whether its removal is announced: still held, no longer given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
}

impl Default for DeclaredRole {
    fn default() -> Self {
        Self {
            description: None,
            permissions: BTreeSet::new(),
            assignable_by: default_assignable_by(),
            deprecated: false,
        }
    }
}

/// Everything a service's rows say, as one value: the live state and the wanted one have the same
/// type, so that they compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declaration {
    /// Its permissions. Each key's service is the declaring one.
    pub permissions: BTreeMap<PermissionKey, DeclaredPermission>,
    /// Its roles.
    pub roles: BTreeMap<RoleName, DeclaredRole>,
    /// Which of its permissions a token with a scope may use.
    pub scopes: BTreeMap<Scope, BTreeSet<PermissionKey>>,
    /// Services whose roles may grant its permissions.
    pub grantable_by: BTreeSet<ServiceName>,
}

/// A manifest that broke no rule of its own. Made by `protocol::manifest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Who speaks.
    pub service: ServiceName,
    /// The service's own counter: a lower one is never applied over a higher one by accident.
    pub version: Option<i64>,
    /// What it declares.
    pub declared: Declaration,
    /// Removed roles and the declared ones that take over their holders.
    pub replaces: BTreeMap<RoleName, RoleName>,
}

impl Manifest {
    /// Permissions of other services that its roles grant or are given by, `auth`'s default aside.
    pub fn foreign_grants(&self) -> BTreeSet<&PermissionKey> {
        self.declared
            .roles
            .values()
            .flat_map(|role| &role.permissions)
            .filter(|permission| permission.service != self.service)
            .collect()
    }
}
