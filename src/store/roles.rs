//! Rows of roles.
