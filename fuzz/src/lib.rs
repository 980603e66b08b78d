//! The targets of `tests/it/fuzz`, for libFuzzer.

#[path = "../../tests/it/fuzz/targets/mod.rs"]
pub mod targets;
