//! schemathesis, a fuzzer that reads OpenAPI documents: it asks a running daemon what the document
//! allows and what it does not, and holds each answer to the document.
//!
//! `test.sh` installs it and sets `DOORWARD_REQUIRE_SCHEMATHESIS`; without it, and without the
//! variable, a test says that it was skipped.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// What is held to: a server error is one whatever is documented. Methods that a path does not have
/// are tried elsewhere: proxies may ask with any.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,allow_header_conformance";

/// A document and what it is tried on.
pub struct Fuzzed {
    pub document: Value,
    /// What a credential is for a security scheme, as a line of TOML.
    pub credentials: Vec<(&'static str, String)>,
    /// Operations that never end, so that nobody can wait for their answer.
    pub endless: &'static [&'static str],
    /// How many cases of each operation are made up, beside those that its parameters call for.
    pub cases: u32,
}

fn installed() -> PathBuf {
    // The test's binary is target/<profile>/deps/<name>.
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("openapi/python")
}

/// Whether it is installed. Says so aloud when it is not; fails where it must be.
pub fn is_there() -> bool {
    if installed().join("schemathesis").exists() {
        return true;
    }
    assert!(
        std::env::var_os("DOORWARD_REQUIRE_SCHEMATHESIS").is_none(),
        "DOORWARD_REQUIRE_SCHEMATHESIS is set, and schemathesis is not installed"
    );
    // Past the harness, which would keep it to itself.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: schemathesis is not installed (test.sh installs it)"
    );
    false
}

impl Fuzzed {
    /// Texts that exist, for a fuzzer cannot guess them: each schema of the name takes these too.
    pub fn knowing(mut self, schema: &str, texts: &[&str]) -> Self {
        let place = &mut self.document["components"]["schemas"][schema];
        assert!(place.is_object(), "there is no schema `{schema}`");
        *place = json!({ "anyOf": [{ "enum": texts }, place.take()] });
        self
    }

    /// Runs it to its end.
    pub fn run(&self, address: SocketAddr) {
        let folder = crate::support::directory();
        let document = folder.path().join("document.json");
        std::fs::write(&document, self.document.to_string()).unwrap();
        let mut config =
            "[cache]\nenabled = false\n[generation]\ndeterministic = true\n".to_owned();
        for (scheme, credential) in &self.credentials {
            writeln!(config, "[auth.openapi.{scheme}]\n{credential}").unwrap();
        }
        let settings = folder.path().join("schemathesis.toml");
        std::fs::write(&settings, config).unwrap();
        let mut command = Command::new("python3");
        command
            .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
            .arg(settings)
            .arg("run")
            .arg(document)
            .args(["--url", &format!("http://{address}")])
            .args(["--checks", CHECKS, "--seed", "1", "--workers", "1"])
            .args(["--phases", "coverage,fuzzing"])
            .args(["--max-examples", &self.cases.to_string()])
            .args(["--request-timeout", "20", "--continue-on-failure"])
            .args(["--suppress-health-check", "all", "--warnings", "off"]);
        for operation in self.endless {
            command.args(["--exclude-operation-id", operation]);
        }
        let output = command
            .env("PYTHONPATH", installed())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        if let Some(place) = std::env::var_os("OPENAPI_REPORT") {
            std::fs::write(place, told.as_bytes()).unwrap();
        }
        assert!(
            output.status.success(),
            "{told}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let operations = super::document::operations(&self.document).len() - self.endless.len();
        let tested = format!("Tested: {operations}\n");
        assert!(
            told.contains(&tested),
            "not all {operations} were asked: {told}"
        );
    }
}
