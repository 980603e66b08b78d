//! Wire form: authzen.
