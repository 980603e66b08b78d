//! `doorward org`: organizations.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;

use super::error::CliError;
use super::http::segment;
use super::output::{Output, table};
use super::profile::Profile;
use super::session::Session;
use crate::domain::{FreshnessToken, OrganizationName, Slug};
use crate::protocol::organizations::{
    Changed, CreateOrganization, OrganizationView, Page, UpdateOrganization,
};

/// Lists, creates, renames and deletes organizations
#[derive(Debug, Args)]
pub(super) struct OrgArgs {
    #[command(subcommand)]
    command: OrgCommand,
}

#[derive(Debug, Subcommand)]
enum OrgCommand {
    /// Lists the organizations that the client may see
    List(ListArgs),
    /// Shows one organization
    Show {
        /// Id or slug
        organization: String,
    },
    /// Creates an organization with its owner
    #[command(after_help = "\
Examples:
  doorward org create acme --name \"Acme Ltd\" --owner alice")]
    Create(CreateArgs),
    /// Changes an organization's name or slug; old slugs stay reserved and redirect
    #[command(after_help = "\
Examples:
  doorward org rename acme --name \"Acme AG\"
  doorward org rename acme --slug acme-ag")]
    Rename(RenameArgs),
    /// Deletes an organization and its memberships
    Delete(DeleteArgs),
}

/// Which page of a list.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Rows to show
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Start after this one: what the page before said
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

impl ListArgs {
    /// `?limit=…&after=…`
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(after) = &self.after {
            query.append_pair("after", after);
        }
        format!("?{}", query.finish())
    }
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Its place in URLs
    slug: Slug,
    /// The name people see
    #[arg(long)]
    name: OrganizationName,
    /// Who owns it: a user's id, or a short name of the profile
    #[arg(long)]
    owner: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct RenameFields {
    /// The new name
    #[arg(long)]
    name: Option<OrganizationName>,
    /// The new slug
    #[arg(long)]
    slug: Option<Slug>,
}

#[derive(Debug, Args)]
struct RenameArgs {
    /// Id or slug
    organization: String,
    #[command(flatten)]
    fields: RenameFields,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// Id or slug
    organization: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(
    args: &OrgArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        OrgCommand::List(args) => list(args, profile, output).await?,
        OrgCommand::Show { organization } => {
            let session = Session::open(profile).await?;
            let shown: OrganizationView = session
                .json(Method::GET, &path(organization), None::<&()>)
                .await?;
            output.show(&shown, human);
        }
        OrgCommand::Create(args) => {
            let owner = profile.user(&args.owner)?;
            let body = CreateOrganization {
                name: args.name.clone(),
                slug: args.slug.clone(),
                owner: Some(owner),
            };
            let session = Session::open(profile).await?;
            let made: Changed<OrganizationView> = session
                .json(Method::POST, "/v1/organizations", Some(&body))
                .await?;
            output.show(&made, changed);
        }
        OrgCommand::Rename(args) => {
            let body = UpdateOrganization {
                name: args.fields.name.clone(),
                slug: args.fields.slug.clone(),
            };
            let session = Session::open(profile).await?;
            let renamed: Changed<OrganizationView> = session
                .json(Method::PATCH, &path(&args.organization), Some(&body))
                .await?;
            output.show(&renamed, changed);
        }
        OrgCommand::Delete(args) => delete(args, profile, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `/v1/organizations/{organization}`
pub(super) fn path(organization: &str) -> String {
    format!("/v1/organizations/{}", segment(organization))
}

async fn list(args: &ListArgs, profile: &Profile, output: Output) -> Result<(), CliError> {
    let session = Session::open(profile).await?;
    let path = format!("/v1/organizations{}", args.query());
    let page: Page<OrganizationView> = session.json(Method::GET, &path, None::<&()>).await?;
    output.show(&page, |page| {
        let rows: Vec<Vec<String>> = page
            .items
            .iter()
            .map(|item| {
                vec![
                    item.slug.to_string(),
                    item.name.to_string(),
                    item.id.to_string(),
                ]
            })
            .collect();
        table(&["SLUG", "NAME", "ID"], &rows)
    });
    more(output, page.next.as_deref());
    Ok(())
}

/// Tells how to get the next page.
pub(super) fn more(output: Output, next: Option<&str>) {
    if let Some(next) = next {
        output.note(&format!("more: --after {next}"));
    }
}

async fn delete(args: &DeleteArgs, profile: &Profile, output: Output) -> Result<(), CliError> {
    let question = format!(
        "delete organization `{}` with all its memberships?",
        args.organization
    );
    if !args.yes && !output.confirm(&question, "--yes")? {
        output.note("nothing was changed");
        return Ok(());
    }
    let session = Session::open(profile).await?;
    let freshness = session
        .change(Method::DELETE, &path(&args.organization), None::<&()>)
        .await?;
    output.show(&serde_json::json!({"freshness": freshness}), |_| {
        done("deleted", freshness)
    });
    Ok(())
}

/// `deleted  freshness dw1…`
pub(super) fn done(word: &str, freshness: Option<FreshnessToken>) -> String {
    match freshness {
        Some(token) => format!("{word}  freshness {token}"),
        None => word.to_owned(),
    }
}

fn human(view: &OrganizationView) -> String {
    format!(
        "{}  {}\n  id {}\n  since {}",
        view.slug, view.name, view.id, view.created_at
    )
}

fn changed(change: &Changed<OrganizationView>) -> String {
    format!("{}\n  freshness {}", human(&change.view), change.freshness)
}
