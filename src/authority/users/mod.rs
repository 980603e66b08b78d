//! Users: known before their first login, read by operators and by themselves, suspended, erased
//! and exported by operators.

mod error;
mod export;
mod profile;
mod standing;

pub use error::UsersError;
pub use export::export;
pub use profile::{NewUser, create, find, page};
pub use standing::{Standing, erase, restore, sign_out, suspend};
