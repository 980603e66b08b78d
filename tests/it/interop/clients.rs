//! Client libraries and Apache.

use super::programs::{Needed, Report, installed, scripts};
use super::world::{Setup, World, node, yardstick};
use std::process::Command;

/// What each script of Node's has to say for itself at least.
const SCRIPTS: [(&str, usize); 2] = [("openid-client.mjs", 29), ("oauth4webapi.mjs", 31)];

#[test]
fn the_scripts_pass_against_the_certified_provider_of_npm() {
    if !Needed::Node.is_there() {
        return;
    }
    let directory = crate::support::directory();
    let (_provider, _) = yardstick(directory.path(), "http://127.0.0.1");
    for (script, cases) in SCRIPTS {
        let mut command = node(directory.path(), script);
        command.arg(directory.path().join("upstream.json"));
        Report::of(&mut command).passed(cases);
    }
}

#[test]
fn openid_client_passes_against_the_authority() {
    if Needed::Node.is_there() {
        let world = World::start(&Setup::default());
        Report::of(&mut world.node("openid-client.mjs")).passed(33);
    }
}

#[test]
fn oauth4webapi_passes_against_the_authority() {
    if Needed::Node.is_there() {
        let world = World::start(&Setup::default());
        Report::of(&mut world.node("oauth4webapi.mjs")).passed(35);
    }
}

#[test]
fn authlib_passes_against_the_authority() {
    if Needed::Node.is_there() && Needed::Python.is_there() {
        let world = World::start(&Setup::default());
        Report::of(&mut world.python("authlib_client.py")).passed(8);
    }
}

#[test]
fn apache_with_mod_auth_openidc_passes_against_the_authority() {
    if Needed::Node.is_there() && Needed::Apache.is_there() {
        let world = World::start(&Setup::default());
        let mut command = world.python("apache.py");
        command.env("DOORWARD_APACHE", installed().join("apache"));
        Report::of(&mut command).passed(6);
    }
}

#[test]
fn the_crates_openidconnect_and_oauth2_pass_against_the_authority() {
    if Needed::Node.is_there() && Needed::Rust.is_there() {
        let world = World::start(&Setup::default());
        let mut command = Command::new(Needed::Rust.path());
        command
            .arg(world.path("settings.json"))
            .arg(scripts().join("lib/person.py"));
        Report::of(&mut command).passed(6);
    }
}
