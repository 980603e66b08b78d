//! Apps: how their registrations come to be and change.
//!
//! Each has one source, the configuration file or the API, and only that one changes it. Both go the
//! same way: a checked [`AppSpec`](crate::domain::app::AppSpec) is compared with the rows, the
//! difference is the plan, and the plan is what is carried out.

mod configured;
pub mod documents;
mod put;
pub mod registration;
mod remembered;
mod settings;

pub use configured::{ConfiguredApp, read_clients, sync_configured};
pub use put::{AppsError, Put, PutDone, drift, plan, put, show, standings};
pub use settings::RegistrationConfig;
