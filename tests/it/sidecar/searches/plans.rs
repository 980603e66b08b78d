//! `POST /v1/plan`: where, and on which terms.

use doorward::policy::{Attributes, CustomPolicies};
use doorward::protocol::authzen::Target;
use serde_json::{Value, json};

use super::{page, whole};
use crate::sidecar::world::*;

fn plan(policies: &str, who: u128, action: &str) -> Vec<Value> {
    let world = World::with(Setup {
        custom: CustomPolicies::parse(
            vec![("site.cedar".to_owned(), policies.to_owned())],
            Attributes::parse(
                "attributes.toml",
                "[resources.\"docs:page\"]\nstate = \"String\"\n",
            )
            .unwrap(),
        )
        .unwrap(),
        ..Setup::default()
    });
    let mut body = question("acme", who, action);
    body["context"] = json!({});
    whole(&world, &mut world.worker(), Target::Plan, &body, 10).unwrap()
}

fn always(n: u128, slug: &str) -> Value {
    json!({"organization": organization(n).to_string(), "slug": slug, "decision": "always"})
}

#[test]
fn without_policies_a_plan_is_the_organizations_in_which_a_role_grants_it() {
    assert_eq!(
        plan("", 1, "read"),
        [always(1, "acme"), always(2, "globex")]
    );
    assert_eq!(plan("", 1, "write"), [always(1, "acme")]);
    assert!(plan("", 3, "read").is_empty());
}

#[test]
fn a_forbid_that_reads_the_resource_is_a_condition_in_its_own_words() {
    let policy = "@id(\"archived\") @reason(\"archived pages stay as they are\") forbid \
                  (principal, action == Action::\"docs:page:write\", resource) when { resource \
                  has state && resource.state == \"archived\" };";
    let found = plan(policy, 1, "write");
    assert_eq!(found[0]["decision"], "conditional");
    let conditions = &found[0]["conditions"];
    assert_eq!(conditions["granted"], true);
    assert_eq!(conditions["permits"], json!([]));
    let forbid = &conditions["forbids"][0];
    assert_eq!(forbid["policy"], "archived");
    assert_eq!(forbid["reason"], "archived pages stay as they are");
    let text = forbid["text"].as_str().unwrap();
    assert!(text.contains("resource.state == \"archived\""), "{text}");
    // Who may not write anywhere has nothing to list.
    assert!(plan(policy, 2, "write").is_empty());
}

#[test]
fn a_policy_for_others_is_no_condition_and_one_without_conditions_decides() {
    let globex = organization(2);
    let other = format!(
        "forbid (principal, action, resource in Organization::\"{globex}\"); forbid (principal in \
         Role::\"docs/nobody\", action, resource) when {{ resource has state }};"
    );
    assert_eq!(plan(&other, 1, "read"), [always(1, "acme")]);
    let permit = "permit (principal in Role::\"docs/reader\", action == \
                  Action::\"docs:page:write\", resource);";
    assert_eq!(
        plan(permit, 1, "write"),
        [always(1, "acme"), always(2, "globex")]
    );
}

#[test]
fn a_permit_that_reads_the_resource_is_a_condition_where_no_role_grants() {
    let permit = "@id(\"public\") permit (principal, action == Action::\"docs:page:publish\", \
                  resource) when { resource has state && resource.state == \"public\" };";
    let found = plan(permit, 2, "publish");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["conditions"]["granted"], false);
    assert_eq!(found[0]["conditions"]["permits"][0]["policy"], "public");
}

#[test]
fn a_suspended_user_has_no_plan() {
    let mut world = World::new();
    world.apply(vec![user_state(1, "suspended")]);
    let mut body = question("acme", 1, "read");
    body["context"] = json!({});
    let found = page(&world, &mut world.worker(), Target::Plan, &body).unwrap();
    assert_eq!(found["results"], json!([]));
}
