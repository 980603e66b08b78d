//! The streams.
