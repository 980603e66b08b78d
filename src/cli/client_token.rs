//! `doorward client token`: initial access tokens, by which clients register themselves.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;

use super::error::CliError;
use super::http::segment;
use super::org::{ListArgs, done, more};
use super::output::{Output, table};
use super::profile::Profile;
use super::session::Session;
use crate::domain::app::{GrantType, GrantTypes};
use crate::domain::registration::{HostPattern, RegistrationPolicy};
use crate::domain::{RegistrationTokenId, Scopes};
use crate::protocol::organizations::Page;
use crate::protocol::registration_tokens::{
    CreateRegistrationToken, CreatedRegistrationToken, RegistrationTokenView,
};

const DAY: u32 = 24 * 60 * 60;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and prints it, once
    #[command(after_help = "\
Examples:
  doorward client token create partners --redirect-host partner.example --uses 5
  doorward client token create desk-tools --loopback --scheme com.example.desk --days 30
  doorward client token create ci --redirect-host '*.preview.example' --scope 'openid billing:read'

A client that registers with it may be sent back only where the token says, asks its users for no more
than its scopes, and always asks them for consent. Registration has to be on in the authority's
configuration: [registration] dynamic = true.")]
    Create(CreateArgs),
    /// Lists the tokens that have not expired
    List(ListArgs),
    /// Takes a token back; clients that registered with it stay
    #[command(after_help = "\
Examples:
  doorward client token revoke 0198c0de-0000-7000-8000-000000000001")]
    Revoke {
        /// The token's id
        token: RegistrationTokenId,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// A name for people
    name: String,
    /// How many clients may register with it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    uses: u32,
    /// How many days it works
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    /// A host that clients may be sent back to: app.example, *.app.example or *; may be repeated
    #[arg(long, value_name = "HOST")]
    redirect_host: Vec<HostPattern>,
    /// Clients may be sent back to the person's own machine, over http
    #[arg(long)]
    loopback: bool,
    /// A scheme of its own that a native app may have: com.example.app; may be repeated
    #[arg(long, value_name = "SCHEME")]
    scheme: Vec<String>,
    /// A grant type that clients may have; may be repeated; codes and refresh tokens if absent
    #[arg(long, value_name = "TYPE")]
    grant_type: Vec<GrantType>,
    /// The most that clients may ask their users for
    #[arg(long, default_value = "openid profile email", value_parser = Scopes::parse)]
    scope: Scopes,
    /// An audience that clients may ask for; may be repeated
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// For how many days a client stays when nobody logs in through it
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    client_days: u32,
}

impl CreateArgs {
    fn body(&self) -> CreateRegistrationToken {
        let default = RegistrationPolicy::default();
        let grants: GrantTypes = self.grant_type.iter().copied().collect();
        CreateRegistrationToken {
            name: self.name.clone(),
            uses: Some(self.uses),
            expires_in_seconds: Some(self.days * DAY),
            policy: RegistrationPolicy {
                redirect_hosts: self.redirect_host.clone(),
                loopback: self.loopback,
                redirect_schemes: self.scheme.clone(),
                grant_types: if grants.is_empty() {
                    default.grant_types
                } else {
                    grants
                },
                scope: self.scope.clone(),
                resources: self.resource.clone(),
                client_lifetime_seconds: self.client_days * DAY,
            },
        }
    }
}

pub(super) async fn run(
    command: &TokenCommand,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    let session = Session::open(profile).await?;
    match command {
        TokenCommand::Create(args) => {
            let made: CreatedRegistrationToken = session
                .json(Method::POST, TOKENS, Some(&args.body()))
                .await?;
            output.show(&made, |made| {
                format!(
                    "{}\n  token {}, works until {}\n  it is shown this once",
                    made.token, made.view.id, made.view.expires_at
                )
            });
        }
        TokenCommand::List(page) => {
            let path = format!("{TOKENS}{}", page.query());
            let page: Page<RegistrationTokenView> =
                session.json(Method::GET, &path, None::<&()>).await?;
            output.show(&page, |page| list(&page.items));
            more(output, page.next.as_deref());
        }
        TokenCommand::Revoke { token } => {
            let path = format!("{TOKENS}/{}", segment(&token.to_string()));
            let freshness = session.change(Method::DELETE, &path, None::<&()>).await?;
            output.show(&serde_json::json!({ "freshness": freshness }), |_| {
                done("revoked", freshness)
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

const TOKENS: &str = "/v1/registration-tokens";

fn list(tokens: &[RegistrationTokenView]) -> String {
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            vec![
                token.id.to_string(),
                token.name.clone(),
                token.uses_left.to_string(),
                token
                    .policy
                    .as_ref()
                    .map_or_else(String::new, |policy| policy.scope.to_string()),
                token.expires_at.to_string(),
            ]
        })
        .collect();
    table(&["TOKEN", "NAME", "USES LEFT", "SCOPE", "UNTIL"], &rows)
}
