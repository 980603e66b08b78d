//! entities.
