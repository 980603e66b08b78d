//! Wire form: feed.
