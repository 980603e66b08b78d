//! `doorward routes`: which rule of a routes file decides a request.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::output::Output;
use crate::protocol::forward_auth::{CanonicalPath, canonical_host};
use crate::sidecar::routes::{
    self, Access, Found, OrganizationSource, RouteTable, RoutesError, Unmatched,
};

/// Tries out a routes file
#[derive(Debug, Args)]
pub(super) struct RoutesArgs {
    #[command(subcommand)]
    command: RoutesCommand,
}

#[derive(Debug, Subcommand)]
enum RoutesCommand {
    /// Shows which route decides a request, and what it asks; exit code 1 if it is denied by all
    #[command(after_help = "\
Examples:
  doorward routes test --routes routes.toml https://app.example/me
  doorward routes test --routes routes.toml --method PUT https://app.example/orgs/acme/pages/1")]
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct TestArgs {
    /// The routes file, as the sidecar's `routes` names it
    #[arg(long, value_name = "FILE")]
    routes: PathBuf,
    /// The request's method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The request's URL, path encoded as a client sends it
    url: String,
}

pub(super) fn run(args: &RoutesArgs, output: Output) -> Result<ExitCode, CliError> {
    let RoutesCommand::Test(args) = &args.command;
    let table = routes::load(&args.routes).map_err(|error| refused(args, &error))?;
    let told = told(&table, &args.method, &args.url)?;
    output.show(&told, Told::words);
    Ok(if told.route.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn refused(args: &TestArgs, error: &RoutesError) -> CliError {
    let file = args.routes.display();
    match error {
        RoutesError::Mistakes(mistakes) => CliError::usage(format!("{file}: routes are refused"))
            .details(mistakes.iter().map(ToString::to_string)),
        RoutesError::File(error) => CliError::usage(format!("{error}: {}", error.source)),
        RoutesError::Syntax(_) => CliError::usage(format!("{file}: {error}")),
    }
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Told {
    /// The route that decides; nothing if the request is denied by all.
    route: Option<String>,
    /// The path after decoding.
    path: Option<String>,
    access: Option<String>,
    organization: Option<String>,
    resource_id: Option<String>,
    preflight: bool,
    why: String,
}

fn told(table: &RouteTable, method: &str, url: &str) -> Result<Told, CliError> {
    let (_, rest) = url.split_once("://").ok_or_else(|| {
        CliError::usage(format!("`{url}` is no URL")).fix("begin it with https:// and the host")
    })?;
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let target = if target.is_empty() { "/" } else { target };
    let host =
        canonical_host(host).map_err(|error| CliError::usage(format!("`{host}`: {error}")))?;
    let denied = |path: Option<&CanonicalPath<'_>>, why: String| Told {
        route: None,
        path: path.map(|path| path.as_str().to_owned()),
        access: None,
        organization: None,
        resource_id: None,
        preflight: false,
        why,
    };
    let path = match CanonicalPath::parse(target) {
        Ok(path) => path,
        Err(error) => return Ok(denied(None, format!("{error}, so it is refused"))),
    };
    Ok(match table.find(method, &host, &path) {
        Ok(found) => decided(&found, &path),
        Err(unmatched) => denied(Some(&path), unmatched_words(&unmatched, method, &host)),
    })
}

fn decided(found: &Found<'_, '_>, path: &CanonicalPath<'_>) -> Told {
    let (organization, resource_id, why) = match &found.route.access {
        Access::Public => (None, None, "everybody may".to_owned()),
        Access::SignedIn => (None, None, "every user with a valid token may".to_owned()),
        Access::Permission(wanted) => {
            let organization = match &wanted.organization {
                OrganizationSource::Capture(place) => {
                    place.value(path).unwrap_or_default().to_owned()
                }
                OrganizationSource::Subdomain => found.subdomain.unwrap_or_default().to_owned(),
                OrganizationSource::Header(name) => format!("(of the header {name})"),
                OrganizationSource::Claim => "(that the token is bound to)".to_owned(),
                OrganizationSource::Constant(text) => text.to_string(),
            };
            let id = wanted.resource_id.and_then(|place| place.value(path));
            let why = format!(
                "who has {} there, by roles and by the token's scopes, may",
                wanted.permission
            );
            (Some(organization), id.map(str::to_owned), why)
        }
    };
    Told {
        route: Some(found.route.name.to_string()),
        path: Some(path.as_str().to_owned()),
        access: Some(found.route.access.to_string()),
        organization,
        resource_id,
        preflight: found.route.preflight,
        why,
    }
}

fn unmatched_words(unmatched: &Unmatched, method: &str, host: &str) -> String {
    match unmatched {
        Unmatched::Host => format!("no route is for the host {host}"),
        Unmatched::Path => format!("no route for {host} fits the path"),
        Unmatched::Method(routes) => format!(
            "the most specific path that fits is of {}, and {method} is not listed there; less \
             specific routes do not count",
            routes.join(", ")
        ),
    }
}

impl Told {
    fn words(&self) -> String {
        let mut lines = vec![match &self.route {
            Some(route) => format!("route         {route}"),
            None => "denied".to_owned(),
        }];
        for (name, value) in [
            ("path", &self.path),
            ("access", &self.access),
            ("organization", &self.organization),
            ("resource id", &self.resource_id),
        ] {
            if let Some(value) = value {
                lines.push(format!("{name:<12}  {value}"));
            }
        }
        if self.preflight {
            lines.push("preflight     let through".to_owned());
        }
        lines.push(format!("why           {}", self.why));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(method: &str, url: &str) -> Told {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/proxies/routes.toml");
        let table = routes::load(std::path::Path::new(file)).unwrap();
        told(&table, method, url).unwrap()
    }

    #[test]
    fn the_route_that_decides_is_shown_with_what_it_asks_about() {
        let told = shown("PUT", "https://app.example/orgs/acme/pages/a/b%20c?x");
        assert_eq!(told.route.as_deref(), Some("write a page"));
        assert_eq!(told.organization.as_deref(), Some("acme"));
        assert_eq!(told.resource_id.as_deref(), Some("a/b c"));
        assert!(told.preflight && told.words().contains("docs:page:write"));
    }

    #[test]
    fn a_denial_says_at_which_step_nothing_fitted() {
        for (method, url, why) in [
            ("GET", "https://other.example/me", "host"),
            ("GET", "https://app.example/nothing", "path"),
            (
                "POST",
                "https://app.example/orgs/acme/pages/1",
                "write a page",
            ),
            ("GET", "https://app.example/a/../me", "dot segment"),
        ] {
            let told = shown(method, url);
            assert!(
                told.route.is_none() && told.why.contains(why),
                "{}",
                told.why
            );
        }
    }
}
