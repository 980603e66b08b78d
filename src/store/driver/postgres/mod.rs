//! PostgreSQL: any number of authority processes on one database.
//!
//! The client blocks, and panics when it is used or dropped on an async worker. So connections
//! never leave a closure of [`Store`](crate::store::Store), and the pool is dropped on a thread of
//! its own.

mod connect;
mod engine;
mod values;

pub(in crate::store) use engine::Postgres;
