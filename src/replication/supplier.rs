//! supplier.
