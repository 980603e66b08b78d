//! `doorward user`: people, found and kept by operators.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::error::CliError;
use super::org::{ListArgs, more};
use super::output::{Output, table};
use super::profile::Profile;
use super::session::Session;
use crate::protocol::organizations::{Changed, Page, UserView};

/// Finds, suspends, restores, signs out, exports and erases users
#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Lists users, or finds some by id, address or name
    #[command(after_help = "\
Examples:
  doorward user list
  doorward user list --search ada@
  doorward user list --search 0198c0de-0000-7000-8000-000000000001")]
    List {
        /// A user's id, or what an address or a name begins with
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        page: ListArgs,
    },
    /// Shows one user
    Show(WhoArgs),
    /// Denies a user everything, at once, until restored
    #[command(after_help = "\
Examples:
  doorward user suspend alice

Every check of the user is denied and every token refused, at the sidecars too.")]
    Suspend(WhoArgs),
    /// Lets a suspended user act again
    #[command(after_help = "\
Examples:
  doorward user restore alice

The user has to log in again: what was signed out stays so.")]
    Restore(WhoArgs),
    /// Signs a user out everywhere: sessions, apps and every token
    #[command(after_help = "\
Examples:
  doorward user sign-out alice")]
    SignOut(WhoArgs),
    /// Prints everything held on a user as JSON; it is audited
    #[command(after_help = "\
Examples:
  doorward user export alice > alice.json")]
    Export(WhoArgs),
    /// Erases a user's personal data, for good; the id and the audit log stay
    #[command(after_help = "\
Examples:
  doorward user export alice > alice.json
  doorward user erase alice --yes

Accounts, sessions, grants, consents and memberships go; name and address are replaced. The last
owner of an organization is not erased: make another member an owner first.")]
    Erase {
        #[command(flatten)]
        who: WhoArgs,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct WhoArgs {
    /// The user: id, or a short name of the profile
    user: String,
}

pub(super) async fn run(
    args: &UserArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    match &args.command {
        UserCommand::List { search, page } => {
            list(search.as_deref(), page, profile, output).await?;
        }
        UserCommand::Show(who) => {
            let path = path(who, profile)?;
            let session = Session::open(profile).await?;
            let user: UserView = session.json(Method::GET, &path, None::<&()>).await?;
            output.show(&user, human);
        }
        UserCommand::Suspend(who) => act(who, "suspend", profile, output).await?,
        UserCommand::Restore(who) => act(who, "restore", profile, output).await?,
        UserCommand::SignOut(who) => act(who, "sign-out", profile, output).await?,
        UserCommand::Export(who) => {
            let path = format!("{}/export", path(who, profile)?);
            let session = Session::open(profile).await?;
            let export: Value = session.json(Method::POST, &path, None::<&()>).await?;
            output.show(&export, |export| format!("{export:#}"));
        }
        UserCommand::Erase { who, yes } => {
            let path = path(who, profile)?;
            let question = format!("Erase everything held on user `{}`, for good?", who.user);
            if !yes && !output.confirm(&question, "--yes")? {
                output.note("nothing was changed");
                return Ok(ExitCode::SUCCESS);
            }
            let session = Session::open(profile).await?;
            let erased = session.json(Method::DELETE, &path, None::<&()>).await?;
            show(&erased, output);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(who: &WhoArgs, profile: &Profile) -> Result<String, CliError> {
    Ok(format!("/v1/users/{}", profile.user(&who.user)?))
}

async fn act(who: &WhoArgs, what: &str, profile: &Profile, output: Output) -> Result<(), CliError> {
    let path = format!("{}/{what}", path(who, profile)?);
    let session = Session::open(profile).await?;
    let user = session.json(Method::POST, &path, None::<&()>).await?;
    show(&user, output);
    Ok(())
}

fn show(user: &Changed<UserView>, output: Output) {
    output.show(user, |user| {
        format!("{}\n  freshness {}", human(&user.view), user.freshness)
    });
}

fn human(user: &UserView) -> String {
    format!(
        "{}  {}  {}  {}\n  known since {}, changed {}",
        user.id, user.display_name, user.email, user.state, user.created_at, user.updated_at
    )
}

async fn list(
    search: Option<&str>,
    page: &ListArgs,
    profile: &Profile,
    output: Output,
) -> Result<(), CliError> {
    let session = Session::open(profile).await?;
    let mut path = format!("/v1/users{}", page.query());
    if let Some(search) = search {
        let pair = form_urlencoded::Serializer::new(String::new())
            .append_pair("search", search)
            .finish();
        path.push('&');
        path.push_str(&pair);
    }
    let page: Page<UserView> = session.json(Method::GET, &path, None::<&()>).await?;
    output.show(&page, |page| {
        let rows: Vec<Vec<String>> = page
            .items
            .iter()
            .map(|user| {
                vec![
                    user.id.to_string(),
                    profile.name_of(user.id).unwrap_or_default().to_owned(),
                    user.display_name.clone(),
                    user.email.clone(),
                    user.state.clone(),
                ]
            })
            .collect();
        table(&["USER", "SHORT", "NAME", "E-MAIL", "STATE"], &rows)
    });
    more(output, page.next.as_deref());
    Ok(())
}
