//! `doorward`: what its exit code tells a script.

use super::process::{CLI, Finished, run};
use super::world::{Authority, Sidecar};
use crate::support::directory;

const READ: &str = "billing:invoice:read";
const WRITE: &str = "billing:invoice:write";

/// Runs `doorward check` with a sidecar's address.
fn check(home: &str, sidecar: &str, arguments: &[&str]) -> Finished {
    let mut all = vec!["--sidecar", sidecar, "check"];
    all.extend(arguments);
    run(CLI, &all, &[("HOME", home)])
}

#[test]
fn the_exit_code_of_check_tells_the_decision_over_tcp_and_unix_socket() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let user = authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until(&user, READ, true);
    let home = directory.path().to_str().unwrap();
    let tcp = sidecar.address.to_string();
    let unix = format!("unix:{}", sidecar.socket.display());
    for at in [&tcp, &unix] {
        for (arguments, code) in [
            (&[&*user, "acme", READ][..], 0),
            (&[&user, "acme", WRITE], 1),
            (&[&user, "nowhere", READ], 1),
            (&[&user, "acme", "billing:invoice:burn"], 1),
            (&[&user, "acme", READ, "--max-staleness", "1h"], 0),
            (&[&user, "acme"], 2),
            (&[&user, "acme", "no permission"], 2),
            (&["mara", "acme", READ], 2),
            (&[&user, "acme", READ, "--at-least", "x"], 2),
            (&[&user, "acme", READ, "--properties", "{"], 2),
            (
                &[
                    &user,
                    "acme",
                    READ,
                    "--resource",
                    "1",
                    "--properties",
                    r#"{"organization":"other"}"#,
                ],
                3,
            ),
        ] {
            let finished = check(home, at, arguments);
            assert_eq!(finished.code(), code, "{arguments:?}: {}", finished.err());
            assert!(!finished.err().contains("panicked"));
        }
    }
    sidecar.stop();
    authority.stop();
    for at in [&*tcp, &unix, "unix:/nonexistent.sock"] {
        check(home, at, &[&user, "acme", READ]).refused(4, &[]);
    }
    check(home, "ftp://x", &[&user, "acme", READ]).refused(2, &[]);
    let missing = [
        "--profile",
        "/nonexistent.toml",
        "check",
        &user,
        "acme",
        READ,
    ];
    run(CLI, &missing, &[("HOME", home)]).refused(2, &["/nonexistent.toml"]);
    let profile = directory.path().join("profile.toml");
    std::fs::write(&profile, "colour = 'red'").unwrap();
    let broken = [
        "--profile",
        profile.to_str().unwrap(),
        "check",
        &user,
        "acme",
        READ,
    ];
    run(CLI, &broken, &[("HOME", home)]).refused(2, &["profile.toml"]);
}

#[test]
fn commands_to_the_authority_tell_wrong_credentials_from_silence() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let home = directory.path().to_str().unwrap();
    let url = format!("http://{}", authority.address);
    let secret = authority.secret.clone();
    let org = |secret: &str| {
        let arguments = [
            "--authority",
            &url,
            "--client-id",
            "operator",
            "org",
            "list",
            "--json",
        ];
        run(
            CLI,
            &arguments,
            &[("HOME", home), ("DOORWARD_CLIENT_SECRET", secret)],
        )
    };
    org(&secret).succeeded();
    let refused = org("wrong-secret");
    refused.refused(2, &["no token"]);
    assert!(!refused.err().contains("wrong-secret"));
    authority.stop();
    org(&secret).refused(4, &[]);
}
