//! The endpoints over HTTP: what AuthZEN says of them.

use serde_json::{Value, json};

use crate::sidecar::world::*;

const PATHS: [&str; 4] = [
    "/access/v1/search/subject",
    "/access/v1/search/resource",
    "/access/v1/search/action",
    "/v1/plan",
];

async fn ask(running: &Running, path: &str, body: &Value) -> Reply {
    running.raw_unix(&post(path, "", &body.to_string())).await
}

#[tokio::test]
async fn a_subject_search_finds_users_of_the_type_asked_for_and_ignores_the_id_sent() {
    let running = Running::start().await;
    let mut body = question("acme", 3, "read");
    for id in [json!("x"), json!(null)] {
        body["subject"]["id"] = id;
        let reply = ask(&running, PATHS[0], &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(
            reply.json()["results"],
            json!([
                {"type": "user", "id": user(1).to_string()},
                {"type": "user", "id": user(2).to_string()},
            ])
        );
    }
    body["subject"] = json!({"type": "user"});
    assert_eq!(ask(&running, PATHS[0], &body).await.status, 200);
}

#[tokio::test]
async fn an_action_search_finds_actions_and_ignores_the_action_sent() {
    let running = Running::start().await;
    let mut body = question("acme", 1, "fly");
    for _ in 0..2 {
        let reply = ask(&running, PATHS[2], &body).await;
        assert_eq!(
            reply.json()["results"],
            json!([{"name": "read"}, {"name": "write"}])
        );
        body.as_object_mut().unwrap().remove("action");
    }
}

#[tokio::test]
async fn a_resource_search_answers_by_type_and_organization() {
    let running = Running::start().await;
    let mut body = question("acme", 1, "read");
    body["context"] = json!({});
    body["resource"] = json!({"type": "docs:page"});
    let found = |n: u128| {
        json!({
            "type": "docs:page",
            "id": "*",
            "properties": {"organization": organization(n).to_string()},
        })
    };
    let reply = ask(&running, PATHS[1], &body).await;
    assert_eq!(reply.json()["results"], json!([found(1), found(2)]));
    // Only in the organization that is named.
    body["context"] = json!({"organization": "globex"});
    let reply = ask(&running, PATHS[1], &body).await;
    assert_eq!(reply.json()["results"], json!([found(2)]));
    // What is found is allowed when it is asked for.
    let mut check = body.clone();
    check["resource"] = found(2);
    let answer = ask(&running, "/access/v1/evaluation", &check).await;
    assert_eq!(answer.json()["decision"], true);
}

#[tokio::test]
async fn an_unknown_id_or_type_is_200_without_results() {
    let running = Running::start().await;
    for (path, pointer, value, code) in [
        (
            PATHS[0],
            "/context/organization",
            "nobody",
            "organization_unknown",
        ),
        (PATHS[0], "/subject/type", "robot", "subject_type"),
        (
            PATHS[0],
            "/resource/type",
            "docs:folder",
            "permission_unknown",
        ),
        (PATHS[0], "/action/name", "fly", "permission_unknown"),
        (PATHS[1], "/subject/type", "robot", "subject_type"),
        (PATHS[1], "/subject/id", "alice", "subject_id"),
        (
            PATHS[1],
            "/resource/type",
            "docs:folder",
            "permission_unknown",
        ),
        (PATHS[2], "/subject/id", "alice", "subject_id"),
        (PATHS[3], "/subject/id", "alice", "subject_id"),
    ] {
        let mut body = question("acme", 1, "read");
        *body.pointer_mut(pointer).unwrap() = json!(value);
        let reply = ask(&running, path, &body).await;
        assert_eq!(reply.status, 200, "{path} {pointer}");
        let answer = reply.json();
        assert_eq!(answer["results"], json!([]), "{path} {pointer}");
        assert_eq!(answer["page"]["next_token"], "", "{path} {pointer}");
        assert_eq!(answer["context"]["reason"]["code"], code);
    }
    // A user whom nobody knows, and a type of which nobody declares an action.
    let body = question("acme", 77, "read");
    for path in PATHS {
        let found = ask(&running, path, &body).await.json();
        let wanted = usize::from(path == PATHS[0]) * 2;
        assert_eq!(found["results"].as_array().unwrap().len(), wanted, "{path}");
    }
    let mut body = question("acme", 1, "read");
    body["resource"]["type"] = json!("docs:folder");
    let found = ask(&running, PATHS[2], &body).await.json();
    assert_eq!(found["results"], json!([]));
}

#[tokio::test]
async fn a_search_without_what_it_needs_is_400_and_names_it() {
    let running = Running::start().await;
    for (path, pointer, named) in [
        (PATHS[0], "/action", "`action`"),
        (PATHS[0], "/action/name", "`action.name`"),
        (PATHS[0], "/resource/id", "`resource.id`"),
        (PATHS[0], "/subject/type", "`subject.type`"),
        (PATHS[1], "/subject/id", "`subject.id`"),
        (PATHS[1], "/resource/type", "`resource.type`"),
        (PATHS[2], "/subject", "`subject`"),
        (PATHS[2], "/resource/id", "`resource.id`"),
        (PATHS[3], "/action/name", "`action.name`"),
    ] {
        let mut body = question("acme", 1, "read");
        *body.pointer_mut(pointer).unwrap() = json!(null);
        let reply = ask(&running, path, &body).await;
        assert_eq!(reply.status, 400, "{path} {pointer}");
        assert!(reply.body.contains(named), "{path} {pointer}: {reply:?}");
    }
    for path in PATHS {
        for body in ["", "[]", "{", r#"{"page":{"token":"nonsense"}}"#] {
            let reply = running.raw_unix(&post(path, "", body)).await;
            assert_eq!(reply.status, 400, "{path} {body}");
        }
        let mut body = question("acme", 1, "read");
        body["resource"]["properties"] = json!({"organization": "globex"});
        let reply = ask(&running, path, &body).await;
        assert_eq!(reply.status, 400, "{path}");
        assert_eq!(running.get_unix(path).await.status, 405, "{path}");
        let plain = post(path, "", "{}").replace("application/json", "text/plain");
        assert_eq!(running.raw_unix(&plain).await.status, 400, "{path}");
        let echoed = post(path, "x-request-id: q7\r\n", "{}");
        let reply = running.raw_unix(&echoed).await;
        assert!(reply.head.contains("x-request-id: q7"), "{path}");
    }
}

#[tokio::test]
async fn loopback_tcp_answers_no_search() {
    let running = Running::start().await;
    for path in PATHS {
        let body = question("acme", 1, "read").to_string();
        let reply = running.post(path, &body).await;
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.head.contains("www-authenticate"), "{path}");
    }
}

#[tokio::test]
async fn a_search_on_facts_too_stale_finds_nothing_and_says_so() {
    let running = Running::start().await;
    let body = question("acme", 1, "read").to_string();
    for path in PATHS {
        let stale = post(path, "doorward-max-staleness: 1s\r\n", &body);
        let found = running.raw_unix(&stale).await.json();
        assert_eq!(found["results"], json!([]), "{path}");
        assert_eq!(found["context"]["reason"]["code"], "stale", "{path}");
    }
}
