//! Single questions: decisions, names, organizations, status codes.

use serde_json::json;

use super::world::*;

#[test]
fn roles_decide_in_their_own_organization_only() {
    let world = World::new();
    let mut worker = world.worker();
    for (organization, who, action, wanted) in [
        ("acme", 1, "write", true),
        ("globex", 1, "write", false),
        ("globex", 1, "read", true),
        ("acme", 2, "read", true),
        ("acme", 2, "write", false),
        ("globex", 2, "read", false),
        ("acme", 3, "read", false),
        ("acme", 1, "publish", false),
    ] {
        // Twice: filled, then from the memo and the front.
        for _ in 0..2 {
            assert_eq!(
                world.allowed(&mut worker, &question(organization, who, action)),
                wanted,
                "{organization} {who} {action}"
            );
        }
    }
}

#[test]
fn an_answer_carries_decision_revision_and_staleness_and_nothing_else_by_default() {
    let world = World::new();
    let mut worker = world.worker();
    assert_eq!(
        world.ask(&mut worker, &question("acme", 1, "write")),
        json!({"decision": true, "context": {"revision": 1, "staleness_ms": null}})
    );
    assert_eq!(
        world.ask(&mut worker, &question("acme", 2, "write")),
        json!({"decision": false, "context": {"revision": 1, "staleness_ms": null}})
    );
}

#[test]
fn the_organization_may_be_named_by_id_or_slug_in_context_or_resource() {
    let world = World::new();
    let mut worker = world.worker();
    let acme = organization(1).to_string();
    for name in ["acme", acme.as_str()] {
        assert!(world.allowed(&mut worker, &question(name, 1, "write")));
        let mut in_resource = question(name, 1, "write");
        in_resource["context"] = json!({});
        in_resource["resource"]["properties"] = json!({"organization": name});
        assert!(world.allowed(&mut worker, &in_resource));
    }
    let mut both = question("acme", 1, "write");
    both["resource"]["properties"] = json!({"organization": acme});
    assert!(world.allowed(&mut worker, &both));
}

#[tokio::test]
async fn organizations_that_disagree_are_400() {
    let running = Running::start().await;
    let globex = organization(2).to_string();
    for other in ["globex", globex.as_str(), "nobody"] {
        let mut body = question("acme", 1, "write");
        body["resource"]["properties"] = json!({"organization": other});
        let reply = running
            .post("/access/v1/evaluation", &body.to_string())
            .await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.body.contains("different organizations"), "{reply:?}");
    }
}

#[test]
fn a_missing_organization_is_denied_and_said() {
    let world = World::new();
    let mut worker = world.worker();
    let mut body = question("acme", 1, "write");
    body["context"] = json!({});
    let answer = world.ask(&mut worker, &body);
    assert_eq!(answer["decision"], false);
    assert_eq!(answer["context"]["reason"]["code"], "organization_missing");
}

#[test]
fn an_unknown_organization_subject_type_subject_or_permission_is_denied_and_said() {
    let world = World::new();
    let mut worker = world.worker();
    let base = question("acme", 1, "write");
    for (pointer, value, code) in [
        ("/context/organization", "nobody", "organization_unknown"),
        ("/subject/type", "robot", "subject_type"),
        ("/subject/id", "alice", "subject_id"),
        ("/resource/type", "docs:folder", "permission_unknown"),
        ("/resource/type", "page", "permission_unknown"),
        ("/action/name", "fly", "permission_unknown"),
    ] {
        let mut body = base.clone();
        *body.pointer_mut(pointer).unwrap() = json!(value);
        let answer = world.ask(&mut worker, &body);
        assert_eq!(answer["decision"], false, "{pointer}");
        assert_eq!(answer["context"]["reason"]["code"], code, "{pointer}");
    }
}

#[test]
fn a_suspended_or_deleted_user_is_denied_everything_at_once() {
    for state in ["suspended", "deleted"] {
        let mut world = World::new();
        let mut worker = world.worker();
        let body = question("acme", 1, "write");
        assert!(world.allowed(&mut worker, &body));
        world.apply(vec![user_state(1, state)]);
        assert!(!world.allowed(&mut worker, &body), "{state}");
        world.apply(vec![user_state(1, "active")]);
        assert!(world.allowed(&mut worker, &body), "{state}");
    }
}

#[test]
fn a_further_role_counts_and_a_changed_role_changes_everybody_who_holds_it() {
    let mut world = World::new();
    let mut worker = world.worker();
    let (one, two) = (question("acme", 1, "publish"), question("acme", 2, "write"));
    assert!(!world.allowed(&mut worker, &two));
    world.apply(vec![further(1, 2, 2)]);
    assert!(world.allowed(&mut worker, &two));
    assert!(!world.allowed(&mut worker, &one));
    world.apply(vec![grant(2, 3)]);
    assert!(world.allowed(&mut worker, &one));
    world.apply(vec![ungrant(2, 3), ungrant(2, 2)]);
    assert!(!world.allowed(&mut worker, &one));
    assert!(!world.allowed(&mut worker, &two));
}

#[test]
fn a_mapping_lets_other_shapes_in() {
    let world = World::with(Setup {
        mapping: doorward::sidecar::config::Mapping {
            subject_types: vec!["person".to_owned()],
            default_service: Some("docs".parse().unwrap()),
            action_prefixes: vec!["can_".to_owned()],
            fill_missing_from_defaults: true,
        },
        ..Setup::default()
    });
    let mut worker = world.worker();
    let mut body = question("acme", 1, "can_write");
    body["subject"]["type"] = json!("person");
    body["resource"]["type"] = json!("page");
    assert!(world.allowed(&mut worker, &body));
}

#[tokio::test]
async fn a_check_is_answered_over_tcp_and_over_the_unix_socket() {
    let running = Running::start().await;
    let body = question("acme", 1, "write").to_string();
    let tcp = running.post("/access/v1/evaluation", &body).await;
    assert_eq!(
        (tcp.status, tcp.json()["decision"].clone()),
        (200, json!(true))
    );
    assert!(tcp.head.contains("content-type: application/json"));
    let unix = running
        .raw_unix(&post("/access/v1/evaluation", "", &body))
        .await;
    assert_eq!(unix.json(), tcp.json());
}

#[tokio::test]
async fn a_deny_is_200() {
    let running = Running::start().await;
    let body = question("acme", 3, "write").to_string();
    let reply = running.post("/access/v1/evaluation", &body).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["decision"], false);
}

#[tokio::test]
async fn the_compact_check_answers_like_the_evaluation() {
    let running = Running::start().await;
    let path = |user_id: &str, organization: &str, permission: &str| {
        format!("/v1/check?user={user_id}&organization={organization}&permission={permission}")
    };
    let one = user(1).to_string();
    let allowed = running.get(&path(&one, "acme", "docs:page:write")).await;
    assert_eq!(
        allowed.json(),
        json!({"decision": true, "context": {"revision": 1, "staleness_ms": null}})
    );
    let denied = running.get(&path(&one, "globex", "docs:page:write")).await;
    assert_eq!(denied.json()["decision"], false);
    let nobody = running.get(&path("alice", "acme", "docs:page:write")).await;
    assert_eq!(nobody.json()["context"]["reason"]["code"], "subject_id");
    let unnamed = running
        .get(&format!("/v1/check?user={one}&permission=docs:page:write"))
        .await;
    assert_eq!(
        unnamed.json()["context"]["reason"]["code"],
        "organization_missing"
    );
    for (path, named) in [
        ("/v1/check".to_owned(), "`user`"),
        (format!("/v1/check?user={one}"), "`permission`"),
        (path(&one, "acme", "write"), "service:resource:action"),
        (path(&one, "acme", "docs:page:write&colour=red"), "`colour`"),
        (path(&one, "acme", "docs:page:write&user=x"), "stands twice"),
        (
            path(
                &one,
                "AC ME".replace(' ', "%20").as_str(),
                "docs:page:write",
            ),
            "slug",
        ),
    ] {
        let reply = running.get(&path).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.body.contains(named), "{path}: {}", reply.body);
    }
}

#[tokio::test]
async fn bad_bodies_are_400_and_say_what_is_wrong() {
    let running = Running::start().await;
    let missing_id = r#"{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"docs:page","id":"1"}}"#;
    for (body, named) in [
        ("", "empty"),
        ("[]", "object"),
        ("{", "line 1"),
        ("nonsense", "line 1"),
        (missing_id, "subject.id"),
        (r#"{"subject":{"type":"user","id":5}}"#, "subject.id"),
    ] {
        let reply = running.post("/access/v1/evaluation", body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.body.contains(named), "{body}: {}", reply.body);
        assert!(reply.head.contains("application/problem+json"));
    }
}

#[tokio::test]
async fn a_wrong_or_missing_content_type_is_400_and_json_may_have_parameters() {
    let running = Running::start().await;
    let body = question("acme", 1, "write").to_string();
    let with = |content_type: &str| {
        format!(
            "POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\n{content_type}connection: \
             close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (header, wanted) in [
        ("content-type: text/plain\r\n", 400),
        ("", 400),
        ("content-type: application/json; charset=utf-8\r\n", 200),
    ] {
        assert_eq!(running.raw(&with(header)).await.status, wanted, "{header}");
    }
}

#[tokio::test]
async fn another_method_is_405_and_another_path_404() {
    let running = Running::start().await;
    let get = running.get("/access/v1/evaluation").await;
    assert_eq!(get.status, 405);
    assert!(get.head.contains("allow: post"));
    for path in ["/access/v1/evaluation", "/access/v1/evaluations"] {
        let put = post(path, "", "{}").replacen("POST", "PUT", 1);
        assert_eq!(running.raw(&put).await.status, 405, "{path}");
        assert_eq!(running.get(path).await.status, 405, "{path}");
    }
    let reply = running.post("/healthz", "{}").await;
    assert_eq!(reply.status, 405);
    assert!(reply.head.contains("allow: get"));
    assert_eq!(running.get("/nowhere").await.status, 404);
}

#[tokio::test]
async fn a_request_id_is_echoed_also_with_an_error() {
    let running = Running::start().await;
    for body in [question("acme", 1, "write").to_string(), "[]".to_owned()] {
        let reply = running
            .post_with("/access/v1/evaluation", "x-request-id: Abc-7\r\n", &body)
            .await;
        assert!(reply.head.contains("x-request-id: abc-7"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_body_in_pieces_is_read_whole_and_one_that_is_too_large_is_413() {
    let running = Running::start().await;
    let body = question("acme", 1, "write").to_string();
    let (first, second) = body.split_at(20);
    let pieces = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
         application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    assert_eq!(running.raw(&pieces).await.json()["decision"], true);
    let reply = running
        .post("/access/v1/evaluation", &" ".repeat(1024 * 1024 + 1))
        .await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn a_kept_connection_answers_pipelined_requests_in_order() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let running = Running::start().await;
    let address = running.sidecar.bound()[0].tcp().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = |who: u128| {
        let body = question("acme", who, "write").to_string();
        post("/access/v1/evaluation", "", &body).replace("connection: close\r\n", "")
    };
    let last = post(
        "/access/v1/evaluation",
        "",
        &question("acme", 1, "write").to_string(),
    );
    let requests = format!("{}{}{}", request(1), request(2), last);
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    let decisions: Vec<&str> = answers
        .split("{\"decision\":")
        .skip(1)
        .map(|rest| &rest[..4])
        .collect();
    assert_eq!(decisions, ["true", "fals", "true"]);
}

#[tokio::test]
async fn answers_that_nobody_reads_are_not_kept_without_bound() {
    use tokio::io::AsyncWriteExt;
    const BATCHES: usize = 400;
    let running = Running::start().await;
    let socket = tokio::net::UnixStream::connect(&running.socket)
        .await
        .unwrap();
    let (_never_read, mut write) = socket.into_split();
    let body = format!("{{\"evaluations\":[{}{{}}]}}", "{},".repeat(999));
    let batch = post("/access/v1/evaluations", "", &body).replace("connection: close\r\n", "");
    let writing = async move {
        for _ in 0..BATCHES {
            write.write_all(batch.as_bytes()).await.unwrap();
        }
        // Held open: an end would be another reason to stop.
        std::future::pending::<u64>().await
    };
    // Others are answered meanwhile, and are the clock: nothing more happens when many of them came
    // and went without another batch.
    let others = async {
        let (mut last, mut quiet) = (0, 0);
        while quiet < 300 {
            let status = running.get_unix("/v1/status").await.json();
            let denied = status["decisions"]["denied"].as_u64().unwrap();
            quiet = if denied == last { quiet + 1 } else { 0 };
            last = denied;
        }
        last
    };
    let last = tokio::select! {
        never = writing => never,
        last = others => last,
    };
    assert!(last > 0);
    assert!(last < 100 * 1000, "{last} items were answered to nobody");
}

#[tokio::test]
async fn the_metadata_names_the_configured_public_url() {
    let running = Running::with(|config| {
        config.public_url = Some("https://pdp.internal".to_owned());
    })
    .await;
    let metadata = running.get("/.well-known/authzen-configuration").await;
    assert_eq!(
        metadata.json(),
        json!({
            "policy_decision_point": "https://pdp.internal",
            "access_evaluation_endpoint": "https://pdp.internal/access/v1/evaluation",
            "access_evaluations_endpoint": "https://pdp.internal/access/v1/evaluations",
            "search_subject_endpoint": "https://pdp.internal/access/v1/search/subject",
            "search_resource_endpoint": "https://pdp.internal/access/v1/search/resource",
            "search_action_endpoint": "https://pdp.internal/access/v1/search/action",
        })
    );
}

#[tokio::test]
async fn every_endpoint_that_the_metadata_names_answers() {
    let running = Running::with(|config| {
        config.public_url = Some("https://pdp.internal".to_owned());
    })
    .await;
    let metadata = running.get("/.well-known/authzen-configuration").await;
    let body = question("acme", 1, "read").to_string();
    let mut endpoints = 0;
    for (name, url) in metadata.json().as_object().unwrap() {
        if name.ends_with("_endpoint") {
            let path = url.as_str().unwrap();
            let path = path.strip_prefix("https://pdp.internal").unwrap();
            let reply = running.raw_unix(&post(path, "", &body)).await;
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
            endpoints += 1;
        }
    }
    assert_eq!(endpoints, 5);
}

#[tokio::test]
async fn the_metadata_of_a_url_with_a_path_stands_between_host_and_path() {
    let running = Running::with(|config| {
        config.public_url = Some("https://pdp.internal/t1".to_owned());
    })
    .await;
    let metadata = running
        .get("/.well-known/authzen-configuration/t1?x=1")
        .await;
    assert_eq!(metadata.status, 200);
    assert!(metadata.head.contains("content-type: application/json"));
    assert_eq!(
        metadata.json()["policy_decision_point"],
        "https://pdp.internal/t1"
    );
    // Another decision point's document is not ours to give.
    let other = running.get("/.well-known/authzen-configuration").await;
    assert_eq!(other.status, 404);
    let posted = running.post("/.well-known/authzen-configuration/t1", "{}");
    assert_eq!(posted.await.status, 405);
}

#[tokio::test]
async fn members_in_any_order_and_members_unknown_are_fine() {
    let running = Running::start().await;
    let (one, acme) = (user(1), organization(1));
    let body = format!(
        r#"{{"x":[1],"context":{{"later":null,"organization":"{acme}"}},"resource":{{"id":"p","y":{{}},"type":"docs:page","properties":null}},
        "action":{{"z":1,"name":"write"}},"subject":{{"id":"{one}","type":"user"}}}}"#
    );
    let reply = running.post("/access/v1/evaluation", &body).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["decision"], true);
}

#[tokio::test]
async fn a_missing_or_ill_typed_required_member_is_400_with_a_message_that_names_it() {
    let running = Running::start().await;
    for (pointer, named) in [
        ("/subject", "`subject`"),
        ("/subject/type", "`subject.type`"),
        ("/subject/id", "`subject.id`"),
        ("/action", "`action`"),
        ("/action/name", "`action.name`"),
        ("/resource", "`resource`"),
        ("/resource/type", "`resource.type`"),
        ("/resource/id", "`resource.id`"),
    ] {
        for wrong in [json!(null), json!(7), json!([])] {
            let mut body = question("acme", 1, "write");
            *body.pointer_mut(pointer).unwrap() = wrong.clone();
            for path in ["/access/v1/evaluation", "/access/v1/evaluations"] {
                let reply = running.post(path, &body.to_string()).await;
                assert_eq!(reply.status, 400, "{pointer} {wrong} {path}");
                let detail = reply.json()["detail"].as_str().unwrap().to_owned();
                assert!(detail.contains(named), "{pointer} {wrong}: {detail}");
            }
        }
    }
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_the_threads() {
    use tokio::io::AsyncReadExt;
    let running = Running::start().await;
    let address = running.sidecar.bound()[0].tcp().unwrap();
    let mut idle = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(running.get("/healthz").await.status, 200);
    let stopped = running
        .tasks
        .shutdown(std::time::Duration::from_secs(20))
        .await;
    assert_eq!(stopped, Ok(()));
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap_or(0), 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_kept_for_a_person_who_watches_and_only_then() {
    let running = Running::start().await;
    let ask = async |action: &str| {
        let body = question("acme", 1, action).to_string();
        running.post("/access/v1/evaluation", &body).await.json()
    };
    ask("read").await;
    assert_eq!(running.sidecar.watch(), []);
    ask("write").await;
    ask("publish").await;
    let seen: Vec<_> = running
        .sidecar
        .watch()
        .into_iter()
        .map(|one| {
            let decision = one.outcome.decision.is_allow();
            (one.user, one.organization, one.permission, decision)
        })
        .collect();
    let of = |action: &str, decision| {
        (
            user(1),
            organization(1),
            format!("docs:page:{action}"),
            decision,
        )
    };
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.contains(&of("write", true)), "{seen:?}");
    assert!(seen.contains(&of("publish", false)), "{seen:?}");
    assert_eq!(running.sidecar.watch(), []);
}
