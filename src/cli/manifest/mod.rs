//! `doorward manifest`: plan, apply and export what a service declares.

mod command;
mod diff;
mod file;

pub(super) use command::{ManifestArgs, path, put, run};
pub(super) use file::{Form, load, parse};
