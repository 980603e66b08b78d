//! Manifest sync: a service says what it declares, and the rows follow, all at once or not at all.
//!
//! [`apply_in`] works inside the caller's transaction, so that whoever calls it can check
//! permissions in the same one. It reads the live rows, compares ([`Plan`](crate::domain::manifest::Plan)),
//! refuses what is at odds with other services or with members ([`Conflict`]), and touches only the
//! rows that differ. The same manifest again touches none, and the feed stays where it is.

mod apply;
mod blast;
mod conflict;
mod live;
mod read;

pub use apply::{Applied, Sync, apply, apply_in};
pub use blast::{InvalidCursor, MemberCursor, MemberPage};
pub use conflict::{Conflict, SyncError};
pub use read::{
    MAX_PAGE, Planned, document, permissions_page, plan, plan_in, roles_page, services_page,
};
