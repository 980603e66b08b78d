//! The authority's document: the interfaces that programs speak to.

mod book;
mod call;
mod feed;
mod installation;
mod oauth;
mod organizations;
mod programs;
mod services;
mod users;

pub use book::{OUTSIDE, document};
use call::{call, delete, get, patch, post, put};
