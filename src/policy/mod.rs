//! Cedar: the only judge, and this is the only module that knows it. Pure CPU.
//!
//! [`PolicyFacts`] (what services declared) and [`CustomPolicies`] (what an operator wrote) compile
//! to an [`Engine`]. Each role is one policy over one action group. The principal of every request
//! is the **membership**, one user in one organization, with all the roles held there.
//!
//! Where only generated policies can match an action, the answer depends on the set of roles and
//! the action alone: [`Engine::decide`] answers from a memo whose unknown cells Cedar fills. Where
//! a hand-written policy's scope can match, the whole column *depends*, and [`Engine::evaluate`]
//! puts each request to Cedar.
//!
//! Two traps lie beside this path, and a differential test keeps both shut:
//!
//! - **Uniting decisions made role by role loses forbids.** `forbid (principal in
//!   Role::"docs/guest", …)` does not fire while the member's other role is asked about, and the
//!   union allows. So a member is evaluated once, with every role.
//! - **A role is not a principal.** Asking as `Role::"docs/editor"` is cheap to cache, but then
//!   `forbid (principal is Membership, …)` and every condition on `principal.organization` are
//!   silently missed. So the principal is always a real membership; only cells that no
//!   hand-written policy can reach are shared between members.
//!
//! And one that is easy to fall into while making entities small: a hand-written policy may name
//! the action group of a role that the member does **not** hold, so those groups stay.

pub mod attributes;
pub mod compile;
pub mod custom;
pub mod difference;
pub mod engine;
mod entities;
pub mod evaluate;
pub mod explain;
pub mod export;
mod memo;
pub mod plan;
pub mod platform;
#[cfg(feature = "prove")]
pub mod prove;
pub mod role_sets;
pub mod schema;
pub mod scopes;
pub mod search;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

pub use attributes::{Attributes, WrongType};
pub use compile::{BuildError, PolicyFacts};
pub use custom::{CustomError, CustomPolicies, Problem};
pub use difference::RoleDifference;
pub use engine::{ActionIndex, Engine, Verdict};
pub use evaluate::{Evaluation, Fault, Question, Resource};
pub use explain::{Cause, Explanation, PolicyNote};
pub use export::{Export, ExportedMember, ExportedResource};
pub use plan::{Condition, Plan, Residual};
pub use role_sets::{RoleSetId, RoleSets};
pub use scopes::ScopeMap;
pub use search::Candidates;
