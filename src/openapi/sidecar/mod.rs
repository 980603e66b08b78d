//! The sidecar's document.

mod book;
mod doors;
mod endpoints;
mod schemas;

pub use book::{OUTSIDE, document};
