//! Rows of migrate.
