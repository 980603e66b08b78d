//! `POST /access/v1/evaluations`.

use serde_json::{Value, json};

use super::world::*;

fn decisions(answer: &Value) -> Vec<bool> {
    answer["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["decision"].as_bool().unwrap())
        .collect()
}

/// Items for user 1 in `acme`: write (allow), publish (deny), read (allow), fly (deny).
fn batch(semantic: Option<&str>) -> Value {
    let items: Vec<Value> = ["write", "publish", "read", "fly"]
        .iter()
        .map(|action| json!({"action": {"name": action}}))
        .collect();
    let mut batch = question("acme", 1, "unused");
    batch["evaluations"] = json!(items);
    if let Some(semantic) = semantic {
        batch["options"] = json!({"evaluations_semantic": semantic});
    }
    batch
}

#[test]
fn execute_all_answers_every_item_in_order() {
    let world = World::new();
    let mut worker = world.worker();
    for semantic in [None, Some("execute_all")] {
        let answer = world.ask_batch(&mut worker, &batch(semantic));
        assert_eq!(decisions(&answer), [true, false, true, false]);
        assert!(answer.get("decision").is_none());
    }
}

#[test]
fn deny_on_first_deny_ends_right_after_it() {
    let world = World::new();
    let answer = world.ask_batch(&mut world.worker(), &batch(Some("deny_on_first_deny")));
    assert_eq!(decisions(&answer), [true, false]);
}

#[test]
fn permit_on_first_permit_ends_right_after_it() {
    let world = World::new();
    let mut worker = world.worker();
    let answer = world.ask_batch(&mut worker, &batch(Some("permit_on_first_permit")));
    assert_eq!(decisions(&answer), [true]);
    let mut denied_first = batch(Some("permit_on_first_permit"));
    denied_first["evaluations"]
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    let answer = world.ask_batch(&mut worker, &denied_first);
    assert_eq!(decisions(&answer), [false, true]);
}

#[tokio::test]
async fn an_unknown_semantic_is_400() {
    let running = Running::start().await;
    let body = batch(Some("first_come")).to_string();
    let reply = running.post("/access/v1/evaluations", &body).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("first_come"), "{reply:?}");
}

#[test]
fn a_batch_without_items_has_the_form_of_a_single_evaluation() {
    let world = World::new();
    let mut worker = world.worker();
    let single = question("acme", 1, "write");
    let mut empty = single.clone();
    empty["evaluations"] = json!([]);
    for body in [single, empty] {
        let answer = world.ask_batch(&mut worker, &body);
        assert_eq!(answer["decision"], true);
        assert!(answer.get("evaluations").is_none());
    }
}

#[tokio::test]
async fn a_batch_without_items_and_without_a_subject_is_400() {
    let running = Running::start().await;
    let reply = running
        .post("/access/v1/evaluations", r#"{"evaluations":[]}"#)
        .await;
    assert_eq!(reply.status, 400);
}

#[test]
fn an_item_that_cannot_be_resolved_is_denied_even_if_it_is_the_only_one() {
    let world = World::new();
    let answer = world.ask_batch(&mut world.worker(), &json!({"evaluations": [{}]}));
    assert_eq!(decisions(&answer), [false]);
    let error = &answer["evaluations"][0]["context"]["error"];
    assert_eq!(error["status"], 400);
    assert!(error["message"].as_str().unwrap().contains("subject"));
}

#[test]
fn an_items_organizations_that_disagree_spoil_that_item_only() {
    let world = World::new();
    let mut body = batch(None);
    body["evaluations"][0]["resource"] = json!({
        "type": "docs:page", "id": "1", "properties": {"organization": "globex"},
    });
    let answer = world.ask_batch(&mut world.worker(), &body);
    assert_eq!(decisions(&answer), [false, false, true, false]);
    let message = &answer["evaluations"][0]["context"]["error"]["message"];
    assert!(
        message
            .as_str()
            .unwrap()
            .contains("different organizations")
    );
}

#[test]
fn an_items_missing_type_is_filled_from_the_defaults_unless_that_is_switched_off() {
    let mut body = question("acme", 1, "write");
    body["resource"] = json!({"type": "docs:page"});
    body["evaluations"] = json!([{"resource": {"id": "9"}}]);
    for (fill, wanted) in [(true, true), (false, false)] {
        let world = World::with(Setup {
            mapping: doorward::sidecar::config::Mapping {
                fill_missing_from_defaults: fill,
                ..Default::default()
            },
            ..Setup::default()
        });
        let answer = world.ask_batch(&mut world.worker(), &body);
        assert_eq!(decisions(&answer), [wanted]);
    }
}

/// What the official test of default merging sends: it wants the type from the default and the
/// properties from the item.
#[test]
fn an_item_with_an_id_and_properties_takes_the_type_of_the_default_resource() {
    let mut body = question("acme", 1, "write");
    body["context"] = json!({});
    body["resource"] = json!({"type": "docs:page", "properties": {"organization": "globex"}});
    body["evaluations"] = json!([{"resource": {"id": "9", "properties": {"organization": "acme"}}}, {"resource": {"id": "9"}}]);
    let world = World::new();
    let answer = world.ask_batch(&mut world.worker(), &body);
    // The default's properties are not the second item's.
    assert_eq!(decisions(&answer), [true, false]);
    assert_eq!(
        answer["evaluations"][1]["context"]["reason"]["code"],
        "organization_missing"
    );
}

#[test]
fn a_short_circuit_on_an_item_that_cannot_be_asked_ends_right_after_it() {
    let world = World::new();
    let mut body = batch(Some("deny_on_first_deny"));
    body["evaluations"][1] = json!({"action": {"name": 7}});
    let answer = world.ask_batch(&mut world.worker(), &body);
    assert_eq!(decisions(&answer), [true, false]);
}

#[test]
fn an_items_context_replaces_the_default_context_whole() {
    let world = World::new();
    let mut body = question("acme", 1, "write");
    body["evaluations"] =
        json!([{"context": {"shift": "night"}}, {"context": {"organization": "globex"}}, {}]);
    let answer = world.ask_batch(&mut world.worker(), &body);
    assert_eq!(decisions(&answer), [false, false, true]);
    assert_eq!(
        answer["evaluations"][0]["context"]["reason"]["code"],
        "organization_missing"
    );
}
