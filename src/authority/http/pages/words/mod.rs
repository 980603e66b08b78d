//! What the pages say, by language. A key that a language lacks does not compile.

pub(super) mod de;
pub(super) mod en;
mod keys;
mod text;

pub(super) use keys::Words;
pub(super) use text::{Filled, Text};
