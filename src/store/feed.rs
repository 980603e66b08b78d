//! Rows of feed.
