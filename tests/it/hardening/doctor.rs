//! `doorward doctor`: what is well is called well, and each thing that is broken is named.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::process::{CLI, run};
use super::world::{Authority, Sidecar};
use crate::support::directory;

/// What it says, by level.
struct Said(Value);

impl Said {
    fn of(level: &str, report: &Value) -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["level"] == level)
            .map(|finding| format!("{}: {}", finding["about"], finding["what"]))
            .collect()
    }

    #[track_caller]
    fn wrong(&self, texts: &[&str]) {
        let wrong = Self::of("wrong", &self.0);
        assert_eq!(wrong.len(), texts.len(), "{:#}", self.0);
        for (found, text) in wrong.iter().zip(texts) {
            assert!(found.contains(text), "`{text}`: {:#}", self.0);
        }
        assert!(
            self.0["findings"]
                .as_array()
                .unwrap()
                .iter()
                .all(|finding| finding["level"] == "ok" || finding["fix"].is_string()),
            "a finding without advice: {:#}",
            self.0
        );
    }
}

fn doctor(authority: &Authority, sidecar: &Sidecar, more: &[&str]) -> Said {
    let mut args = vec![
        "--json",
        "doctor",
        "--authority-config",
        authority.config.to_str().unwrap(),
        "--sidecar-config",
        sidecar.config.to_str().unwrap(),
    ];
    args.extend(more);
    let finished = run(CLI, &args, &[("HOME", "/nonexistent")]);
    let report: Value = serde_json::from_str(&finished.out())
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.out(), finished.err()));
    let wrong = report["wrong"].as_u64().unwrap();
    assert_eq!(finished.code(), i32::from(wrong > 0), "{report:#}");
    Said(report)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_deployment_that_is_well_has_nothing_wrong_and_each_ailment_is_named() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until_connected(true);
    sidecar.until_revision(authority.revision());
    let well = doctor(&authority, &sidecar, &[]);
    well.wrong(&[]);
    let fine = Said::of("ok", &well.0).join("\n");
    for text in [
        "so does its database",
        "signing keys",
        "its key file is there and private",
        "its database is there and private",
        "it is enrolled as",
        "its copy is at revision",
        "it hears the authority",
    ] {
        assert!(fine.contains(text), "`{text}`: {fine}");
    }

    // Files that others may read.
    let key = authority.data.join("doorward.keys");
    let enrolment = sidecar.data.join("enrolment.json");
    mode(&key, 0o644);
    mode(&enrolment, 0o640);
    doctor(&authority, &sidecar, &[]).wrong(&["644", "mode 640"]);
    mode(&key, 0o600);
    mode(&enrolment, 0o600);

    // A routes file with a mistake, and a setting that is none.
    let config = fs::read_to_string(&sidecar.config).unwrap();
    let routes = directory.path().join("routes.toml");
    fs::write(&routes, "[[route]]\nname = \"a\"\n").unwrap();
    fs::write(
        &sidecar.config,
        format!("routes = '{}'\n{config}", routes.display()),
    )
    .unwrap();
    doctor(&authority, &sidecar, &[]).wrong(&["route"]);
    fs::write(&sidecar.config, format!("rutes = 'x'\n{config}")).unwrap();
    let socket = format!("unix:{}", sidecar.socket.display());
    doctor(&authority, &sidecar, &["--sidecar", &socket]).wrong(&["rutes"]);
    fs::write(&sidecar.config, &config).unwrap();

    // The sidecar is cut off.
    authority.stop();
    sidecar.until_connected(false);
    doctor(&authority, &sidecar, &[]).wrong(&["cannot be reached", "does not hear the authority"]);
    sidecar.stop();
    authority.run();
    doctor(&authority, &sidecar, &[]).wrong(&["cannot be reached"]);
    fs::remove_file(&enrolment).unwrap();
    doctor(&authority, &sidecar, &[]).wrong(&["not enrolled", "cannot be reached"]);
    authority.stop();
}
