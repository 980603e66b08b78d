//! role_sets.
