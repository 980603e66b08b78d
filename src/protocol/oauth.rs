//! Wire form: oauth.
