//! `doorward policy test`: cases, and which policies none of them reaches.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::super::error::CliError;
use super::super::output::Output;
use super::cases::{self, Expected};
use super::platform_cases;
use super::yaml::Document;
use crate::policy::custom::PolicyPlace;

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Files of cases, or directories of them: *.yaml but *.properties.yaml
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Fail when a policy decides no case
    #[arg(long)]
    require_coverage: bool,
}

/// What a case came to.
pub(super) struct Outcome {
    /// `file:line`.
    pub(super) place: String,
    pub(super) name: String,
    pub(super) wanted: (Expected, BTreeSet<String>),
    pub(super) got: (Expected, BTreeSet<String>),
    /// The evaluator's explanation, if there is one.
    pub(super) why: String,
}

/// What ran so far.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tested {
    cases: usize,
    failures: Vec<String>,
    policies: usize,
    uncovered: Vec<PolicyPlace>,
    #[serde(skip)]
    places: Vec<PolicyPlace>,
    #[serde(skip)]
    decided: BTreeSet<(String, String)>,
    /// The files of policies that the cases running now are about.
    #[serde(skip)]
    current: Vec<PolicyPlace>,
}

impl Tested {
    /// Cases that follow are about these policies, in files of `folder`.
    pub(super) fn has(&mut self, folder: &str, places: Vec<PolicyPlace>) {
        self.current = places
            .into_iter()
            .map(|mut place| {
                if !folder.is_empty() {
                    place.file = Path::new(folder).join(&place.file).display().to_string();
                }
                place
            })
            .collect();
        for place in &self.current {
            if !self.places.contains(place) {
                self.places.push(place.clone());
            }
        }
    }

    /// Takes note of a case. One that fails covers nothing.
    pub(super) fn ran(&mut self, outcome: Outcome) {
        self.cases += 1;
        let Outcome {
            place,
            name,
            wanted,
            got,
            why,
        } = outcome;
        if wanted == got {
            let decided = self
                .current
                .iter()
                .filter(|policy| got.1.contains(&policy.id));
            self.decided
                .extend(decided.map(|policy| (policy.file.clone(), policy.id.clone())));
            return;
        }
        let words = |(decision, reasons): &(Expected, BTreeSet<String>)| {
            let word = match decision {
                Expected::Allow => "allow",
                Expected::Deny => "deny",
            };
            if reasons.is_empty() {
                format!("{word} by no policy")
            } else {
                let listed: Vec<String> = reasons.iter().map(|id| format!("`{id}`")).collect();
                format!("{word} by {}", listed.join(", "))
            }
        };
        let mut failure = format!(
            "{place}: {name}: expected {}, got {}",
            words(&wanted),
            words(&got)
        );
        if !why.is_empty() {
            _ = write!(failure, " ({why})");
        }
        self.failures.push(failure);
    }

    fn finish(&mut self) {
        self.policies = self.places.len();
        self.uncovered = self
            .places
            .iter()
            .filter(|place| {
                !self
                    .decided
                    .contains(&(place.file.clone(), place.id.clone()))
            })
            .cloned()
            .collect();
    }

    fn words(&self) -> String {
        let mut lines = self.failures.clone();
        for place in &self.uncovered {
            let what = format!("`{}` decides no case", place.id);
            lines.push(if place.file.is_empty() {
                what
            } else {
                format!("{}:{}: {what}", place.file, place.line)
            });
        }
        lines.push(format!(
            "{} cases, {} failed; {} of {} policies decided one",
            self.cases,
            self.failures.len(),
            self.policies - self.uncovered.len(),
            self.policies
        ));
        lines.join("\n")
    }
}

/// What a file is about.
#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(default)]
    platform: bool,
}

pub(super) fn run(args: &TestArgs, output: Output) -> Result<ExitCode, CliError> {
    let mut tested = Tested::default();
    for path in files(&args.paths)? {
        let document = Document::open(&path)?;
        tested.current.clear();
        if document.read::<Kind>()?.platform {
            platform_cases::run(&document, &mut tested)?;
        } else {
            cases::run(&document, &path, &mut tested)?;
        }
    }
    tested.finish();
    output.show(&tested, Tested::words);
    let fails =
        !tested.failures.is_empty() || args.require_coverage && !tested.uncovered.is_empty();
    Ok(ExitCode::from(u8::from(fails)))
}

fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error: std::io::Error| {
            CliError::usage(format!("{} cannot be read: {error}", path.display()))
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            let is_yaml = file.extension().is_some_and(|end| end == "yaml");
            let properties = file.file_stem().is_some_and(|stem| {
                Path::new(stem)
                    .extension()
                    .is_some_and(|end| end == "properties")
            });
            if is_yaml && !properties {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(CliError::usage(format!(
                "{} holds no file of cases",
                path.display()
            )));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}
