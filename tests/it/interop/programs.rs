//! Where the programs are, how a script is run, and what it said.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Where `test.sh` installs: beside the build.
pub fn installed() -> PathBuf {
    // The test's binary is target/<profile>/deps/<name>.
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("interop")
}

/// The scripts of this repository.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// What a test needs to be installed.
#[derive(Debug, Clone, Copy)]
pub enum Needed {
    /// Node and the packages of package-lock.json.
    Node,
    /// Python and the packages of requirements.txt.
    Python,
    /// Apache with `mod_auth_openidc`.
    Apache,
    /// The clients in Rust, built.
    Rust,
}

impl Needed {
    fn mark(self) -> (&'static str, &'static str) {
        match self {
            Self::Node => ("NODE", "node_modules/openid-client/package.json"),
            Self::Python => ("PYTHON", "python/authlib/__init__.py"),
            Self::Apache => ("APACHE", "apache/usr/sbin/apache2"),
            Self::Rust => ("RUST_CLIENTS", "rust-clients/debug/rust-clients"),
        }
    }

    /// The file that is there when it is.
    pub fn path(self) -> PathBuf {
        installed().join(self.mark().1)
    }

    /// Whether it is there. Says so aloud when it is not; fails where it must be.
    pub fn is_there(self) -> bool {
        let (name, file) = self.mark();
        if self.path().exists() {
            return true;
        }
        let required = format!("DOORWARD_REQUIRE_{name}");
        assert!(
            std::env::var_os(&required).is_none(),
            "{required} is set, and {file} is not installed"
        );
        // Past the harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {self:?} is not installed (test.sh installs it)"
        );
        false
    }
}

/// A program that is killed with its owner.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a script said of its cases.
pub struct Report {
    cases: BTreeMap<String, Option<String>>,
    rest: String,
}

impl Report {
    /// Runs a script to its end and reads its lines.
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let mut report = Self {
            cases: BTreeMap::new(),
            rest: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            match serde_json::from_str::<Value>(line) {
                Ok(told) if told["case"].is_string() => {
                    let error = (told["ok"] != true).then(|| told["error"].to_string());
                    let name = told["case"].as_str().unwrap().to_owned();
                    report.cases.insert(name, error);
                }
                _ => writeln!(report.rest, "{line}").unwrap(),
            }
        }
        report
    }

    /// At least `number` cases must have run, and all of them passed.
    pub fn passed(&self, number: usize) {
        let failed: Vec<String> = self
            .cases
            .iter()
            .filter_map(|(name, error)| Some(format!("{name}\n    {}", error.as_ref()?)))
            .collect();
        assert!(
            failed.is_empty(),
            "{} of {} cases failed:\n{}\n{}",
            failed.len(),
            self.cases.len(),
            failed.join("\n").replace("\\n", "\n      "),
            self.rest
        );
        assert!(
            self.cases.len() >= number,
            "{} cases ran, {number} are wanted: {}",
            self.cases.len(),
            self.rest
        );
    }
}
