//! Wire form of identity providers: what a declaration says, whoever writes it, and what changing
//! one would do.
//!
//! One set of rules for the configuration file and `/v1/providers`: [`ProviderDocument::check`] is
//! the only way to a [`ProviderSpec`](crate::domain::provider::ProviderSpec). A secret comes in and
//! never goes out.

mod document;
mod plan;

pub use document::{Places, ProviderDocument};
pub use plan::{
    ProviderAction, ProviderApplied, ProviderPlan, ProviderView, SecretChange, changes,
};
