//! Rows of permissions.
