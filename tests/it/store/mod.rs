//! The store: one suite of behaviours for both engines.

mod behaviours;
