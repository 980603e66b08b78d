//! Rows of keys.
