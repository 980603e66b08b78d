//! The command people type: one file per command.
//!
//! Commands speak to the daemons over their public interfaces; `dev` runs both in one process.
//! Results go to standard output through [`output`], everything else to standard error.

pub mod args;
mod check;
mod client;
mod client_token;
mod completions;
mod decisions;
mod declared;
mod dev;
mod doctor;
pub mod error;
mod explain;
mod http;
mod invite;
mod manifest;
mod member;
mod openapi;
mod org;
pub mod output;
mod policy;
mod profile;
mod provider;
mod routes;
mod run;
mod session;
mod status;
mod user;

pub use args::Cli;
pub use run::run;
