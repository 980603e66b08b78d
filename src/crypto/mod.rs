//! Signing, sealing and digests over `aws-lc-rs`.

pub mod digest;
pub mod seal;
pub mod sign;
