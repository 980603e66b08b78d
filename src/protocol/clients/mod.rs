//! Wire form of apps: what a registration says, whoever writes it, and what changing one would do.
//!
//! One set of rules for the configuration file, `/v1/clients`, dynamic registration and metadata
//! documents: [`AppDocument::check`] is the only way to an [`AppSpec`](crate::domain::app::AppSpec).

mod document;
pub mod fetched;
pub mod metadata;
mod plan;
pub mod registration;
pub mod uri;

pub use document::AppDocument;
pub use plan::{AppAction, AppApplied, AppPlan, AppView, FieldChange, changes, differences};
