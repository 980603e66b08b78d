//! `doorward manifest`: plan, apply and export what a service declares.

mod command;
mod diff;
mod file;

pub(super) use command::{ManifestArgs, run};
pub(super) use file::{Form, load, parse};
