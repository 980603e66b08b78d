//! sign.
