//! Who may ask what, over which transport.

use doorward::domain::Secret;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;

#[tokio::test]
async fn loopback_tcp_answers_checks_and_health_only() {
    let running = Running::start().await;
    let body = question("acme", 1, "write").to_string();
    assert_eq!(running.get("/healthz").await.status, 200);
    assert_eq!(running.get("/readyz").await.status, 200);
    for path in ["/v1/status", "/metrics"] {
        let reply = running.get(path).await;
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.head.contains("www-authenticate: bearer"));
        assert_eq!(running.get_unix(path).await.status, 200, "{path}");
    }
    assert_eq!(running.post("/v1/explain", &body).await.status, 401);
    let explained = running
        .post_with("/access/v1/evaluation", "doorward-explain: true\r\n", &body)
        .await;
    assert_eq!(explained.status, 401);
}

#[tokio::test]
async fn the_credential_opens_the_rest_over_tcp() {
    let running = Running::with(|config| {
        config.credential = Some(Secret::new("open sesame".to_owned()));
    })
    .await;
    let with = |bearer: &str| {
        format!(
            "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {bearer}\r\n\
             connection: close\r\n\r\n"
        )
    };
    assert_eq!(running.raw(&with("open sesame")).await.status, 200);
    assert_eq!(running.raw(&with("open")).await.status, 401);
    assert_eq!(running.raw(&with("")).await.status, 401);
}

#[tokio::test]
async fn a_host_that_is_neither_loopback_nor_configured_is_turned_away() {
    let running = Running::with(|config| {
        config.listeners[0].hosts = vec!["pdp.internal".to_owned()];
    })
    .await;
    let with = |hosts: &str| format!("GET /healthz HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
    for (hosts, wanted) in [
        ("host: localhost:7181\r\n", 200),
        ("host: 127.0.0.1\r\n", 200),
        ("host: [::1]:9\r\n", 200),
        ("host: PDP.internal:1\r\n", 200),
        ("host: evil.example\r\n", 421),
        ("host: localhost.evil.example\r\n", 421),
        ("host: localhost\r\nhost: evil.example\r\n", 421),
        ("", 421),
    ] {
        assert_eq!(running.raw(&with(hosts)).await.status, wanted, "{hosts}");
    }
    // A name in the request line goes before the header.
    for (target, wanted) in [
        ("http://localhost:1/healthz", 200),
        ("http://evil.example/healthz", 421),
        ("http://localhost@evil.example/healthz", 421),
        ("http://evil@localhost/healthz", 421),
    ] {
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert_eq!(running.raw(&request).await.status, wanted, "{target}");
    }
    // Over the Unix socket there is no name to be misled by.
    assert_eq!(running.raw_unix(&with("host: x\r\n")).await.status, 200);
}

#[tokio::test]
async fn an_explanation_names_the_role_that_grants_and_the_nearest_miss() {
    let running = Running::start().await;
    let ask = async |who: u128, action: &str| {
        let body = question("acme", who, action).to_string();
        let reply = running.raw_unix(&post("/v1/explain", "", &body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let granted = ask(1, "write").await;
    assert_eq!(granted["decision"], true);
    assert_eq!(
        granted["context"]["explanation"]["cause"],
        json!({"kind": "granted", "roles": ["docs/editor"], "policies": []})
    );
    let missed = ask(2, "write").await;
    assert_eq!(missed["decision"], false);
    assert_eq!(
        missed["context"]["explanation"]["cause"],
        json!({"kind": "not_held", "granting": ["docs/editor"]})
    );
    assert_eq!(missed["context"]["reason"]["code"], "roles");
    let stranger = ask(3, "write").await;
    assert_eq!(stranger["context"]["reason"]["code"], "not_member");
    let unknown = ask(1, "fly").await;
    let declared = &unknown["context"]["explanation"]["cause"]["declared"];
    assert!(
        declared
            .as_array()
            .unwrap()
            .contains(&json!("docs:page:read"))
    );
}

#[tokio::test]
async fn metrics_count_decisions_by_outcome_and_reason() {
    let running = Running::start().await;
    for who in [1, 1, 2, 3] {
        let body = question(&organization(1).to_string(), who, "write").to_string();
        running.post("/access/v1/evaluation", &body).await;
    }
    running.post("/access/v1/evaluation", "[]").await;
    let text = running.get_unix("/metrics").await.body;
    for line in [
        r#"doorward_sidecar_decisions_total{decision="allow",reason="roles"} 2"#,
        r#"doorward_sidecar_decisions_total{decision="deny",reason="roles"} 1"#,
        r#"doorward_sidecar_decisions_total{decision="deny",reason="not_member"} 1"#,
        "doorward_sidecar_copy_reads_total 3",
        "doorward_sidecar_refused_requests_total 1",
        "doorward_sidecar_revision 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("doorward_sidecar_staleness_seconds"));
    // No id of anybody in any label.
    assert!(!text.contains(&user(1).to_string()));
}

#[tokio::test]
async fn without_a_copy_it_is_not_ready_and_denies_with_that_reason() {
    use doorward::runtime::config::Environment;
    use doorward::runtime::tasks::Tasks;
    use doorward::sidecar::app::Sidecar;
    use doorward::sidecar::config::{Config, Listener};
    let folder = tempfile::TempDir::new().unwrap();
    let mut config = Config::for_data(folder.path());
    config.listeners = vec![Listener::at("127.0.0.1:0".parse().unwrap())];
    let tasks = Tasks::new();
    let sidecar = Sidecar::start(
        &config,
        None,
        (
            clock(),
            std::sync::Arc::new(doorward::runtime::SeededEntropy::new(1)),
        ),
        &Environment::default(),
        &tasks,
    )
    .unwrap();
    let mut worker = doorward::sidecar::decide::Worker::new(sidecar.state());
    for named in ["acme".to_owned(), organization(1).to_string()] {
        let body = question(&named, 1, "write").to_string();
        let answer = doorward::sidecar::http::evaluation(
            sidecar.state(),
            &mut worker,
            &doorward::sidecar::http::Terms::default(),
            body.as_bytes(),
        )
        .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["context"]["reason"]["code"], "no_copy");
        assert_eq!(answer["context"]["revision"], 0);
    }
    let address = sidecar.bound()[0].tcp().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[tokio::test]
async fn tcp_beyond_loopback_does_not_start_unless_it_is_said_and_guarded() {
    use doorward::runtime::config::Environment;
    use doorward::runtime::tasks::Tasks;
    use doorward::sidecar::app::{Sidecar, StartError};
    use doorward::sidecar::config::{Config, Listener};
    let folder = tempfile::TempDir::new().unwrap();
    let mut config = Config::for_data(folder.path());
    config.listeners = vec![Listener::at("0.0.0.0:0".parse().unwrap())];
    let start = |config: &Config| {
        Sidecar::start(
            config,
            None,
            (
                clock(),
                std::sync::Arc::new(doorward::runtime::SeededEntropy::new(1)),
            ),
            &Environment::default(),
            &Tasks::new(),
        )
    };
    assert!(matches!(start(&config), Err(StartError::Exposed(_))));
    config.listeners[0].remote = true;
    assert!(matches!(start(&config), Err(StartError::Exposed(_))));
}

#[tokio::test]
async fn who_holds_every_connection_over_tcp_keeps_nobody_from_the_unix_socket() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let running = Running::with(|config| config.max_connections = 1).await;
    let address = running.sidecar.bound()[0].tcp().unwrap();
    let mut idle = tokio::net::TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    assert_eq!(running.get_unix("/healthz").await.status, 200);
}
