//! The decision engine as a library: no daemon, no store, no network.
//!
//! A manifest is read, compiled to Cedar, and asked; a hand-written policy then forbids something
//! that the roles would allow.
//!
//! ```sh
//! cargo run --example embed_engine
//! ```
#![allow(
    clippy::print_stdout,
    reason = "an example talks to the person who runs it"
)]

use std::sync::Arc;

use anyhow::Context;
use doorward::domain::{OrganizationId, PermissionId, RoleId, RoleKey, UserId};
use doorward::policy::{
    Attributes, CustomPolicies, Engine, PolicyFacts, Question, Resource, RoleSets, Verdict,
};
use doorward::protocol::manifest;

const MANIFEST: &str = r#"{
  "service": "notes",
  "permissions": { "note": { "read": "See notes", "write": "Write notes" } },
  "roles": {
    "reader": { "permissions": ["note:read"] },
    "writer": { "permissions": ["note:*"] }
  }
}"#;

const CLOSED: &str = r#"
@id("closed")
@reason("notes are closed for the night")
forbid (principal, action == Action::"notes:note:write", resource);
"#;

fn main() -> anyhow::Result<()> {
    let facts = facts()?;
    let sets = Arc::new(RoleSets::new(1024));

    // Roles alone: the answer depends on (set of roles, action) and is remembered.
    let engine = Engine::build(&facts, &CustomPolicies::none(), Arc::clone(&sets))?;
    let reader = sets
        .intern(&roles(&facts, &["reader"]))
        .context("there is room for a set")?;
    for action in ["read", "write"] {
        let index = engine
            .action("notes:note", action)
            .context("the manifest declares it")?;
        println!("a reader may {action}: {:?}", engine.decide(reader, index));
    }

    // With a policy that may match, that action is asked of Cedar each time, with the whole request.
    let files = vec![("closed.cedar".to_owned(), CLOSED.to_owned())];
    let custom = CustomPolicies::load(files, Attributes::default(), &facts)?;
    let engine = Engine::build(&facts, &custom, Arc::clone(&sets))?;
    let held = roles(&facts, &["writer"]);
    let writer = sets.intern(&held).context("there is room for a set")?;
    let write = engine
        .action("notes:note", "write")
        .context("the manifest declares it")?;
    assert_eq!(engine.decide(writer, write), Verdict::Depends);
    let question = Question {
        organization: OrganizationId::from_u128(1),
        user: UserId::from_u128(2),
        roles: &held,
        action: write,
        resource: Resource {
            resource_type: "notes:note",
            id: "note-7",
            organization: None,
            properties: None,
        },
        subject_properties: None,
        action_properties: None,
        context: None,
        now: None,
    };
    let explanation = engine.explain(&question);
    println!("a writer may write: {}", explanation.allowed);
    println!("{}", explanation.summary);
    Ok(())
}

/// What the engine is built from. A sidecar reads it from its copy; here ids are made up.
fn facts() -> anyhow::Result<PolicyFacts> {
    let manifest = manifest::from_json(MANIFEST.as_bytes(), None)?;
    let mut facts = PolicyFacts::default();
    for (number, key) in manifest.declared.permissions.keys().enumerate() {
        let id = PermissionId::from_u128(number as u128);
        facts.permissions.push((id, key.clone()));
    }
    for (number, (name, role)) in manifest.declared.roles.iter().enumerate() {
        let id = RoleId::from_u128(number as u128);
        let key = RoleKey {
            service: manifest.service.clone(),
            name: name.clone(),
        };
        facts.roles.push((id, key));
        for (permission, key) in &facts.permissions {
            if role.permissions.contains(key) {
                facts.grants.push((id, *permission));
            }
        }
    }
    Ok(facts)
}

fn roles(facts: &PolicyFacts, names: &[&str]) -> Vec<RoleId> {
    facts
        .roles
        .iter()
        .filter(|(_, key)| names.contains(&key.name.as_str()))
        .map(|(id, _)| *id)
        .collect()
}
