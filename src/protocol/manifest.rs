//! Wire form: manifest.
