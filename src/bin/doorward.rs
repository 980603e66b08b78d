//! `doorward`: the command people type.

use std::process::ExitCode;

use clap::Parser;

use doorward::cli::{self, Cli};
use doorward::domain::Secret;
use doorward::runtime::config::Environment;

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let secret = Environment::of_process()
        .get("DOORWARD_CLIENT_SECRET")
        .map(|text| Secret::new(text.to_owned()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(cli::run(cli, secret)))
}
