//! `doorward provider`: the command, and the files it reads.

mod command;
mod file;

pub(super) use command::{ProviderArgs, run};
