//! The store: one suite of behaviours, run on both engines.

mod apps;
mod authorization;
mod bench;
mod changes;
mod clients;
mod concurrency;
mod crash;
mod group;
mod histories;
mod instances;
mod migrations;
mod refusals;
mod rows;
mod schema;
mod statements;
