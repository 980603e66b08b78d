//! Wire form: problem.
