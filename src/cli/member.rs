//! `doorward member`: who belongs to an organization, with which roles.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;

use super::error::CliError;
use super::http::segment;
use super::org::{self, ListArgs, done, more};
use super::output::{Output, table};
use super::profile::Profile;
use super::session::Session;
use crate::domain::{RoleKey, UserId};
use crate::protocol::organizations::{AddMember, Changed, MemberView, Page, PutMember};

/// Lists, adds and removes members; gives and takes roles
#[derive(Debug, Args)]
pub(super) struct MemberArgs {
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// Lists an organization's members
    List {
        /// Id or slug
        organization: String,
        #[command(flatten)]
        page: ListArgs,
    },
    /// Adds a member with a primary role
    #[command(after_help = "\
Examples:
  doorward member add acme bob documents/reader")]
    Add(RoleArgs),
    /// Makes a user a member with this primary role, whether or not it was one
    Set(RoleArgs),
    /// Removes a member with all roles
    Remove(PlaceArgs),
    /// Gives a member a further role
    #[command(after_help = "\
Examples:
  doorward member grant acme alice billing/approver")]
    Grant(RoleArgs),
    /// Takes a role from a member
    #[command(after_help = "\
Examples:
  doorward member revoke acme alice billing/approver")]
    Revoke(RoleArgs),
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The organization: id or slug
    organization: String,
    /// The user: id, or a short name of the profile
    user: String,
}

#[derive(Debug, Args)]
struct RoleArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The role: service/name
    role: RoleKey,
}

pub(super) async fn run(
    args: &MemberArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        MemberCommand::List { organization, page } => {
            list(organization, page, profile, output).await?;
        }
        MemberCommand::Add(args) => {
            let user = profile.user(&args.place.user)?;
            let body = AddMember {
                user,
                role: args.role.clone(),
            };
            let session = Session::open(profile).await?;
            let path = members(&args.place.organization);
            let member = session.json(Method::POST, &path, Some(&body)).await?;
            show(&member, profile, output);
        }
        MemberCommand::Set(args) => {
            let user = profile.user(&args.place.user)?;
            let body = PutMember {
                user: None,
                role: args.role.clone(),
            };
            let session = Session::open(profile).await?;
            let path = member(&args.place.organization, user);
            let member = session.json(Method::PUT, &path, Some(&body)).await?;
            show(&member, profile, output);
        }
        MemberCommand::Remove(args) => {
            let user = profile.user(&args.user)?;
            let session = Session::open(profile).await?;
            let path = member(&args.organization, user);
            change(&session, Method::DELETE, &path, "removed", output).await?;
        }
        MemberCommand::Grant(args) => {
            let path = role(args, profile)?;
            let session = Session::open(profile).await?;
            change(&session, Method::PUT, &path, "granted", output).await?;
        }
        MemberCommand::Revoke(args) => {
            let path = role(args, profile)?;
            let session = Session::open(profile).await?;
            change(&session, Method::DELETE, &path, "revoked", output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn members(organization: &str) -> String {
    format!("{}/members", org::path(organization))
}

/// `/v1/organizations/{organization}/members/{user}`
pub(super) fn member(organization: &str, user: UserId) -> String {
    format!("{}/{user}", members(organization))
}

fn role(args: &RoleArgs, profile: &Profile) -> Result<String, CliError> {
    let user = profile.user(&args.place.user)?;
    Ok(format!(
        "{}/roles/{}/{}",
        member(&args.place.organization, user),
        segment(args.role.service.as_str()),
        segment(args.role.name.as_str())
    ))
}

async fn change(
    session: &Session,
    method: Method,
    path: &str,
    word: &str,
    output: Output,
) -> Result<(), CliError> {
    let freshness = session.change(method, path, None::<&()>).await?;
    output.show(&serde_json::json!({"freshness": freshness}), |_| {
        done(word, freshness)
    });
    Ok(())
}

fn show(member: &Changed<MemberView>, profile: &Profile, output: Output) {
    output.show(member, |member| {
        format!(
            "{}\n  freshness {}",
            row(&member.view, profile).join("  ").trim_end(),
            member.freshness
        )
    });
}

fn row(member: &MemberView, profile: &Profile) -> Vec<String> {
    let further: Vec<String> = member
        .further_roles
        .iter()
        .map(ToString::to_string)
        .collect();
    let short = profile.name_of(member.user).unwrap_or_default();
    vec![
        member.user.to_string(),
        short.to_owned(),
        member.display_name.clone(),
        member.role.to_string(),
        further.join(" "),
    ]
}

async fn list(
    organization: &str,
    page: &ListArgs,
    profile: &Profile,
    output: Output,
) -> Result<(), CliError> {
    let session = Session::open(profile).await?;
    let path = format!("{}{}", members(organization), page.query());
    let page: Page<MemberView> = session.json(Method::GET, &path, None::<&()>).await?;
    output.show(&page, |page| {
        let rows: Vec<Vec<String>> = page.items.iter().map(|item| row(item, profile)).collect();
        table(&["USER", "SHORT", "NAME", "ROLE", "FURTHER ROLES"], &rows)
    });
    more(output, page.next.as_deref());
    Ok(())
}
