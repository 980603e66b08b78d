//! Forward-auth: what a proxy says of the request that it asks about.
//!
//! One [`Dialect`] for each proxy, chosen by the path that the proxy asks; each reads exactly its own
//! headers. What could be read in two ways (a header twice, headers of two dialects, a path that two
//! programs would take for different ones) is refused, because the client may have written it.

mod dialect;
mod host;
mod navigation;
mod path;
mod request;

pub use dialect::Dialect;
pub use host::{HostError, canonical_host};
pub use navigation::is_navigation;
pub use path::{CanonicalPath, MAX_PATH, PathError};
pub use request::{
    IDENTITY_HEADERS, Original, ReadError, STEERING_HEADERS, is_hop_by_hop, is_twin, read,
};
