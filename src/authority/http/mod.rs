//! The authority's HTTP API: parse, authorize, act, show.
//!
//! Refusals are RFC 9457 problems. Every write answers with a freshness token, as the header
//! `Doorward-Freshness` and as the field `freshness`.

mod address;
pub mod answer;
pub mod context;
pub mod credentials;
mod envelope;
pub mod error;
pub mod feed;
pub mod instances;
pub mod invitations;
pub mod json;
mod load;
pub(crate) mod login;
pub mod manifests;
mod oauth;
pub mod organizations;
pub mod pages;
mod people;
pub mod providers;
mod router;
mod service;
pub mod users;

pub use context::RequestContext;
pub use error::HttpError;
pub use service::Api;
