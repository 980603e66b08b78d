//! Identity providers: how their declarations come to be and change.
//!
//! Each has one source, the configuration file or the API. Both go the same way: a checked
//! [`ProviderSpec`](crate::domain::provider::ProviderSpec) is compared with the row, the difference
//! is the plan, and the plan is what is carried out. The file wins: what it names is changed in the
//! file only, and a name that the API has is taken over at the next start. A row never goes, since
//! accounts are keyed by it; a provider that is retired lets nobody log in until it is declared
//! again.

mod change;
mod configured;
mod service;

pub use configured::{prepare, read_providers};
pub use service::{ProvidersError, Put, Shown, list, plan, put, retire, show};
