//! Rows of organizations.
