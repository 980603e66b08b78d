//! Wire form: organizations.
