//! `docs/cli.md` is what `doorward --help` says.

use std::fmt::Write;

use clap::{Command, CommandFactory};
use doorward::cli::Cli;

use super::source::{read, root};

#[test]
fn the_reference_of_the_command_is_what_its_help_says() {
    let mut text = "# The `doorward` command\n\n\
         Written by a test from the command's own help: `UPDATE_GOLDEN=1 cargo test --test it tidy::`.\n"
        .to_owned();
    describe(&mut Cli::command().term_width(100), "doorward", &mut text);
    let path = "docs/cli.md";
    #[expect(
        clippy::disallowed_methods,
        reason = "golden files are rewritten on demand of the environment"
    )]
    let update = std::env::var("UPDATE_GOLDEN").is_ok();
    if update {
        std::fs::write(root().join(path), &text).unwrap();
    }
    assert!(
        read(path) == text,
        "{path} is not what the help says: renew it with UPDATE_GOLDEN=1"
    );
}

fn describe(command: &mut Command, name: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(
        text,
        "\n## `{name}`\n\n```text\n{}\n```",
        help.join("\n").trim_end()
    )
    .unwrap();
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .filter(|name| name != "help")
        .collect();
    for sub in names {
        // The options of every command stand in the first section.
        let mut inner = command
            .find_subcommand(&sub)
            .unwrap()
            .clone()
            .term_width(100)
            .bin_name(format!("{name} {sub}"))
            .mut_args(|argument| {
                let global = argument.is_global_set();
                argument.hide(global)
            });
        describe(&mut inner, &format!("{name} {sub}"), text);
    }
}
