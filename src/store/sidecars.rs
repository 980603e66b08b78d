//! Rows of sidecars.
