//! The OpenAPI 3.1 documents of both daemons, generated.
//!
//! An operation is a row of a table (`authority`, `sidecar`); the schemas of its bodies are derived
//! from the types that are read and written, and of names from what `domain` takes. Tests hold
//! tables and routers together, and the documents to golden files. Nothing here runs in a daemon.

mod authority;
mod document;
mod operation;
mod sidecar;
mod texts;

pub use authority::{OUTSIDE as OUTSIDE_AUTHORITY, document as authority};
pub use sidecar::{OUTSIDE as OUTSIDE_SIDECAR, document as sidecar};
pub use texts::{Text, texts};
