//! Tests: authority.
