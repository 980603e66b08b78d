//! Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization/Check`.
//!
//! The message tells the same as a request of Envoy's HTTP dialect; [`Told`] is that request, and
//! `protocol::forward_auth` reads it like every other. An answer is an [`Answer`], which is either an
//! allow or a denial: to Envoy a `CheckResponse` without a status is an allow, so the messages have
//! no way out of this module but through one.

mod answer;
mod messages;
mod told;

pub use answer::Answer;
pub use told::{CHECK_PATH, Told, ToldError};
