//! The parts of the process that requests use.

use std::sync::Arc;

use crate::runtime::{Clock, Entropy};
use crate::store::Store;

use super::access::Access;

/// The authority's parts, shared by all requests.
#[derive(Debug)]
pub struct Authority {
    /// Where the truth lives.
    pub store: Store,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids and tokens come from.
    pub entropy: Arc<dyn Entropy>,
    /// Who may do what on the API.
    pub access: Arc<Access>,
}
