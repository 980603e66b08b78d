//! The sidecar over loopback HTTP and its Unix socket, and its decisions in process. The copy is
//! fed with frames; no authority is needed.

mod answers;
mod batches;
mod cache;
mod changes;
mod documented;
mod exposure;
mod freshness;
mod policies;
mod searches;
mod token_races;
mod token_world;
mod tokens;
mod world;
