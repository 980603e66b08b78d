//! Logging in through upstream identity providers.
//!
//! A login begins with a [`LoginRequest`], which says where the browser goes afterwards and how
//! fresh the proof must be, and ends with a [`crate::store::sessions::Session`] behind a cookie.
//! Nothing of it is stored before somebody has logged in: the request travels sealed in the URL,
//! the state of each attempt in a cookie of its own, so that several tabs finish in any order.

mod backchannel;
mod callback;
mod configuration;
pub mod demo;
mod directory;
mod error;
mod finish;
mod github;
pub(in crate::authority) mod groups;
mod identity;
mod oidc;
pub mod provider;
mod remembered;
mod request;
mod session;
pub mod tokens;
mod transaction;

pub use backchannel::{BackchannelError, end_sessions};
pub use callback::{Again, CallbackFailure, Ended, Finished, callback, returning_with};
pub use configuration::outbound_config;
pub use demo::DemoProvider;
pub use directory::{Directory, Known};
pub use error::UpstreamError;
pub use finish::{FinishError, LINK_PROOF};
pub use identity::UpstreamTokens;
pub use provider::{ConfiguredProvider, Provider, ProviderError};
pub use remembered::{Remembered, RememberedSessions};
pub use request::{InvalidReturn, LoginError, LoginPurpose, LoginRequest, begin, open};
pub use session::{COOKIE, clear_cookie, current, remembered, set_cookie};
pub use transaction::{Attempt, AttemptError, start};
