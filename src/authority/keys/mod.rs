//! The authority's keys: the ring that seals, and what is sealed under it.

mod error;
mod reseal;
mod ring;
pub mod rotation;
mod set;
mod stored;
mod verified;

pub use error::KeysError;
pub use reseal::reseal_all;
pub use ring::{check_canary, create_ring, ensure_derivation_secret, plant_canary, read_ring};
pub use set::{JWKS_CACHE_CONTROL, Keys};
pub use stored::{generate, insert_missing, missing, reseal};
