//! Rows of installation.
