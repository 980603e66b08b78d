//! Rows of clients.
