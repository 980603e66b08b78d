//! `doorward dev`: authority, sidecar and demo data in one process.

mod load;
mod world;
