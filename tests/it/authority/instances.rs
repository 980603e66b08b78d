//! Instances over HTTP: who may register them, what is answered, what is refused.

use doorward::authority::config::Config;
use doorward::authority::instances::Quotas;
use serde_json::{Value, json};

use super::manifest_http::service_token;
use crate::support::app::TestApp;

const PATH: &str = "/v1/services/documents/resources";

const DOCUMENTS: &str = r#"{
  "service": "documents",
  "permissions": { "file": { "read": "Open files" }, "album": { "read": "Open albums" } },
  "roles": { "reader": { "permissions": ["file:read"] } }
}"#;

on_both_engines! {
    a_service_registers_instances_and_sees_them_in_pages,
    the_same_batch_again_changes_nothing,
    a_batch_with_one_mistake_is_refused_whole_and_each_place_is_named,
    a_value_that_no_attribute_can_have_is_pointed_at,
    what_stands_twice_in_a_batch_is_refused,
    a_batch_is_bounded_in_items_and_bytes,
    a_service_touches_its_own_instances_only,
    nobody_without_the_permission_registers_or_reads,
    an_organization_that_is_deleted_takes_its_instances_with_it,
    a_manifest_without_a_resource_takes_its_instances_with_it,
    one_instance_is_removed_by_its_path_whatever_its_id,
    an_instance_moves_to_another_organization_and_counts_there,
}

struct World {
    app: TestApp,
    token: String,
}

impl World {
    async fn of(app: TestApp) -> Self {
        app.sync(DOCUMENTS).await;
        app.owner_of("acme").await;
        app.owner_of("globex").await;
        let token = service_token(&app, "documents").await;
        Self { app, token }
    }

    async fn put(&self, batch: &Value) -> crate::support::app::Reply {
        self.app.put(PATH).by(&self.token).json(batch).await
    }

    async fn put_owned(&self, batch: Value) -> crate::support::app::Reply {
        self.put(&batch).await
    }

    async fn list(&self, query: &str) -> Value {
        let path = format!("{PATH}{query}");
        self.app
            .get(path)
            .by(&self.token)
            .send()
            .await
            .expect(200)
            .body
    }

    async fn ids(&self, query: &str) -> Vec<String> {
        let page = self.list(query).await;
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn file(id: &str, organization: &str) -> Value {
    json!({ "type": "file", "id": id, "organization": organization })
}

async fn a_service_registers_instances_and_sees_them_in_pages(app: TestApp) {
    let world = World::of(app).await;
    let acme = world.app.organization("acme").await;
    let reply = world
        .put(&json!({ "put": [
            { "type": "file", "id": "b", "organization": "acme",
              "attributes": { "owner": "u1", "labels": ["x", "y"], "size": 7, "draft": false } },
            file("a", &acme.to_string()),
            { "type": "album", "id": "文書/1", "organization": "globex" },
        ] }))
        .await
        .expect(200);
    reply.freshness();
    assert_eq!(reply.body["created"], 3);
    let first = world.list("?limit=2").await;
    assert_eq!(first["items"][0]["type"], "album");
    assert_eq!(first["items"][0]["id"], "文書/1");
    assert_eq!(first["items"][1]["id"], "a");
    let next = first["next"].as_str().unwrap();
    let last = world.list(&format!("?limit=2&after={next}")).await;
    assert_eq!(last["items"].as_array().unwrap().len(), 1);
    assert_eq!(last["items"][0]["organization"], acme.to_string());
    assert_eq!(
        last["items"][0]["attributes"],
        json!({ "draft": false, "labels": ["x", "y"], "owner": "u1", "size": 7 })
    );
    assert!(last.get("next").is_none());
    assert_eq!(world.ids("?organization=acme").await, ["a", "b"]);
    assert_eq!(world.ids("?type=album").await, ["文書/1"]);
    assert!(world.ids("?organization=nowhere").await.is_empty());
    assert_eq!(world.app.audited("resources.registered").await, 1);
}

async fn the_same_batch_again_changes_nothing(app: TestApp) {
    let world = World::of(app).await;
    let batch = json!({ "put": [file("a", "acme"), file("b", "acme")],
                        "delete": [{ "type": "file", "id": "never" }] });
    world.put(&batch).await.expect(200);
    let revision = world.app.revision();
    let again = world.put(&batch).await.expect(200);
    again.freshness();
    assert_eq!(
        [
            &again.body["created"],
            &again.body["unchanged"],
            &again.body["deleted"]
        ],
        [0, 2, 0]
    );
    assert_eq!(world.app.revision(), revision);
    assert_eq!(world.app.audited("resources.registered").await, 1);
    world.put(&json!({})).await.expect(200);
}

async fn a_batch_with_one_mistake_is_refused_whole_and_each_place_is_named(app: TestApp) {
    let world = World::of(app).await;
    let reply = world
        .put(&json!({ "put": [
            file("a", "acme"),
            { "type": "folder", "id": "b", "organization": "acme" },
            file("c", "nowhere"),
            file("d", "0190a1b2-0000-7000-8000-000000000000"),
        ] }))
        .await
        .expect_problem(422, "invalid-request");
    let errors = reply.body["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors.iter().map(|error| &error["pointer"]).collect();
    assert_eq!(
        pointers,
        ["/put/1/type", "/put/2/organization", "/put/3/organization"]
    );
    assert!(world.ids("").await.is_empty());
    assert_eq!(world.app.audited("resources.registered").await, 0);
}

async fn a_value_that_no_attribute_can_have_is_pointed_at(app: TestApp) {
    let world = World::of(app).await;
    for (item, pointer) in [
        (
            json!({ "attributes": { "owner": null } }),
            "/put/1/attributes/owner",
        ),
        (
            json!({ "attributes": { "size": 1.5 } }),
            "/put/1/attributes/size",
        ),
        (
            json!({ "attributes": { "tags": ["a", {}] } }),
            "/put/1/attributes/tags/1",
        ),
        (
            json!({ "attributes": { "organization": "acme" } }),
            "/put/1/attributes",
        ),
        (
            json!({ "attributes": { "text": "x".repeat(5000) } }),
            "/put/1/attributes",
        ),
        (json!({ "attributes": [] }), "/put/1/attributes"),
        (json!({ "id": "" }), "/put/1/id"),
        (json!({ "id": "*" }), "/put/1/id"),
        (json!({ "id": "a\u{0}b" }), "/put/1/id"),
        (json!({ "id": "é".repeat(128) }), "/put/1/id"),
        (json!({ "type": "documents:file" }), "/put/1/type"),
        (json!({ "organization": "No Such" }), "/put/1/organization"),
        (json!({ "owner": "u1" }), "/put/1/owner"),
    ] {
        let mut wrong = file("b", "acme");
        for (name, value) in item.as_object().unwrap() {
            wrong[name] = value.clone();
        }
        let reply = world
            .put(&json!({ "put": [file("a", "acme"), wrong] }))
            .await;
        let reply = reply.expect_problem(422, "invalid-request");
        assert_eq!(reply.pointer(), pointer, "{item}");
    }
    assert!(world.ids("").await.is_empty());
}

async fn what_stands_twice_in_a_batch_is_refused(app: TestApp) {
    let world = World::of(app).await;
    for (batch, pointer) in [
        (
            json!({ "put": [file("a", "acme"), file("a", "globex")] }),
            "/put/1/id",
        ),
        (
            json!({ "put": [file("a", "acme")], "delete": [{ "type": "file", "id": "a" }] }),
            "/delete/0/id",
        ),
    ] {
        let reply = world
            .put(&batch)
            .await
            .expect_problem(422, "invalid-request");
        assert_eq!(reply.pointer(), pointer);
    }
    // Two spellings of what looks the same are two ids.
    let batch = json!({ "put": [file("\u{e9}", "acme"), file("e\u{301}", "acme")] });
    assert_eq!(world.put(&batch).await.expect(200).body["created"], 2);
}

async fn a_batch_is_bounded_in_items_and_bytes(app: TestApp) {
    let world = World::of(app).await;
    let of =
        |count: usize| -> Vec<Value> { (0..count).map(|n| file(&n.to_string(), "acme")).collect() };
    let most = world.put(&json!({ "put": of(1000) })).await.expect(200);
    assert_eq!(most.body["created"], 1000);
    world
        .put(&json!({ "put": of(1000), "delete": [{ "type": "file", "id": "x" }] }))
        .await
        .expect_problem(422, "invalid-request");
    let large = json!({ "put": [{ "type": "file", "id": "a", "organization": "acme",
        "attributes": { "text": "x".repeat(1024 * 1024) } }] });
    world.put(&large).await.expect_problem(413, "too-large");
    let gone: Vec<Value> = (0..1000)
        .map(|n| json!({ "type": "file", "id": n.to_string() }))
        .collect();
    let reply = world.put(&json!({ "delete": gone })).await.expect(200);
    assert_eq!(reply.body["deleted"], 1000);
}

async fn a_service_touches_its_own_instances_only(app: TestApp) {
    let world = World::of(app).await;
    world
        .put(&json!({ "put": [file("a", "acme")] }))
        .await
        .expect(200);
    let billing = service_token(&world.app, "billing").await;
    let batch = json!({ "put": [file("a", "globex")] });
    let call = |path: &'static str| world.app.put(path).by(&billing);
    call(PATH)
        .json(&batch)
        .await
        .expect_problem(403, "forbidden");
    world
        .app
        .get(PATH)
        .by(&billing)
        .send()
        .await
        .expect_problem(403, "forbidden");
    world
        .app
        .delete(format!("{PATH}/file/a"))
        .by(&billing)
        .send()
        .await
        .expect_problem(403, "forbidden");
    // Its own service declares no such resource: the name of another's does not count.
    call("/v1/services/billing/resources")
        .json(&batch)
        .await
        .expect_problem(422, "invalid-request");
    assert_eq!(world.ids("?organization=acme").await, ["a"]);
    for path in [
        "/v1/services/auth/resources",
        "/v1/services/nobody/resources",
    ] {
        let reply = world
            .app
            .put(path)
            .by(world.app.operator())
            .json(&json!({}))
            .await;
        assert!([404, 409].contains(&reply.status.as_u16()), "{reply:?}");
    }
}

async fn nobody_without_the_permission_registers_or_reads(app: TestApp) {
    let world = World::of(app).await;
    let owner = world.app.owner_of("initech").await;
    let batch = json!({ "put": [file("a", "initech")] });
    let put = || world.app.put(PATH);
    put()
        .json(&batch)
        .await
        .expect_problem(401, "unauthenticated");
    put().by(&owner.token).json(&batch).await.expect(403);
    let listed = world.app.get(PATH).by(&owner.token).send().await;
    listed.expect(403);
    put()
        .by(world.app.operator())
        .json(&batch)
        .await
        .expect(200);
}

async fn an_organization_that_is_deleted_takes_its_instances_with_it(app: TestApp) {
    let world = World::of(app).await;
    let batch = json!({ "put": [file("a", "acme"), file("b", "globex")] });
    world.put(&batch).await.expect(200);
    world
        .app
        .delete("/v1/organizations/acme")
        .by(world.app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(world.ids("").await, ["b"]);
    let reply = world
        .put(&batch)
        .await
        .expect_problem(422, "invalid-request");
    assert_eq!(reply.pointer(), "/put/0/organization");
}

async fn a_manifest_without_a_resource_takes_its_instances_with_it(app: TestApp) {
    let world = World::of(app).await;
    let album = json!({ "type": "album", "id": "1", "organization": "acme" });
    world
        .put(&json!({ "put": [file("a", "acme"), album] }))
        .await
        .expect(200);
    world
        .app
        .sync(
            r#"{ "service": "documents", "permissions": { "file": { "read": "Open files" } },
                   "roles": { "reader": { "permissions": ["file:read"] } } }"#,
        )
        .await;
    assert_eq!(world.ids("").await, ["a"]);
    world.app.sync(DOCUMENTS).await;
    assert_eq!(world.ids("").await, ["a"]);
}

async fn one_instance_is_removed_by_its_path_whatever_its_id(app: TestApp) {
    let world = World::of(app).await;
    let id = "a/b?c:d e%文";
    world
        .put(&json!({ "put": [file(id, "acme"), file("a", "acme")] }))
        .await
        .expect(200);
    let path = format!("{PATH}/file/a%2Fb%3Fc%3Ad%20e%25%E6%96%87");
    let remove = || world.app.delete(&path).by(&world.token).send();
    remove().await.expect(200).freshness();
    remove().await.expect_problem(404, "not-found");
    assert_eq!(world.ids("").await, ["a"]);
}

async fn an_instance_moves_to_another_organization_and_counts_there(app: TestApp) {
    let world = World::of(app).await;
    world
        .put(&json!({ "put": [file("a", "acme")] }))
        .await
        .expect(200);
    let moved = world.put(&json!({ "put": [file("a", "globex")] })).await;
    assert_eq!(moved.expect(200).body["updated"], 1);
    assert!(world.ids("?organization=acme").await.is_empty());
    assert_eq!(world.ids("?organization=globex").await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_has_no_more_instances_in_an_organization_than_its_quota() {
    let quota = |config: &mut Config, _| {
        config.instances = Quotas {
            per_organization: 3,
        };
    };
    let world = World::of(TestApp::start_with(None, quota).await).await;
    let files = |ids: &[&str], organization: &str| -> Vec<Value> {
        ids.iter().map(|id| file(id, organization)).collect()
    };
    let put = |items: Vec<Value>| world.put_owned(json!({ "put": items }));
    put(files(&["1", "2"], "acme")).await.expect(200);
    put(files(&["3"], "globex")).await.expect(200);
    let reply = put(files(&["4", "5"], "acme")).await;
    let reply = reply.expect_problem(409, "too-many-instances");
    assert_eq!(reply.body["most"], 3);
    assert_eq!(world.ids("").await, ["1", "2", "3"]);
    // What goes in the same batch makes room; what moves away does too.
    world
        .put(&json!({ "put": files(&["4", "5"], "acme"), "delete": [{ "type": "file", "id": "1" }] }))
        .await
        .expect(200);
    put(files(&["3"], "acme"))
        .await
        .expect_problem(409, "too-many-instances");
    let mut swap = files(&["3"], "acme");
    swap.extend(files(&["2"], "globex"));
    put(swap).await.expect(200);
}
