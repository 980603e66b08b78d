//! `doorward provider`: the identity providers that people log in through.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;

use super::super::error::CliError;
use super::super::http::segment;
use super::super::output::{Output, table};
use super::super::profile::Profile;
use super::super::session::Session;
use super::file::{self, Declared};
use crate::domain::user::Provider;
use crate::protocol::organizations::Page;
use crate::protocol::providers::{
    ProviderAction, ProviderApplied, ProviderPlan, ProviderView, SecretChange,
};

/// Declares the identity providers that people log in through
#[derive(Debug, Args)]
pub(in crate::cli) struct ProviderArgs {
    #[command(subcommand)]
    command: ProviderCommand,
}

#[derive(Debug, Subcommand)]
enum ProviderCommand {
    /// Shows what applying a file of providers would change, or how it has drifted from the
    /// authority
    #[command(after_help = "\
Examples:
  doorward provider plan providers.yaml
  doorward provider plan /etc/doorward/authority.toml   # its [providers.…] beside what is live")]
    Plan {
        /// The providers: .json, .yaml or .toml; - reads JSON from standard input
        file: PathBuf,
    },
    /// Applies a file of providers, bound to the plans that were shown
    #[command(after_help = "\
Examples:
  doorward provider apply providers.yaml
  CORP_SECRET=… doorward provider apply providers.yaml --yes
  vault read -field=secret kv/corp | doorward provider apply corp.yaml --yes

The file has the form of the authority's configuration:
  providers:
    corp:
      kind: oidc
      issuer: https://login.corp.example
      client_id: doorward
      client_secret_file: corp.secret     # beside this file; - is standard input
      # client_secret_env: CORP_SECRET    # or from a variable; with neither it stays as it is")]
    Apply {
        /// The providers: .json, .yaml or .toml; - reads JSON from standard input
        file: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Lists providers: whether they are active, where they come from, how they have drifted
    List,
    /// Shows one provider, with the redirect URI to register there; never its secret
    #[command(after_help = "\
Examples:
  doorward provider show corp
  doorward provider show corp --json | jq -r .redirect_uri")]
    Show {
        /// The provider's name
        provider: Provider,
    },
    /// Lets nobody log in through a provider any more, until it is applied again
    #[command(after_help = "\
Examples:
  doorward provider retire corp

Accounts that are known by it stay, and are theirs again once it is applied again. Sessions go on
until they end; `doorward user sign-out` ends those of one person.")]
    Retire {
        /// The provider's name
        provider: Provider,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(in crate::cli) async fn run(
    args: &ProviderArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        ProviderCommand::Plan { file } => {
            let declared = file::load(file)?;
            let session = Session::open(profile).await?;
            let plans = plans(&session, &declared).await?;
            output.show(&plans, |plans| human(plans));
        }
        ProviderCommand::Apply { file, yes } => apply(file, *yes, profile, output).await?,
        ProviderCommand::List => list(profile, output).await?,
        ProviderCommand::Show { provider } => {
            let session = Session::open(profile).await?;
            output.show(&view(&session, provider).await?, shown);
        }
        ProviderCommand::Retire { provider, yes } => {
            retire(provider, *yes, profile, output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(provider: &Provider) -> String {
    format!("/v1/providers/{}", segment(provider.as_str()))
}

async fn view(session: &Session, provider: &Provider) -> Result<ProviderView, CliError> {
    session
        .json(Method::GET, &path(provider), None::<&()>)
        .await
}

async fn plans(session: &Session, declared: &[Declared]) -> Result<Vec<ProviderPlan>, CliError> {
    let mut plans = Vec::with_capacity(declared.len());
    for one in declared {
        let path = format!("{}?dry_run=true", path(&one.provider));
        let plan = session.json(Method::PUT, &path, Some(&one.body()?)).await;
        plans.push(plan.map_err(|error| error.about(one.provider.as_str()))?);
    }
    Ok(plans)
}

fn human(plans: &[ProviderPlan]) -> String {
    let mut text = String::new();
    for plan in plans {
        let word = match plan.action {
            ProviderAction::Create => "create",
            ProviderAction::Update if plan.owner.is_some() => "differs",
            ProviderAction::Update => "update",
            ProviderAction::None => "unchanged",
        };
        let _ = writeln!(text, "{word}: {}", plan.provider.as_str());
        if plan.owner.is_some() {
            let _ = writeln!(
                text,
                "  it comes from the configuration and is changed there"
            );
        }
        for change in &plan.changes {
            let _ = writeln!(text, "  {change}");
        }
        match plan.client_secret {
            SecretChange::Kept => {}
            SecretChange::Set => {
                let _ = writeln!(text, "  client_secret: will be set");
            }
            SecretChange::Removed => {
                let _ = writeln!(text, "  client_secret: will be taken away");
            }
        }
    }
    text.trim_end().to_owned()
}

async fn apply(file: &Path, yes: bool, profile: &Profile, output: Output) -> Result<(), CliError> {
    let declared = file::load(file)?;
    let session = Session::open(profile).await?;
    let plans = plans(&session, &declared).await?;
    output.note(&human(&plans));
    let changing = || {
        plans
            .iter()
            .filter(|plan| plan.action != ProviderAction::None)
    };
    let owned: Vec<String> = changing()
        .filter(|plan| plan.owner.is_some())
        .map(|plan| format!("/providers/{}", plan.provider.as_str()))
        .collect();
    if !owned.is_empty() {
        return Err(CliError::usage(
            "providers of the configuration are changed there, nothing was changed",
        )
        .details(owned)
        .fix("change the authority's configuration and start it again"));
    }
    if changing().next().is_some() && !yes && !output.confirm("apply these plans?", "--yes")? {
        output.note("nothing was changed");
        return Ok(());
    }
    let mut applied: Vec<ProviderApplied> = Vec::with_capacity(plans.len());
    for (plan, one) in plans.iter().zip(&declared) {
        let path = format!("{}?plan={}", path(&one.provider), plan.plan_hash);
        match session.json(Method::PUT, &path, Some(&one.body()?)).await {
            Ok(done) => applied.push(done),
            Err(error) => {
                output.show(&applied, |applied| done(applied));
                return Err(error.about(one.provider.as_str()));
            }
        }
    }
    output.show(&applied, |applied| done(applied));
    Ok(())
}

fn done(applied: &[ProviderApplied]) -> String {
    let mut text = String::new();
    for one in applied {
        let word = match one.plan.action {
            ProviderAction::Create => "created",
            ProviderAction::Update => "updated",
            ProviderAction::None => "unchanged",
        };
        let _ = writeln!(text, "{word}: {}", one.plan.provider.as_str());
        if one.plan.action == ProviderAction::Create {
            let _ = writeln!(
                text,
                "  redirect URI to register there: {}",
                one.redirect_uri
            );
        }
    }
    text.trim_end().to_owned()
}

async fn list(profile: &Profile, output: Output) -> Result<(), CliError> {
    let session = Session::open(profile).await?;
    let page: Page<ProviderView> = session
        .json(Method::GET, "/v1/providers", None::<&()>)
        .await?;
    output.show(&page, |page| {
        if page.items.is_empty() {
            return "no providers: nobody can log in".to_owned();
        }
        let rows: Vec<Vec<String>> = page
            .items
            .iter()
            .map(|view| {
                vec![
                    view.provider.as_str().to_owned(),
                    view.declaration.kind.to_string(),
                    view.state.clone(),
                    view.source.to_string(),
                    view.declaration.name.clone().unwrap_or_default(),
                    view.declaration.issuer.clone().unwrap_or_default(),
                ]
            })
            .collect();
        let mut text = table(
            &["PROVIDER", "KIND", "STATE", "SOURCE", "NAME", "ISSUER"],
            &rows,
        );
        for view in &page.items {
            if let Some(drift) = &view.drift {
                let _ = write!(text, "\ndrift: {}: {drift}", view.provider.as_str());
            }
        }
        text
    });
    Ok(())
}

fn shown(view: &ProviderView) -> String {
    let provider = view.provider.as_str();
    let mut text = format!("{provider}  {}  from {}", view.state, view.source);
    if let Some(drift) = &view.drift {
        let _ = write!(text, "\ndrift: {drift}");
    }
    let _ = write!(text, "\n  redirect URI: {}", view.redirect_uri);
    if let Some(accounts) = view.accounts {
        let _ = write!(text, "\n  accounts: {accounts}");
    }
    let secret = if view.has_secret { "set" } else { "none" };
    let _ = write!(text, "\n  client_secret: {secret}");
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(&view.declaration) {
        for (field, value) in fields {
            let _ = write!(text, "\n  {field}: {value}");
        }
    }
    text
}

async fn retire(
    provider: &Provider,
    yes: bool,
    profile: &Profile,
    output: Output,
) -> Result<(), CliError> {
    let session = Session::open(profile).await?;
    if !yes {
        let view = view(&session, provider).await?;
        let question = format!(
            "let nobody log in through `{}` any more? {} accounts are known by it; they stay, and \
             sessions go on until they end",
            provider.as_str(),
            view.accounts.unwrap_or_default(),
        );
        if !output.confirm(&question, "--yes")? {
            output.note("nothing was changed");
            return Ok(());
        }
    }
    let retired: ProviderView = session
        .json(Method::DELETE, &path(provider), None::<&()>)
        .await?;
    output.show(&retired, |view| {
        format!("retired: {}", view.provider.as_str())
    });
    Ok(())
}
