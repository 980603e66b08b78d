//! The whole story: from a manifest to a decision, and on without the authority.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::world::Stack;

const INVOICES: &str = "billing:invoice:write";

fn allows(answer: &Value) -> bool {
    answer["decision"] == true
}

fn denies(answer: &Value) -> bool {
    answer["decision"] == false
}

fn staleness_ms(answer: &Value) -> Option<u64> {
    answer["context"]["staleness_ms"].as_u64()
}

/// A service with one role, an organization, a member without that role.
async fn furnish(stack: &Stack) -> String {
    let manifest = json!({
        "service": "billing",
        "permissions": {"invoice": {"read": "See", "write": "Write"}},
        "roles": {
            "viewer": {"permissions": ["invoice:read"]},
            "editor": {"permissions": ["invoice:*"]},
        },
    });
    let path = "/v1/services/billing/manifest";
    stack.operator(Method::PUT, path, manifest).await;
    let mut ids = Vec::new();
    for name in ["Olga Owner", "Mara Member"] {
        let body = json!({"display_name": name});
        let made = stack.operator(Method::POST, "/v1/users", body).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let body = json!({"name": "Acme", "slug": "acme", "owner": ids[0]});
    stack
        .operator(Method::POST, "/v1/organizations", body)
        .await;
    let body = json!({"user": ids[1], "role": "billing/viewer"});
    let members = "/v1/organizations/acme/members";
    stack.operator(Method::POST, members, body).await;
    ids.remove(1)
}

fn role(user: &str) -> String {
    format!("/v1/organizations/acme/members/{user}/roles/billing/editor")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_given_allows_and_a_role_taken_denies() {
    let stack = Stack::start().await;
    let user = furnish(&stack).await;
    stack.ask_until(&user, "billing:invoice:read", allows).await;
    assert!(denies(&stack.ask(&user, "acme", INVOICES).await));

    stack.operator(Method::PUT, &role(&user), Value::Null).await;
    let allowed = stack.ask_until(&user, INVOICES, allows).await;

    stack
        .operator(Method::DELETE, &role(&user), Value::Null)
        .await;
    let denied = stack.ask_until(&user, INVOICES, denies).await;
    assert!(denied["context"]["revision"].as_u64() > allowed["context"]["revision"].as_u64());
    assert!(allows(
        &stack.ask(&user, "acme", "billing:invoice:read").await
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_counts_where_its_service_registered_it() {
    let stack = Stack::start().await;
    let user = furnish(&stack).await;
    let read = "billing:invoice:read";
    stack.ask_until(&user, read, allows).await;
    let body = json!({"name": "Globex", "slug": "globex", "owner": user});
    stack
        .operator(Method::POST, "/v1/organizations", body)
        .await;
    let resources = "/v1/services/billing/resources";
    let put = |organization: &str| json!({"put": [{"type": "invoice", "id": "1", "organization": organization}]});
    stack.operator(Method::PUT, resources, put("globex")).await;
    let denied = stack.ask_until(&user, read, denies).await;
    assert_eq!(denied["context"]["reason"]["code"], "resource_elsewhere");

    stack.operator(Method::PUT, resources, put("acme")).await;
    stack.ask_until(&user, read, allows).await;
    stack.operator(Method::PUT, resources, put("globex")).await;
    stack.ask_until(&user, read, denies).await;
    // With the organization go its instances: the type is as it was before.
    stack
        .operator(Method::DELETE, "/v1/organizations/globex", Value::Null)
        .await;
    stack.ask_until(&user, read, allows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_authority_the_sidecar_goes_on_and_says_how_stale_it_is() {
    let mut stack = Stack::start().await;
    let user = furnish(&stack).await;
    stack.operator(Method::PUT, &role(&user), Value::Null).await;
    stack.ask_until(&user, INVOICES, allows).await;

    stack.stop_authority().await;
    stack.until_connected(false).await;
    stack.clock.advance(Duration::from_secs(90));
    let stale = stack.ask(&user, "acme", INVOICES).await;
    assert!(allows(&stale), "{stale}");
    assert!(staleness_ms(&stale) >= Some(90_000), "{stale}");

    stack.start_authority();
    let fresh = stack
        .ask_until(&user, INVOICES, |answer| {
            staleness_ms(answer).is_some_and(|ms| ms < 90_000)
        })
        .await;
    assert!(allows(&fresh), "{fresh}");
    stack
        .operator(Method::DELETE, &role(&user), Value::Null)
        .await;
    stack.ask_until(&user, INVOICES, denies).await;
}
