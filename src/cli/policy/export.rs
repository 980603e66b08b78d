//! `doorward policy export`: the policies that the live manifests compile to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use super::super::error::CliError;
use super::super::http::segment;
use super::super::output::Output;
use super::super::profile::Profile;
use super::super::session::Session;
use crate::domain::{PermissionId, PermissionKey, RoleId, ServiceName};
use crate::policy::compile::PolicyFacts;
use crate::policy::custom::CustomPolicies;
use crate::policy::engine::Engine;
use crate::policy::export::Export;
use crate::policy::role_sets::RoleSets;
use crate::protocol::manifest::{Page, PermissionView, RoleView, ServiceView};
use crate::runtime::chain;
use crate::sidecar::app::load_policies;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// What to print; everything as one document with --json
    #[arg(long, value_enum, default_value_t = Part::Policies)]
    part: Part,
    /// Write policies.cedar, schema.cedarschema and entities.json to this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "part")]
    out: Option<PathBuf>,
    /// Directory of hand-written policies to include
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Policies,
    Schema,
    Entities,
}

pub(super) async fn run(
    args: &ExportArgs,
    profile: &Profile,
    output: Output,
) -> Result<ExitCode, CliError> {
    let custom = match &args.policies {
        Some(folder) => load_policies(folder).map_err(|error| CliError::usage(chain(&error)))?,
        None => CustomPolicies::none(),
    };
    let session = Session::open(profile).await?;
    let facts = facts(&session, output).await?;
    let engine = Engine::build(&facts, &custom, Arc::new(RoleSets::new(1)))
        .map_err(|error| CliError::local(chain(&error)))?;
    let export = engine.export();
    let entities = serde_json::to_string_pretty(&export.entities)
        .map_err(|error| CliError::local(format!("the entities are no JSON: {error}")))?;
    if let Some(folder) = &args.out {
        write(folder, &export, &entities)?;
        output.note(&format!("wrote three files to {}", folder.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let document = json!({
        "policies": export.policies,
        "schema": export.schema,
        "entities": export.entities,
    });
    output.show(&document, |_| match args.part {
        Part::Policies => export.policies.clone(),
        Part::Schema => export.schema.clone(),
        Part::Entities => entities.clone(),
    });
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, export: &Export, entities: &str) -> Result<(), CliError> {
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::local(format!("{} cannot be written: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, text) in [
        ("policies.cedar", export.policies.as_str()),
        ("schema.cedarschema", export.schema.as_str()),
        ("entities.json", entities),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// Everything that policies are compiled from. Ids only tie the lists together, so any will do.
async fn facts(session: &Session, output: Output) -> Result<PolicyFacts, CliError> {
    let services: Vec<ServiceView> = pages(session, "/v1/services").await?;
    let bar = output.progress("services", services.len() as u64);
    let mut facts = PolicyFacts::default();
    let mut ids: HashMap<PermissionKey, PermissionId> = HashMap::new();
    let mut roles = Vec::new();
    for service in &services {
        for permission in of::<PermissionView>(session, &service.service, "permissions").await? {
            let id = PermissionId::from_uuid(numbered(ids.len()));
            ids.insert(permission.permission.clone(), id);
            facts.permissions.push((id, permission.permission));
        }
        roles.extend(of::<RoleView>(session, &service.service, "roles").await?);
        bar.inc(1);
    }
    for (number, role) in roles.into_iter().enumerate() {
        let id = RoleId::from_uuid(numbered(number));
        facts.roles.push((id, role.role));
        let granted = role.permissions.iter().filter_map(|key| ids.get(key));
        facts
            .grants
            .extend(granted.map(|permission| (id, *permission)));
    }
    Ok(facts)
}

fn numbered(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

async fn of<T: DeserializeOwned>(
    session: &Session,
    service: &ServiceName,
    what: &str,
) -> Result<Vec<T>, CliError> {
    let path = format!("/v1/services/{}/{what}", segment(service.as_str()));
    pages(session, &path).await
}

pub(super) async fn pages<T: DeserializeOwned>(
    session: &Session,
    path: &str,
) -> Result<Vec<T>, CliError> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", "200");
        if let Some(after) = &after {
            query.append_pair("after", after);
        }
        let path = format!("{path}?{}", query.finish());
        let page: Page<T> = session.json(Method::GET, &path, None::<&()>).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}
