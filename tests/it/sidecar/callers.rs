//! Known callers: what each may ask for, and about which services.

use doorward::domain::Secret;
use doorward::sidecar::callers::{Ask, CallerConfig};
use serde_json::json;

use super::world::*;

fn caller(name: &str, may: &[Ask]) -> CallerConfig {
    CallerConfig {
        name: name.to_owned(),
        credential: Some(Secret::new(format!("secret of {name}"))),
        uid: None,
        may: may.to_vec(),
        services: Vec::new(),
    }
}

fn bearer(name: &str) -> String {
    format!("authorization: Bearer secret of {name}\r\n")
}

/// Each question with what has to be allowed for it.
fn questions() -> Vec<(Ask, String)> {
    let body = question("acme", 1, "read").to_string();
    let of = |path: &str| post(path, "AUTH", &body);
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nAUTHconnection: close\r\n\r\n")
    };
    vec![
        (Ask::Check, of("/access/v1/evaluation")),
        (Ask::Check, of("/access/v1/evaluations")),
        (
            Ask::Check,
            get(&format!(
                "/v1/check?user={}&organization=acme&permission=docs:page:read",
                user(1)
            )),
        ),
        (Ask::Search, of("/access/v1/search/subject")),
        (Ask::Search, of("/access/v1/search/resource")),
        (Ask::Search, of("/access/v1/search/action")),
        (Ask::Plan, of("/v1/plan")),
        (Ask::Explain, of("/v1/explain")),
        (Ask::Status, get("/v1/status")),
        (Ask::Metrics, get("/metrics")),
    ]
}

#[tokio::test]
async fn a_caller_may_ask_for_what_its_configuration_says_and_is_403_for_the_rest() {
    let running = Running::with(|config| {
        config.callers = Ask::ALL
            .into_iter()
            .map(|ask| caller(ask.word(), &[ask]))
            .collect();
    })
    .await;
    for held in Ask::ALL {
        for (wanted, request) in questions() {
            let request = request.replace("AUTH", &bearer(held.word()));
            let status = if held == wanted { 200 } else { 403 };
            for reply in [
                running.raw(&request).await,
                running.raw_unix(&request).await,
            ] {
                assert_eq!(reply.status, status, "{held:?}: {request}: {reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_unix_socket_may_be_for_known_callers_and_for_the_users_that_are_named() {
    let own = own_uid();
    for (uid, status) in [(own, 200), (own + 1, 401)] {
        let running = Running::with(|config| {
            config.listeners[1].anonymous = Some(vec![Ask::Check]);
            config.callers = vec![CallerConfig {
                credential: None,
                uid: Some(uid),
                ..caller("me", &[Ask::Check, Ask::Plan])
            }];
        })
        .await;
        let body = question("acme", 1, "read").to_string();
        let plan = running.raw_unix(&post("/v1/plan", "", &body)).await;
        assert_eq!(plan.status, status);
        let check = running
            .raw_unix(&post("/access/v1/evaluation", "", &body))
            .await;
        assert_eq!(check.status, 200);
        // The user of a TCP connection is not known.
        let tcp = running.post("/v1/plan", &body).await;
        assert_eq!(tcp.status, 401);
        assert!(tcp.head.contains("www-authenticate: bearer"));
    }
}

/// The user that these tests run as: the owner of what they make.
fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().metadata().unwrap().uid()
}

#[tokio::test]
async fn a_caller_of_one_service_learns_nothing_about_another() {
    let running = Running::with(|config| {
        let all = [Ask::Check, Ask::Search, Ask::Plan, Ask::Explain];
        let of = |name: &str, service: &str| CallerConfig {
            services: vec![service.parse().unwrap()],
            ..caller(name, &all)
        };
        config.callers = vec![of("docs", "docs"), of("billing", "billing")];
    })
    .await;
    let about_checks = questions()
        .into_iter()
        .filter(|(ask, _)| !matches!(ask, Ask::Status | Ask::Metrics))
        .map(|(_, request)| request);
    for request in about_checks {
        for (name, status) in [("docs", 200), ("billing", 403)] {
            let reply = running
                .raw_unix(&request.replace("AUTH", &bearer(name)))
                .await;
            assert_eq!(reply.status, status, "{name} {request} {reply:?}");
            assert!(reply.head.contains("content-type"), "{reply:?}");
        }
    }
    // In a batch it is the item's affair.
    let mut batch = question("acme", 1, "read");
    batch["evaluations"] = json!([{}, {"resource": {"type": "billing:invoice", "id": "1"}}]);
    let reply = running
        .raw_unix(&post(
            "/access/v1/evaluations",
            &bearer("docs"),
            &batch.to_string(),
        ))
        .await;
    let answer = reply.json();
    assert_eq!(answer["evaluations"][0]["decision"], true);
    assert_eq!(answer["evaluations"][1]["decision"], false);
    assert_eq!(answer["evaluations"][1]["context"]["error"]["status"], 403);
}

#[tokio::test]
async fn a_bearer_token_that_is_no_callers_says_nothing() {
    let running = Running::with(|config| {
        config.callers = vec![caller("known", &[Ask::Search])];
    })
    .await;
    let body = question("acme", 1, "read").to_string();
    let foreign = "authorization: Bearer a user's token\r\n";
    let check = running
        .post_with("/access/v1/evaluation", foreign, &body)
        .await;
    assert_eq!(check.status, 200);
    let search = running
        .post_with("/access/v1/search/subject", foreign, &body)
        .await;
    assert_eq!(search.status, 401);
    assert_eq!(
        running
            .raw_unix(&post("/access/v1/search/subject", foreign, &body))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn loopback_tcp_may_be_closed_to_those_without_a_credential() {
    let running = Running::with(|config| {
        config.listeners[0].anonymous = Some(Vec::new());
        config.callers = vec![caller("known", &[Ask::Check])];
    })
    .await;
    let body = question("acme", 1, "read").to_string();
    assert_eq!(
        running.post("/access/v1/evaluation", &body).await.status,
        401
    );
    let known = running
        .post_with("/access/v1/evaluation", &bearer("known"), &body)
        .await;
    assert_eq!(known.status, 200);
    assert_eq!(running.get("/healthz").await.status, 200);
}
