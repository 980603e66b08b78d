//! `doorward dev`: authority, sidecar and demo data in one process.
//!
//! Nothing here is a shortcut: the installation is made by `init`, the sidecar enrols by a join
//! token, demo data goes through the HTTP API as the first operator. Only generated worlds are
//! written in bulk.

mod command;
mod daemons;
mod demo;
mod enroll;
mod guide;
mod live;
mod load;
mod questions;
mod world;

pub(super) use command::{DevArgs, run};
