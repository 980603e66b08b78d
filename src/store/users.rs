//! Rows of users.
