//! The sidecar over loopback HTTP and its Unix socket, and its decisions in process. The copy is
//! fed with frames; no authority is needed.

mod answers;
mod batches;
mod cache;
mod callers;
mod changes;
mod decision_log;
mod documented;
pub mod door_world;
mod doors;
mod exposure;
mod freshness;
mod grpc;
mod instances;
mod policies;
pub mod possession;
mod searches;
mod token_races;
pub mod token_world;
mod tokens;
mod watches;
pub mod world;
