//! `doorward-authority`: the daemon that owns the truth.

use std::io::{Write, stderr, stdout};

use clap::Parser;

use doorward::authority::arguments::Arguments;
use doorward::runtime::Exit;

fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            };
        }
    };
    match arguments.run() {
        Ok(text) => match stdout().write_all(text.as_bytes()) {
            Ok(()) => Exit::Success,
            Err(_) => Exit::Io,
        },
        Err(error) => {
            let exit = error.exit();
            let chain = anyhow::Error::from(error);
            let _ = writeln!(stderr(), "doorward-authority: {chain:#}");
            exit
        }
    }
}
