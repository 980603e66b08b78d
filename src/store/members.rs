//! Rows of members.
