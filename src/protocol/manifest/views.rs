//! What the authority answers about manifests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::manifest::Plan;
use crate::domain::{
    FreshnessToken, OrganizationId, PermissionKey, RoleKey, RoleName, ServiceName, Timestamp,
    UserId,
};
use crate::protocol::problem::Mistake;

/// The answer to a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PlanView {
    /// Whether an apply would change nothing that decides anything.
    pub unchanged: bool,
    /// Send it back as `?plan=` to apply exactly this.
    pub plan_hash: String,
    /// What would change.
    pub plan: Plan,
    /// What stands in the way of an apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<ConflictView>,
    /// Whom it would reach.
    pub blast_radius: BlastRadius,
}

/// Something that stands in the way of an apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConflictView {
    /// The code that an apply would answer with.
    pub code: String,
    /// Where in the manifest, and what would be right.
    #[serde(flatten)]
    pub mistake: Mistake,
}

/// Which members gain and lose permissions, over all the roles that each holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BlastRadius {
    /// Members who gain or lose anything.
    pub members: u64,
    /// Members who gain something.
    pub gaining: u64,
    /// Members who lose something.
    pub losing: u64,
    /// Holders of each role that changes or goes.
    pub roles: BTreeMap<RoleName, RoleHolders>,
    /// The first of them, in order of organization and user.
    pub page: Vec<Affected>,
    /// Send it back as `?members_after=` for the next ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How many members a changed role has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RoleHolders {
    /// Members who hold it.
    pub holders: u64,
    /// Permissions it gains.
    pub granted: usize,
    /// Permissions it loses.
    pub withdrawn: usize,
    /// The role its holders move to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_to: Option<RoleName>,
}

/// One member who gains or loses permissions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Affected {
    /// Of which organization.
    pub organization: OrganizationId,
    /// Which user.
    pub user: UserId,
    /// How many permissions the member gains.
    pub gains_count: usize,
    /// How many the member loses.
    pub loses_count: usize,
    /// The first of those gained.
    pub gains: Vec<PermissionKey>,
    /// The first of those lost.
    pub loses: Vec<PermissionKey>,
}

/// The answer to an apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AppliedView {
    /// Whether nothing changed that decides anything.
    pub unchanged: bool,
    /// SHA-256 of the canonical manifest, in hex.
    pub content_hash: String,
    /// What changed.
    pub plan: Plan,
    /// For checks that must know of this write.
    pub freshness: FreshnessToken,
}

/// A service's manifest as applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ManifestView {
    /// When, by whom, which version.
    #[serde(flatten)]
    pub service: ServiceView,
    /// The canonical document.
    pub manifest: Value,
    /// The state that this answer knows of.
    pub freshness: FreshnessToken,
}

/// A service that synced a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ServiceView {
    /// Its name.
    pub service: ServiceName,
    /// The version of its manifest, if it counts them.
    pub version: Option<i64>,
    /// SHA-256 of the canonical manifest, in hex.
    pub content_hash: String,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// By whom; not in lists, which more people may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_by: Option<String>,
}

/// A role that a service declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RoleView {
    /// Its names.
    pub role: RoleKey,
    /// What it is for.
    pub description: Option<String>,
    /// What a member needs to give or take it.
    pub assignable_by: PermissionKey,
    /// Still held, no longer given.
    pub deprecated: bool,
    /// What it grants.
    pub permissions: Vec<PermissionKey>,
}

/// A permission that a service declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PermissionView {
    /// Its names.
    pub permission: PermissionKey,
    /// What it is for.
    pub description: Option<String>,
    /// Whether its removal is announced.
    pub deprecated: bool,
}

/// One page of a list in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "{T}Page")
)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Send it back as `?after=` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
