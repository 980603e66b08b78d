//! Organizations and their members: the rules, over a transaction at hand.
//!
//! Each write authorizes again inside its transaction, under the organization's lock where the rule
//! is about several rows, and leaves one audit row. A write that would change nothing changes
//! nothing: no row, no audit row, no revision.

pub mod error;
pub mod founding;
pub mod listing;
pub mod membership;
pub mod roles;

pub use error::OrganizationsError;
