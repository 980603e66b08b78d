//! `doorward invite`: invitations to an organization, by link.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;

use super::error::CliError;
use super::http::segment;
use super::org::{self, ListArgs, done, more};
use super::output::{Output, table};
use super::profile::Profile;
use super::session::Session;
use crate::domain::user::EmailAddress;
use crate::domain::{InvitationId, RoleKey};
use crate::protocol::invitations::{CreateInvitation, CreatedInvitation, InvitationView};
use crate::protocol::organizations::Page;

/// Invites people to an organization by link; lists and revokes invitations
#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    #[command(subcommand)]
    command: InviteCommand,
}

#[derive(Debug, Subcommand)]
enum InviteCommand {
    /// Makes an invitation and prints its link, once
    #[command(after_help = "\
Examples:
  doorward invite create acme documents/reader
  doorward invite create acme auth/admin --email ada@example.com --days 1

Whoever follows the link and logs in becomes a member with the role, once. With --email only a user
whose identity provider has verified that address may accept.")]
    Create(CreateArgs),
    /// Lists an organization's open invitations
    List {
        /// The organization: id or slug
        organization: String,
        #[command(flatten)]
        page: ListArgs,
    },
    /// Takes an invitation back
    #[command(after_help = "\
Examples:
  doorward invite revoke acme 0198c0de-0000-7000-8000-000000000001")]
    Revoke {
        /// The organization: id or slug
        organization: String,
        /// The invitation's id
        invitation: InvitationId,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// The organization: id or slug
    organization: String,
    /// What the invited will hold: service/name
    role: RoleKey,
    /// Only a user with this verified address may accept
    #[arg(long)]
    email: Option<EmailAddress>,
    /// How many days it is open
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=30))]
    days: u32,
}

pub(super) async fn run(
    args: &InviteArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        InviteCommand::Create(args) => create(args, profile, output).await?,
        InviteCommand::List { organization, page } => {
            list(organization, page, profile, output).await?;
        }
        InviteCommand::Revoke {
            organization,
            invitation,
        } => {
            let session = Session::open(profile).await?;
            let path = format!(
                "{}/{}",
                invitations(organization),
                segment(&invitation.to_string())
            );
            let freshness = session.change(Method::DELETE, &path, None::<&()>).await?;
            output.show(&serde_json::json!({ "freshness": freshness }), |_| {
                done("revoked", freshness)
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn invitations(organization: &str) -> String {
    format!("{}/invitations", org::path(organization))
}

async fn create(args: &CreateArgs, profile: &Profile, output: Output) -> Result<(), CliError> {
    let body = CreateInvitation {
        role: args.role.clone(),
        email: args.email.clone(),
        expires_in_seconds: Some(args.days * 24 * 60 * 60),
    };
    let session = Session::open(profile).await?;
    let path = invitations(&args.organization);
    let made: CreatedInvitation = session.json(Method::POST, &path, Some(&body)).await?;
    output.show(&made, |made| {
        format!(
            "{}\n  invitation {}, open until {}\n  the link is shown this once",
            made.link, made.invitation.id, made.invitation.expires_at
        )
    });
    Ok(())
}

async fn list(
    organization: &str,
    page: &ListArgs,
    profile: &Profile,
    output: Output,
) -> Result<(), CliError> {
    let session = Session::open(profile).await?;
    let path = format!("{}{}", invitations(organization), page.query());
    let page: Page<InvitationView> = session.json(Method::GET, &path, None::<&()>).await?;
    output.show(&page, |page| {
        let rows: Vec<Vec<String>> = page
            .items
            .iter()
            .map(|item| {
                vec![
                    item.id.to_string(),
                    item.role.to_string(),
                    item.email.clone().unwrap_or_default(),
                    item.invited_by.clone(),
                    item.expires_at.to_string(),
                ]
            })
            .collect();
        table(&["INVITATION", "ROLE", "E-MAIL", "BY", "OPEN UNTIL"], &rows)
    });
    more(output, page.next.as_deref());
    Ok(())
}
