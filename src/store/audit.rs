//! Rows of audit.
