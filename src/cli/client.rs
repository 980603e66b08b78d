//! `doorward client`: apps that people log in through, and what else has credentials.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;

use super::client_token::{self, TokenCommand};
use super::declared;
use super::error::CliError;
use super::http::segment;
use super::org::ListArgs;
use super::output::{Output, table};
use super::profile::Profile;
use super::session::Session;
use crate::domain::ClientIdentifier;
use crate::protocol::clients::{AppAction, AppApplied, AppDocument, AppPlan, AppView};
use crate::protocol::credentials::{ClientView, ClientWithSecret, RotateSecret};
use crate::protocol::organizations::Page;

/// Declares the apps that people log in through; lists, rotates and retires clients
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Shows what applying a file of apps would change
    #[command(after_help = "\
Examples:
  doorward client plan apps.yaml")]
    Plan {
        /// The apps: .json, .yaml or .toml; - reads JSON from standard input
        file: PathBuf,
    },
    /// Applies a file of apps, bound to the plans that were shown; new secrets are shown once
    #[command(after_help = "\
Examples:
  doorward client apply apps.yaml
  doorward client apply apps.yaml --yes --json | jq -r '.[].client_secret'

The file has the form of the authority's configuration:
  clients:
    board:
      redirect_uris: [https://board.example/callback]
      scope: openid profile email billing:read")]
    Apply {
        /// The apps: .json, .yaml or .toml; - reads JSON from standard input
        file: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Lists clients of every kind
    List(ListArgs),
    /// Shows one app's registration
    Show {
        /// The client's id
        client: ClientIdentifier,
    },
    /// Gives a client a new secret, shown once; the one before it works on for a while
    #[command(after_help = "\
Examples:
  doorward client rotate-secret board
  doorward client rotate-secret board --overlap 0   # the old one ends at once")]
    RotateSecret {
        /// The client's id
        client: ClientIdentifier,
        /// For how many seconds the secret before it still works
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u32>,
    },
    /// Says who may register clients of their own (RFC 7591)
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Ends a client for ever: its secrets, and every token it has
    Retire {
        /// The client's id
        client: ClientIdentifier,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(
    args: &ClientArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        ClientCommand::Plan { file } => {
            let apps = load(file)?;
            let session = Session::open(profile).await?;
            let plans = plans(&session, &apps).await?;
            output.show(&plans, |plans| human(plans));
        }
        ClientCommand::Apply { file, yes } => apply(file, *yes, profile, output).await?,
        ClientCommand::List(args) => list(args, profile, output).await?,
        ClientCommand::Show { client } => {
            let session = Session::open(profile).await?;
            let view: AppView = session
                .json(Method::GET, &path(client), None::<&()>)
                .await?;
            output.show(&view, shown);
        }
        ClientCommand::RotateSecret { client, overlap } => {
            let session = Session::open(profile).await?;
            let path = format!("{}/secret", path(client));
            let body = RotateSecret {
                overlap_seconds: *overlap,
            };
            let rotated: ClientWithSecret = session.json(Method::POST, &path, Some(&body)).await?;
            output.show(&rotated, |rotated| match rotated.previous_until {
                Some(until) => format!(
                    "{}\nthe secret before it works until {until}",
                    rotated.client_secret
                ),
                None => rotated.client_secret.clone(),
            });
        }
        ClientCommand::Token { command } => {
            return client_token::run(command, profile, output).await;
        }
        ClientCommand::Retire { client, yes } => {
            let question = format!("end `{client}` and every token it has, for ever?");
            if !*yes && !output.confirm(&question, "--yes")? {
                output.note("nothing was changed");
                return Ok(ExitCode::SUCCESS);
            }
            let session = Session::open(profile).await?;
            let retired: ClientView = session
                .json(Method::DELETE, &path(client), None::<&()>)
                .await?;
            output.show(&retired, |client| format!("retired: {}", client.client_id));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(client: &ClientIdentifier) -> String {
    format!("/v1/clients/{}", segment(client.as_str()))
}

/// A file of apps: the part `clients` of the authority's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppsFile {
    clients: BTreeMap<ClientIdentifier, AppDocument>,
}

/// Reads and checks a file of apps.
fn load(file: &Path) -> Result<BTreeMap<ClientIdentifier, AppDocument>, CliError> {
    let apps = declared::read::<AppsFile>(file)?.clients;
    let mistakes: Vec<String> = apps
        .iter()
        .filter_map(|(client, document)| Some((client, document.check(client).err()?)))
        .flat_map(|(client, mistakes)| {
            mistakes
                .into_iter()
                .map(move |mistake| format!("/clients/{client}{mistake}"))
        })
        .collect();
    if mistakes.is_empty() {
        Ok(apps)
    } else {
        let what = format!("{}: the apps are not right", file.display());
        Err(CliError::usage(what).details(mistakes))
    }
}

async fn plans(
    session: &Session,
    apps: &BTreeMap<ClientIdentifier, AppDocument>,
) -> Result<Vec<AppPlan>, CliError> {
    let mut plans = Vec::with_capacity(apps.len());
    for (client, document) in apps {
        let path = format!("{}?dry_run=true", path(client));
        plans.push(session.json(Method::PUT, &path, Some(document)).await?);
    }
    Ok(plans)
}

const fn word(action: AppAction) -> &'static str {
    match action {
        AppAction::Create => "create",
        AppAction::Update => "update",
        AppAction::None => "unchanged",
    }
}

fn human(plans: &[AppPlan]) -> String {
    let mut text = String::new();
    for plan in plans {
        let _ = writeln!(text, "{}: {}", word(plan.action), plan.client_id);
        for change in &plan.changes {
            let _ = writeln!(text, "  {change}");
        }
        if plan.new_secret {
            let _ = writeln!(text, "  a secret will be made and shown once");
        }
    }
    text.trim_end().to_owned()
}

fn shown(view: &AppView) -> String {
    let mut text = format!("{}  {}  from {}", view.client_id, view.state, view.source);
    if let Some(drift) = &view.drift {
        let _ = write!(text, "\ndrift: {drift}");
    }
    if let Some(until) = view.expires_at {
        let _ = write!(text, "\nuntil {until}");
    }
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&view.registration) {
        for (field, value) in fields {
            let _ = write!(text, "\n  {field}: {value}");
        }
    }
    text
}

async fn apply(file: &Path, yes: bool, profile: &Profile, output: Output) -> Result<(), CliError> {
    let apps = load(file)?;
    let session = Session::open(profile).await?;
    let plans = plans(&session, &apps).await?;
    output.note(&human(&plans));
    let unchanged = plans.iter().all(|plan| plan.action == AppAction::None);
    if !unchanged && !yes && !output.confirm("apply these plans?", "--yes")? {
        output.note("nothing was changed");
        return Ok(());
    }
    let mut applied: Vec<AppApplied> = Vec::with_capacity(plans.len());
    for (plan, (client, document)) in plans.iter().zip(&apps) {
        let path = format!("{}?plan={}", path(client), plan.plan_hash);
        match session.json(Method::PUT, &path, Some(document)).await {
            Ok(done) => applied.push(done),
            Err(error) => {
                // Secrets are shown once: those made so far must not be lost with the error.
                output.show(&applied, |applied| done(applied));
                return Err(error);
            }
        }
    }
    output.show(&applied, |applied| done(applied));
    Ok(())
}

fn done(applied: &[AppApplied]) -> String {
    let mut text = String::new();
    for one in applied {
        let word = match one.plan.action {
            AppAction::Create => "created",
            AppAction::Update => "updated",
            AppAction::None => "unchanged",
        };
        let _ = writeln!(text, "{word}: {}", one.plan.client_id);
        if let Some(secret) = &one.client_secret {
            let _ = writeln!(text, "  secret, shown this once: {secret}");
        }
    }
    text.trim_end().to_owned()
}

async fn list(args: &ListArgs, profile: &Profile, output: Output) -> Result<(), CliError> {
    let session = Session::open(profile).await?;
    let path = format!("/v1/clients{}", args.query());
    let page: Page<ClientView> = session.json(Method::GET, &path, None::<&()>).await?;
    output.show(&page, |page| {
        let rows: Vec<Vec<String>> = page
            .items
            .iter()
            .map(|client| {
                vec![
                    client.client_id.to_string(),
                    client.kind.clone(),
                    client.state.clone(),
                    client
                        .source
                        .map_or_else(|| "-".to_owned(), |source| source.to_string()),
                    client.name.clone(),
                    client.scope.clone(),
                ]
            })
            .collect();
        let mut text = table(
            &["CLIENT", "KIND", "STATE", "SOURCE", "NAME", "SCOPE"],
            &rows,
        );
        for client in &page.items {
            if let Some(drift) = &client.drift {
                let _ = write!(text, "\ndrift: {}: {drift}", client.client_id);
            }
        }
        if let Some(next) = &page.next {
            let _ = write!(text, "\nmore: --after {next}");
        }
        text
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_yaml_and_toml_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            load(&path).unwrap()
        };
        let json = read(
            "a.json",
            r#"{"clients": {"board": {"redirect_uris": ["https://a.example/cb"], "first_party": true}}}"#,
        );
        let yaml = read(
            "a.yaml",
            "clients:\n  board:\n    redirect_uris: [https://a.example/cb]\n    first_party: true\n",
        );
        let toml = read(
            "a.toml",
            "[clients.board]\nredirect_uris = [\"https://a.example/cb\"]\nfirst_party = true\n",
        );
        assert_eq!(json, yaml);
        assert_eq!(json, toml);
    }

    #[test]
    fn every_mistake_of_a_file_is_listed_with_its_client() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let text = "clients:\n  board: {redirect_uris: [\"http://a.example/\"]}\n  desk: {}\n";
        std::fs::write(&path, text).unwrap();
        let error = load(&path).unwrap_err();
        let mistakes = error.mistakes();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes[0].starts_with("/clients/board/redirect_uris/0"));
        assert!(mistakes[1].starts_with("/clients/desk/redirect_uris"));
    }
}
