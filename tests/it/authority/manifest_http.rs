//! Manifests over HTTP: who may, what is answered, what is refused.

use doorward::authority::credentials::Doer;
use doorward::authority::credentials::clients::{self, NewClient};
use doorward::domain::ClientKind;
use serde_json::{Value, json};

use crate::support::app::TestApp;

fn documents() -> Value {
    json!({
        "service": "documents",
        "version": 1,
        "permissions": { "file": { "read": "Open files", "write": "Change files" } },
        "roles": { "reader": { "permissions": ["file:read"] }, "editor": { "permissions": ["file:*"] } },
    })
}

const PATH: &str = "/v1/services/documents/manifest";

/// A token of a service's own client.
pub(super) async fn service_token(app: &TestApp, service: &str) -> String {
    let new = NewClient::new(
        format!("{service}-service").parse().unwrap(),
        service.to_owned(),
        ClientKind::Service(service.parse().unwrap()),
        None,
    )
    .unwrap();
    let doer = Doer::Host("test".to_owned());
    let created = clients::create(&app.authority, &doer, new).await.unwrap();
    let secret = created.secret.expose();
    let body = format!(
        "grant_type=client_credentials&client_id={service}-service&client_secret={secret}\
         &scope=doorward:manifest"
    );
    let reply = app
        .post("/oauth2/token")
        .bytes("application/x-www-form-urlencoded", body)
        .await
        .expect(200);
    reply.body["access_token"].as_str().unwrap().to_owned()
}

on_both_engines! {
    a_service_plans_and_applies_its_own_manifest_and_no_other,
    nobody_else_may,
    what_is_wrong_with_a_body_is_said_with_its_own_status,
    the_built_in_manifest_cannot_be_replaced,
    a_held_role_is_refused_with_its_holders_and_the_blast_radius_shows_them,
    people_read_which_roles_and_permissions_services_declare,
}

async fn a_service_plans_and_applies_its_own_manifest_and_no_other(app: TestApp) {
    let token = service_token(&app, "documents").await;
    let plan = app
        .put(format!("{PATH}?dry_run=true"))
        .by(&token)
        .json(&documents())
        .await
        .expect(200);
    assert_eq!(plan.body["unchanged"], false);
    assert_eq!(plan.body["blast_radius"]["members"], 0);
    app.get(PATH).by(&token).send().await.expect(404);

    let hash = plan.body["plan_hash"].as_str().unwrap();
    let applied = app
        .put(format!("{PATH}?plan={hash}"))
        .by(&token)
        .json(&documents())
        .await
        .expect(200);
    let freshness = applied.freshness().to_owned();
    let again = app
        .put(PATH)
        .by(&token)
        .json(&documents())
        .await
        .expect(200);
    assert_eq!(again.body["unchanged"], true);
    assert_eq!(again.freshness(), freshness);

    let shown = app.get(PATH).by(&token).send().await.expect(200);
    let mut canonical = documents();
    canonical["roles"]["editor"]["permissions"] = json!(["file:read", "file:write"]);
    assert_eq!(shown.body["manifest"], canonical);
    assert_eq!(shown.body["applied_by"], "client:documents-service");

    app.put("/v1/services/billing/manifest")
        .by(&token)
        .json(&json!({ "service": "billing", "permissions": {} }))
        .await
        .expect_problem(403, "forbidden");
    app.put(format!("{PATH}?allow_rollback=true"))
        .by(&token)
        .json(&documents())
        .await
        .expect_problem(403, "insufficient-scope");
}

async fn nobody_else_may(app: TestApp) {
    app.put(PATH)
        .json(&documents())
        .await
        .expect_problem(401, "unauthenticated");
    let owner = app.owner_of("acme").await;
    app.put(PATH)
        .by(&owner.token)
        .json(&documents())
        .await
        .expect(403);
    app.get("/v1/services/billing/manifest")
        .by(&owner.token)
        .send()
        .await
        .expect(403);
}

async fn what_is_wrong_with_a_body_is_said_with_its_own_status(app: TestApp) {
    let put = || app.put(PATH).by(app.operator());
    put()
        .bytes("text/yaml", "service: documents")
        .await
        .expect_problem(415, "unsupported-media-type");
    let reply = put().bytes("application/json", "{\n  \"service\": }").await;
    let reply = reply.expect_problem(400, "malformed-request");
    assert!(reply.body["detail"].as_str().unwrap().contains("line 2"));
    put()
        .bytes("application/json", vec![b' '; 4 * 1024 * 1024 + 1])
        .await
        .expect_problem(413, "too-large");
    let wrong = json!({
        "service": "billing",
        "permissions": { "File": { "read": 1 } },
        "rolls": {},
    });
    let reply = put()
        .json(&wrong)
        .await
        .expect_problem(422, "invalid-request");
    let mut pointers: Vec<_> = reply.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mistake| mistake["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/permissions/File",
            "/permissions/File/read",
            "/rolls",
            "/service"
        ]
    );
    for query in [
        "plan=xyz",
        "dry_run=perhaps",
        "unknown=1",
        "dry_run=true&members_after=x",
    ] {
        app.put(format!("{PATH}?{query}"))
            .by(app.operator())
            .json(&documents())
            .await
            .expect_problem(400, "malformed-request");
    }
    app.put("/v1/services/Docs/manifest")
        .by(app.operator())
        .json(&documents())
        .await
        .expect_problem(400, "malformed-request");
}

async fn the_built_in_manifest_cannot_be_replaced(app: TestApp) {
    app.put("/v1/services/auth/manifest")
        .by(app.operator())
        .json(&json!({ "service": "auth", "permissions": {} }))
        .await
        .expect_problem(409, "built-in-service");
}

async fn a_held_role_is_refused_with_its_holders_and_the_blast_radius_shows_them(app: TestApp) {
    app.put(PATH)
        .by(app.operator())
        .json(&documents())
        .await
        .expect(200);
    app.owner_of("acme").await;
    let member = app.member_of("acme", "documents/editor").await;
    let mut without = documents();
    without["version"] = json!(2);
    without["roles"].as_object_mut().unwrap().remove("editor");
    let reply = app
        .put(PATH)
        .by(app.operator())
        .json(&without)
        .await
        .expect_problem(409, "role-still-held");
    assert_eq!(reply.body["role"], "documents/editor");
    assert_eq!(reply.body["holders"], 1);

    without["replaces"] = json!({ "editor": "reader" });
    let plan = app
        .put(format!("{PATH}?dry_run=true&limit=1"))
        .by(app.operator())
        .json(&without)
        .await
        .expect(200);
    let affected = &plan.body["blast_radius"]["page"][0];
    assert_eq!(affected["user"], member.id.to_string());
    assert_eq!(affected["loses"], json!(["documents:file:write"]));
    app.put(PATH)
        .by(app.operator())
        .json(&without)
        .await
        .expect(200);
    app.put(PATH)
        .by(app.operator())
        .json(&documents())
        .await
        .expect_problem(409, "newer-manifest-live");
}

async fn people_read_which_roles_and_permissions_services_declare(app: TestApp) {
    let owner = app.owner_of("acme").await;
    let get = |path: &'static str| app.get(path).by(&owner.token).send();
    let services = get("/v1/services?limit=1").await.expect(200);
    assert_eq!(services.body["items"][0]["service"], "auth");
    assert_eq!(services.body["items"][0].get("applied_by"), None);
    assert_eq!(services.body["next"], "auth");
    let roles = get("/v1/services/billing/roles?limit=1&after=editor")
        .await
        .expect(200);
    assert_eq!(roles.body["items"][0]["role"], "billing/legacy");
    assert_eq!(roles.body["items"][0]["deprecated"], true);
    let permissions = get("/v1/services/billing/permissions?after=invoice:read")
        .await
        .expect(200);
    assert_eq!(
        permissions.body["items"][0]["permission"],
        "billing:invoice:write"
    );
    get("/v1/services/nothing/roles")
        .await
        .expect_problem(404, "not-found");
}
