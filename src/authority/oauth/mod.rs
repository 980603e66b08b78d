//! The provider for client apps: authorization requests, consent, codes, tokens, logout, metadata.

mod answer;
pub mod authorize;
pub mod backchannel;
mod check;
mod client_auth;
mod codes;
pub mod consent;
pub mod device;
pub mod dpop;
mod exchange;
pub mod interaction;
pub mod introspect;
mod issue;
mod known;
pub mod logout;
pub mod metadata;
pub mod par;
mod poll;
mod refresh;
mod refused;
pub mod revoke;
mod rules;
mod standing;
pub mod token;
pub mod userinfo;

pub use answer::{Answer, Recipient};
pub use authorize::{Outcome, Refusal};
pub use client_auth::AuthenticatedClient;
pub use interaction::Interaction;
pub use issue::REFRESH_PREFIX;
pub use known::KnownClients;
pub use refused::Refused;

use rules::{Use, app_of, key_fits, unauthorized_client, used_proof};
