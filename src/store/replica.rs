//! Rows of replica.
