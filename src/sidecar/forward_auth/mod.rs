//! The doors of proxies: whether a request may pass, by the route it finds and the token it carries.
//!
//! Nothing here waits: a remembered token costs a look into two caches, a new one a signature and a
//! few reads of the copy. Proxies may ask twice; asking changes nothing but counters.

mod answer;
mod ask;
mod challenge;
mod credentials;
mod outcome;
mod record;

pub(super) use answer::{answer, headers_document};
pub(super) use ask::ForwardAuth;
pub use outcome::DoorOutcome;
