//! Logging in through upstream identity providers.
//!
//! A login begins with a [`LoginRequest`], which says where the browser goes afterwards and how
//! fresh the proof must be, and ends with a [`crate::store::sessions::Session`] behind a cookie.
//! Nothing of it is stored before somebody has logged in: the request travels sealed in the URL,
//! the state of each attempt in a cookie of its own, so that several tabs finish in any order.

mod request;
mod session;

pub use request::{InvalidReturn, LoginError, LoginPurpose, LoginRequest, begin, open};
pub use session::{COOKIE, clear_cookie, current, set_cookie};
