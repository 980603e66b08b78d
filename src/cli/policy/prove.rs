//! `doorward policy prove`: properties of a file, each proved or shown to be wrong.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::super::error::CliError;
use super::super::output::Output;
use super::super::profile::Profile;
use super::solver::SolverArgs;
use super::source::{Declared, Policies, Source};
use super::yaml::{Document, Step};
use crate::authority::access::auth_manifest;
use crate::domain::PermissionKey;
use crate::policy::platform::Platform;
use crate::policy::prove::{Answer, Claim, ClaimError, Property, Solver, prove};

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// The file of properties
    file: PathBuf,
    /// What they are about: a manifest, a directory, or `live`; in place of the file's own `source`
    #[arg(long)]
    source: Option<Source>,
    /// Directory of hand-written policies, in place of the source's own
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    solver: SolverArgs,
}

/// A file of properties.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PropertyFile {
    /// Relative to the file. `live`, if neither it nor `--source` is there.
    source: Option<String>,
    /// Whether they are about the authority's own rules instead.
    #[serde(default)]
    platform: bool,
    /// Other rules than the built-in ones, relative to the file; with `platform` only.
    rules: Option<String>,
    properties: Vec<Stated>,
}

/// A property: a name and one claim.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    name: String,
    /// The permissions it is about; every one, if none is named.
    #[serde(default)]
    permissions: Vec<PermissionKey>,
    never_allow: Option<String>,
    always_allow: Option<String>,
    same_as: Option<String>,
    no_wider_than: Option<String>,
}

/// What was found about one property.
#[derive(Debug, Serialize)]
struct Found {
    name: String,
    /// `file:line`.
    place: String,
    verdict: Verdict,
    /// How many kinds of request it was asked for.
    asked: usize,
    /// For each kind that is not proved.
    open: Vec<Open>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Proved,
    Undecided,
    Disproved,
    Contradiction,
}

#[derive(Debug, Serialize)]
struct Open {
    about: String,
    verdict: Verdict,
    words: String,
    decided_by: Vec<String>,
}

pub(super) async fn run(
    args: &ProveArgs,
    profile: impl Fn() -> Result<Profile, CliError>,
    output: Output,
) -> Result<ExitCode, CliError> {
    let document = Document::open(&args.file)?;
    let file: PropertyFile = document.read()?;
    let mut solver = args.solver.start().await?;
    let mut all = Vec::new();
    if file.platform {
        let platform = platform(&file, &args.file, &document)?;
        for (number, stated) in file.properties.iter().enumerate() {
            let asked = Asked {
                document: &document,
                number,
                stated,
            };
            all.push(asked.of_platform(&platform, &mut solver).await?);
        }
    } else {
        let source = args
            .source
            .clone()
            .or_else(|| Some(Source::beside(file.source.as_ref()?, &args.file)))
            .unwrap_or(Source::Live);
        let policies = Declared::read(&source, args.policies.as_deref(), &profile)
            .await?
            .compile()?;
        for (number, stated) in file.properties.iter().enumerate() {
            let asked = Asked {
                document: &document,
                number,
                stated,
            };
            let other = asked.other(&args.file, &profile).await?;
            all.push(asked.of(&policies, other.as_ref(), &mut solver).await?);
        }
    }
    let worst = all.iter().map(|found| found.verdict).max();
    output.show(&all, |all| summary(all));
    Ok(ExitCode::from(match worst {
        None | Some(Verdict::Proved) => 0,
        Some(Verdict::Undecided | Verdict::Disproved) => 1,
        Some(Verdict::Contradiction) => 5,
    }))
}

fn platform(file: &PropertyFile, path: &Path, document: &Document) -> Result<Platform, CliError> {
    let manifest = auth_manifest().map_err(|error| CliError::local(error.to_string()))?;
    let Some(rules) = &file.rules else {
        return Platform::new(&manifest).map_err(|error| CliError::local(error.to_string()));
    };
    let rules = path.parent().unwrap_or(Path::new("")).join(rules);
    let mistake = |error: &dyn std::fmt::Display| document.mistake(&[Step::Key("rules")], error);
    let text = std::fs::read_to_string(&rules).map_err(|error| mistake(&error))?;
    Platform::with_rules(&manifest, &text).map_err(|error| mistake(&error))
}

/// One property of a file.
struct Asked<'a> {
    document: &'a Document,
    number: usize,
    stated: &'a Stated,
}

impl Asked<'_> {
    fn mistake(&self, field: Option<&str>, message: impl std::fmt::Display) -> CliError {
        let mut steps = vec![Step::Key("properties"), Step::Place(self.number)];
        steps.extend(field.map(Step::Key));
        self.document.mistake(&steps, message)
    }

    /// The policies that the claim compares with, if it does.
    async fn other(
        &self,
        file: &Path,
        profile: &impl Fn() -> Result<Profile, CliError>,
    ) -> Result<Option<Policies>, CliError> {
        let Some(named) = self
            .stated
            .same_as
            .as_ref()
            .or(self.stated.no_wider_than.as_ref())
        else {
            return Ok(None);
        };
        let source = Source::beside(named, file);
        let declared = Declared::read(&source, None, profile).await?;
        Ok(Some(declared.compile()?))
    }

    fn claim<'b>(
        &'b self,
        other: Option<&'b Policies>,
    ) -> Result<(Claim<'b>, &'static str), CliError> {
        let stated = self.stated;
        let mut claims = Vec::new();
        if let Some(condition) = &stated.never_allow {
            claims.push((Claim::NeverAllow(condition), "never_allow"));
        }
        if let Some(condition) = &stated.always_allow {
            claims.push((Claim::AlwaysAllow(condition), "always_allow"));
        }
        if let (Some(_), Some(other)) = (&stated.same_as, other) {
            claims.push((Claim::SameAs(&other.engine), "same_as"));
        }
        if let (Some(_), Some(other)) = (&stated.no_wider_than, other) {
            claims.push((Claim::NoWiderThan(&other.engine), "no_wider_than"));
        }
        match claims.as_slice() {
            [claim] => Ok(*claim),
            _ => Err(self.mistake(
                None,
                "one of never_allow, always_allow, same_as, no_wider_than is wanted",
            )),
        }
    }

    async fn of(
        &self,
        policies: &Policies,
        other: Option<&Policies>,
        solver: &mut Solver,
    ) -> Result<Found, CliError> {
        let (claim, field) = self.claim(other)?;
        let property = Property {
            permissions: &self.stated.permissions,
            claim,
        };
        let proof = prove(&policies.facts, &policies.engine, &property, solver)
            .await
            .map_err(|error| match &error {
                ClaimError::UnknownPermission(_) => self.mistake(Some("permissions"), error),
                _ => self.mistake(Some(field), error),
            })?;
        let answers = proof.permissions.into_iter().map(|(key, answer)| {
            open(key.to_string(), answer, |example| {
                (example.words, example.decided_by)
            })
        });
        Ok(self.found(answers.collect()))
    }

    async fn of_platform(
        &self,
        platform: &Platform,
        solver: &mut Solver,
    ) -> Result<Found, CliError> {
        let (Claim::NeverAllow(condition), field) = self.claim(None)? else {
            return Err(self.mistake(None, "only never_allow is asked of the platform's rules"));
        };
        let proof = platform
            .never(condition, solver)
            .await
            .map_err(|error| self.mistake(Some(field), error))?;
        let proved = proof.environments - proof.open.len();
        let mut answers: Vec<Option<Open>> = proof
            .open
            .into_iter()
            .map(|(about, answer)| {
                open(about, answer, |example| (example.words, example.decided_by))
            })
            .collect();
        answers.extend(std::iter::repeat_with(|| None).take(proved));
        Ok(self.found(answers))
    }

    fn found(&self, answers: Vec<Option<Open>>) -> Found {
        let asked = answers.len();
        let open: Vec<Open> = answers.into_iter().flatten().collect();
        let place = [Step::Key("properties"), Step::Place(self.number)];
        Found {
            name: self.stated.name.clone(),
            place: self.document.place(&place),
            verdict: open
                .iter()
                .map(|open| open.verdict)
                .max()
                .unwrap_or(Verdict::Proved),
            asked,
            open,
        }
    }
}

/// An answer that is to be told; nothing, if it is *proved*.
fn open<E>(
    about: String,
    answer: Answer<E>,
    told: impl Fn(E) -> (String, Vec<String>),
) -> Option<Open> {
    let (verdict, words, decided_by) = match answer {
        Answer::Proved => return None,
        Answer::Disproved { example } => {
            let (words, decided_by) = told(example);
            (Verdict::Disproved, words, decided_by)
        }
        Answer::Undecided { why } => (Verdict::Undecided, why, Vec::new()),
        Answer::Contradiction { what } => (Verdict::Contradiction, what, Vec::new()),
    };
    Some(Open {
        about,
        verdict,
        words,
        decided_by,
    })
}

fn summary(all: &[Found]) -> String {
    let mut lines = Vec::new();
    for found in all {
        let word = match found.verdict {
            Verdict::Proved => "proved",
            Verdict::Undecided => "UNDECIDED",
            Verdict::Disproved => "DISPROVED",
            Verdict::Contradiction => "CONTRADICTION",
        };
        lines.push(format!(
            "{word}: {} ({}; {} kinds of request)",
            found.name, found.place, found.asked
        ));
        for open in &found.open {
            let why = match open.verdict {
                Verdict::Contradiction => "a bug of Doorward, please report it: ",
                Verdict::Undecided => "undecided: ",
                Verdict::Proved | Verdict::Disproved => "",
            };
            lines.push(format!("  {}: {why}{}", open.about, open.words));
            if !open.decided_by.is_empty() {
                lines.push(format!("    decided by {}", open.decided_by.join(", ")));
            }
        }
    }
    lines.join("\n")
}
