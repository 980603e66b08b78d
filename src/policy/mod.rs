//! Cedar: the only judge, and this is the only module that knows it. Pure CPU.

pub mod compile;
pub mod custom;
pub mod engine;
pub mod entities;
pub mod explain;
pub mod platform;
pub mod role_sets;
pub mod schema;
