//! The provider for client apps: authorization requests, consent, codes, logout, metadata.

mod answer;
pub mod authorize;
mod codes;
pub mod interaction;
mod standing;

pub use answer::{Answer, Recipient};
pub use authorize::{Outcome, Refusal};
pub use interaction::Interaction;
