//! Wire form: jose.
