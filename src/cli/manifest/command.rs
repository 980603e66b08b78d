//! The three subcommands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;

use super::super::error::CliError;
use super::super::http::segment;
use super::super::output::Output;
use super::super::profile::Profile;
use super::super::session::Session;
use super::{diff, load};
use crate::domain::ServiceName;
use crate::domain::manifest::{Manifest, PlanHash};
use crate::protocol::manifest::{AppliedView, ManifestView, PlanView};

/// Plans, applies and exports what a service declares
#[derive(Debug, Args)]
pub(in crate::cli) struct ManifestArgs {
    #[command(subcommand)]
    command: ManifestCommand,
}

#[derive(Debug, Subcommand)]
enum ManifestCommand {
    /// Shows what applying a manifest would change, and for whom
    #[command(after_help = "\
Examples:
  doorward manifest plan billing.yaml
  doorward manifest plan billing.json --json | jq .blast_radius")]
    Plan(PlanArgs),
    /// Applies a manifest, bound to the plan that was shown
    #[command(after_help = "\
Examples:
  doorward manifest apply billing.yaml
  doorward manifest apply billing.yaml --yes
  doorward manifest apply billing.yaml --plan 9f2c…   # as reviewed, or not at all")]
    Apply(ApplyArgs),
    /// Prints a service's live manifest
    #[command(after_help = "\
Examples:
  doorward manifest export billing --format yaml > billing.yaml")]
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct PlanArgs {
    /// The manifest: .json, .yaml or .toml; - reads JSON from standard input
    file: PathBuf,
    /// Show the members after this one: what the page before said
    #[arg(long, value_name = "CURSOR")]
    members_after: Option<String>,
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// The manifest: .json, .yaml or .toml; - reads JSON from standard input
    file: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Apply exactly this plan, by the hash that `plan` printed
    #[arg(long, value_name = "HASH")]
    plan: Option<PlanHash>,
    /// Let an older version replace a newer one (operators only)
    #[arg(long)]
    rollback: bool,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The service
    service: ServiceName,
    /// The form
    #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
    format: ExportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Json,
    Yaml,
    Toml,
}

pub(in crate::cli) async fn run(
    args: &ManifestArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        ManifestCommand::Plan(args) => show_plan(args, profile, output).await,
        ManifestCommand::Apply(args) => apply(args, profile, output).await,
        ManifestCommand::Export(args) => export(args, profile, output).await,
    }
}

pub(in crate::cli) fn path(service: &ServiceName, query: &[(&str, &str)]) -> String {
    let mut path = format!("/v1/services/{}/manifest", segment(service.as_str()));
    if !query.is_empty() {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        path.push('?');
        path.push_str(&query);
    }
    path
}

pub(in crate::cli) async fn put<T: serde::de::DeserializeOwned>(
    session: &Session,
    manifest: &Manifest,
    query: &[(&str, &str)],
) -> Result<T, CliError> {
    let body = serde_json::value::RawValue::from_string(manifest.canonical_json())
        .map_err(|error| CliError::local(format!("the manifest is no JSON: {error}")))?;
    let path = path(&manifest.service, query);
    session.json(Method::PUT, &path, Some(&body)).await
}

async fn show_plan(
    args: &PlanArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    let manifest = load(&args.file)?;
    let session = Session::open(profile).await?;
    let mut query = vec![("dry_run", "true")];
    if let Some(cursor) = &args.members_after {
        query.push(("members_after", cursor));
    }
    let plan: PlanView = put(&session, &manifest, &query).await?;
    output.show(&plan, |plan| human(plan, profile));
    Ok(ExitCode::SUCCESS)
}

fn human(view: &PlanView, profile: &Profile) -> String {
    format!(
        "{}\n{}\nplan {}",
        diff::plan(&view.plan),
        diff::blast_radius(&view.blast_radius, profile),
        view.plan_hash
    )
}

async fn apply(args: &ApplyArgs, profile: &Profile, output: Output) -> Result<ExitCode, CliError> {
    let manifest = load(&args.file)?;
    let session = Session::open(profile).await?;
    let mut base = Vec::new();
    if args.rollback {
        base.push(("rollback", "true"));
    }
    let hash = if let Some(hash) = args.plan {
        hash.to_string()
    } else {
        let mut query = base.clone();
        query.push(("dry_run", "true"));
        let plan: PlanView = put(&session, &manifest, &query).await?;
        output.note(&human(&plan, profile));
        if !plan.unchanged && !args.yes && !output.confirm("apply this plan?", "--yes")? {
            output.note("nothing was changed");
            return Ok(ExitCode::SUCCESS);
        }
        plan.plan_hash
    };
    base.push(("plan", &hash));
    let applied: AppliedView = put(&session, &manifest, &base).await?;
    output.show(&applied, |applied| {
        let word = if applied.unchanged {
            "unchanged"
        } else {
            "applied"
        };
        format!(
            "{word}: {}  freshness {}",
            applied.plan.service, applied.freshness
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn export(
    args: &ExportArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    let session = Session::open(profile).await?;
    let live: ManifestView = session
        .json(Method::GET, &path(&args.service, &[]), None::<&()>)
        .await?;
    let wrong = |error: &dyn std::fmt::Display| {
        CliError::local(format!(
            "the manifest cannot be written in this form: {error}"
        ))
    };
    let text = match args.format {
        ExportFormat::Json => {
            serde_json::to_string_pretty(&live.manifest).map_err(|error| wrong(&error))?
        }
        ExportFormat::Yaml => {
            serde_norway::to_string(&live.manifest).map_err(|error| wrong(&error))?
        }
        ExportFormat::Toml => {
            toml::to_string_pretty(&live.manifest).map_err(|error| wrong(&error))?
        }
    };
    output.document(&text);
    Ok(ExitCode::SUCCESS)
}
