//! Manifests: what a service declares about itself, and what a new declaration would change.
//!
//! A [`Manifest`] is made by `protocol::manifest`, which holds it to every rule that one document
//! can be held to. Rules that need other services or members (who holds a role, who may grant what)
//! are `authority::manifests`' business. [`Plan`] compares a declaration with the live one;
//! [`Effects`] tells what a plan does to a member. All of it is pure.

mod canonical;
mod declaration;
mod effects;
mod plan;
#[cfg(test)]
mod tests;

pub use canonical::ContentHash;
pub use declaration::{
    Declaration, DeclaredPermission, DeclaredRole, Manifest, default_assignable_by, limits,
};
pub use effects::{Effect, Effects, RoleEffect};
pub use plan::{
    Change, InvalidPlanHash, Live, PermissionChanges, Plan, PlanHash, RoleChange, RoleChanges,
    ScopeChange, ServiceChanges, Warning,
};
