//! The store: one suite of behaviours, run on both engines.

mod bench;
mod rows;
