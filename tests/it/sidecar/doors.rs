//! The doors of proxies: each dialect, each kind of route, each way to be turned away.

use std::sync::Arc;
use std::time::Duration;

use doorward::domain::Secret;
use doorward::protocol::forward_auth::Dialect;
use doorward::protocol::jose::{Audience, Confirmation};
use doorward::runtime::SeededEntropy;
use doorward::runtime::config::Environment;
use doorward::runtime::tasks::Tasks;
use doorward::sidecar::app::Sidecar;
use doorward::sidecar::config::{Config, Listener};
use doorward::sidecar::forward_auth::DoorOutcome;
use doorward::sidecar::tokens::Rules;

use super::door_world::*;
use super::token_world::*;
use super::world::*;

const PAGE: &str = "app.test/o/acme/pages/p1";

#[tokio::test]
async fn whoever_has_role_and_scope_is_let_in_without_a_body_and_with_every_identity_header() {
    let doors = Doors::start().await;
    let token = doors.token(|_| {});
    for dialect in Dialect::HTTP {
        let about = format!("PUT {PAGE}?draft=1");
        let reply = doors.ask_with_token(dialect, &about, &token).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{dialect}");
        for (name, value) in [
            ("x-auth-user", user(1).to_string()),
            ("x-auth-client", "board".to_owned()),
            ("x-auth-org", organization(1).to_string()),
            ("content-length", "0".to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("doorward-reason", "roles".to_owned()),
            ("doorward-revision", "2".to_owned()),
            ("doorward-staleness-ms", "0".to_owned()),
        ] {
            assert_eq!(reply.header(name), Some(value.as_str()), "{dialect} {name}");
        }
    }
    let counts = doors.running.sidecar.counts();
    for dialect in Dialect::HTTP {
        assert_eq!(
            counts.doors[dialect as usize][DoorOutcome::Allowed as usize],
            1
        );
    }
}

#[tokio::test]
async fn a_remembered_token_and_member_are_read_from_nowhere_again() {
    let doors = Doors::with(|config| config.workers = 1).await;
    let token = doors.token(|_| {});
    let about = format!("GET {PAGE}");
    doors.ask_with_token(Dialect::Nginx, &about, &token).await;
    let reads = doors.running.sidecar.counts().sqlite_reads;
    for _ in 0..5 {
        let reply = doors.ask_with_token(Dialect::Nginx, &about, &token).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(doors.running.sidecar.counts().sqlite_reads, reads);
}

#[tokio::test]
async fn what_is_not_allowed_is_answered_as_the_proxy_understands() {
    let doors = Doors::start().await;
    let good = doors.token(|_| {});
    let reader = doors.token(|claims| claims.scope = "docs:read".to_owned());
    let bound = doors.token(|claims| claims.dw_org = Some(organization(2)));
    let second = doors.token(|claims| claims.sub = user(2).to_string());
    let page = format!("PUT {PAGE}");
    for dialect in Dialect::HTTP {
        let malformed = if dialect == Dialect::Nginx { 403 } else { 400 };
        for (about, token, status, reason) in [
            (&*page, "", 401, "anonymous"),
            (&*page, "nonsense", 401, "invalid_token"),
            (&*page, &*reader, 403, "scope"),
            (&*page, &*bound, 403, "other_organization"),
            (&*page, &*second, 403, "roles"),
            (
                "GET app.test/o/globex/pages/p1",
                &*second,
                403,
                "not_member",
            ),
            ("GET app.test/o/nobody/pages/p1", &*good, 403, "not_member"),
            (
                "GET app.test/o/No%20Slug/pages/p1",
                &*good,
                403,
                "not_member",
            ),
            ("DELETE app.test/o/acme/pages/p1", &*good, 403, "unmatched"),
            ("GET app.test/elsewhere", &*good, 403, "unmatched"),
            ("GET other.test/me", &*good, 403, "unmatched"),
            ("GET app.test/by-claim", &*good, 403, "organization_missing"),
            ("GET app.test/x/../me", &*good, malformed, "malformed"),
            ("GET app.test//me", &*good, malformed, "malformed"),
            ("GET app.test/%6de", &*good, malformed, "malformed"),
        ] {
            let reply = if token.is_empty() {
                doors.ask(dialect, about, "").await
            } else {
                doors.ask_with_token(dialect, about, token).await
            };
            assert_eq!(reply.status, status, "{dialect} {about} {reply:?}");
            assert_eq!(reply.header("doorward-reason"), Some(reason), "{about}");
            assert_eq!(
                (reply.body.as_str(), reply.header("x-auth-user")),
                ("", None)
            );
            let challenge = match reason {
                "anonymous" => Some("bearer, dpop algs=\"es256 rs256 ps256 eddsa\""),
                "invalid_token" => {
                    Some("bearer error=\"invalid_token\", dpop algs=\"es256 rs256 ps256 eddsa\"")
                }
                "scope" => Some("bearer error=\"insufficient_scope\""),
                _ => None,
            };
            assert_eq!(reply.header("www-authenticate"), challenge, "{about}");
        }
    }
}

#[tokio::test]
async fn a_token_is_judged_anew_at_every_request() {
    for (row, epoch) in [
        (user_row(1, "suspended", 0), "user"),
        (user_row(1, "active", 1), "user's epoch"),
        (client_row(1, "active", 1), "client's epoch"),
        (ended_session(1), "session"),
        (revoked_grant(1), "grant"),
    ] {
        let mut doors = Doors::start().await;
        let token = doors.token(|_| {});
        let ask = || doors.ask_with_token(Dialect::Traefik, "GET app.test/me", &token);
        assert_eq!(ask().await.status, 200);
        doors.running.apply(vec![row]);
        let reply = doors
            .ask_with_token(Dialect::Traefik, "GET app.test/me", &token)
            .await;
        assert_eq!(reply.status, 401, "{epoch}");
    }
    let mut doors = Doors::start().await;
    let (token, about) = (doors.token(|_| {}), format!("GET {PAGE}"));
    assert_eq!(
        doors
            .ask_with_token(Dialect::Caddy, &about, &token)
            .await
            .status,
        200
    );
    doors.running.apply(vec![no_member(1, 1)]);
    assert_eq!(
        doors
            .ask_with_token(Dialect::Caddy, &about, &token)
            .await
            .status,
        403
    );
    doors.running.clock.advance(Duration::from_mins(11));
    doors.freshen();
    let expired = doors.ask_with_token(Dialect::Caddy, &about, &token).await;
    assert_eq!(expired.status, 401);
}

#[tokio::test]
async fn tokens_for_others_and_tokens_that_need_a_proof_are_refused() {
    let doors = Doors::start().await;
    for (token, reason) in [
        (
            doors.token(|claims| claims.aud = Audience::One(ISSUER.to_owned())),
            "invalid_token",
        ),
        (
            doors.token(|claims| claims.iss = "https://other.example".to_owned()),
            "invalid_token",
        ),
        (
            doors.token(|claims| {
                claims.cnf = Some(Confirmation {
                    jkt: "thumbprint".to_owned(),
                });
            }),
            "bound_token",
        ),
    ] {
        let reply = doors
            .ask_with_token(Dialect::Envoy, "GET app.test/me", &token)
            .await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("doorward-reason"), Some(reason));
    }
}

#[tokio::test]
async fn credentials_that_are_two_or_of_another_scheme_are_refused() {
    let doors = Doors::start().await;
    let token = doors.token(|_| {});
    for (headers, status) in [
        (format!("authorization: bearer {token}\r\n"), 200),
        (
            format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n"),
            400,
        ),
        (
            format!("authorization: Bearer {token},Bearer {token}\r\n"),
            400,
        ),
        (format!("authorization: Bearer {token} {token}\r\n"), 400),
        (format!("authorization: DPoP {token}\r\n"), 401),
        ("authorization: Basic YTpi\r\n".to_owned(), 401),
        ("authorization: Bearer\r\n".to_owned(), 401),
        ("authorization:\r\n".to_owned(), 401),
    ] {
        let reply = doors.ask(Dialect::Plain, "GET app.test/me", &headers).await;
        assert_eq!(reply.status, status, "{headers}");
    }
}

#[tokio::test]
async fn a_public_route_looks_at_no_credentials_and_empties_every_identity_header() {
    let doors = Doors::start().await;
    doors.running.clock.advance(Duration::from_hours(1));
    for headers in [
        "",
        "authorization: Bearer nonsense\r\n",
        "x-auth-user: root\r\n",
    ] {
        for host in ["app.test", "APP.test.:8443", "acme.app.test"] {
            let about = format!("GET {host}/health");
            let reply = doors.ask(Dialect::Nginx, &about, headers).await;
            assert_eq!(reply.status, 200, "{host}");
            for name in ["x-auth-user", "x-auth-client", "x-auth-org"] {
                assert_eq!(reply.header(name), Some(""), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_for_itself_is_no_signed_in_user_and_may_what_its_scopes_name() {
    let doors = Doors::start().await;
    let own = doors.token(|claims| {
        claims.sub = "board".to_owned();
        claims.dw_client_epoch = None;
        (claims.sid, claims.gid) = (None, None);
    });
    let me = doors
        .ask_with_token(Dialect::Nginx, "GET app.test/me", &own)
        .await;
    assert_eq!(
        (me.status, me.header("doorward-reason")),
        (403, Some("not_a_user"))
    );
    let page = format!("PUT {PAGE}");
    let page = doors.ask_with_token(Dialect::Nginx, &page, &own).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("x-auth-user"), Some(""));
    assert_eq!(page.header("x-auth-client"), Some("board"));
}

#[tokio::test]
async fn the_organization_comes_from_where_the_route_says() {
    let doors = Doors::start().await;
    let token = doors.token(|_| {});
    let bound = doors.token(|claims| claims.dw_org = Some(organization(2)));
    let id = organization(1).to_string();
    for (about, token, headers, status, org) in [
        ("GET acme.app.test/pages/a/b", &token, String::new(), 200, 1),
        ("GET globex.app.test/pages", &token, String::new(), 200, 2),
        ("GET nobody.app.test/pages", &token, String::new(), 403, 0),
        (
            "GET app.test/by-header",
            &token,
            "x-organization: globex\r\n".into(),
            200,
            2,
        ),
        (
            "GET app.test/by-header",
            &token,
            format!("x-organization: {id}\r\n"),
            200,
            1,
        ),
        ("GET app.test/by-header", &token, String::new(), 403, 0),
        (
            "GET app.test/by-header",
            &token,
            "x-organization: acme\r\nx-organization: acme\r\n".into(),
            400,
            0,
        ),
        (
            "GET app.test/by-header",
            &token,
            "x-organization: acme\r\nx_organization: globex\r\n".into(),
            400,
            0,
        ),
        (
            "GET app.test/by-header",
            &token,
            "x-organization: acme\r\nconnection: close, X-Organization\r\n".into(),
            400,
            0,
        ),
        ("GET app.test/by-claim", &bound, String::new(), 200, 2),
        ("GET app.test/by-constant", &token, String::new(), 200, 1),
        ("GET app.test/by-constant", &bound, String::new(), 403, 0),
    ] {
        let headers = format!("authorization: Bearer {token}\r\n{headers}");
        let reply = doors.ask(Dialect::Caddy, about, &headers).await;
        assert_eq!(reply.status, status, "{about} {headers}");
        let wanted = (org > 0).then(|| organization(org).to_string());
        assert_eq!(reply.header("x-auth-org"), wanted.as_deref(), "{about}");
    }
}

#[tokio::test]
async fn a_preflight_passes_where_the_route_of_the_method_it_asks_for_says_so() {
    let doors = Doors::start().await;
    let preflight = |method: &str| {
        format!("origin: https://b.test\r\naccess-control-request-method: {method}\r\n")
    };
    let about = format!("OPTIONS {PAGE}");
    for (headers, status) in [
        (preflight("PUT"), 200),
        (preflight("GET"), 403),
        (preflight("DELETE"), 403),
        (
            format!("{}authorization: Bearer x\r\n", preflight("PUT")),
            403,
        ),
        ("access-control-request-method: PUT\r\n".to_owned(), 403),
        (String::new(), 403),
    ] {
        for dialect in Dialect::HTTP {
            let reply = doors.ask(dialect, &about, &headers).await;
            assert_eq!(reply.status, status, "{dialect} {headers}");
        }
    }
}

#[tokio::test]
async fn facts_older_than_the_route_or_the_listener_allows_open_no_door() {
    let token = |doors: &Doors| doors.token(|claims| claims.exp += 86_400);
    let doors = Doors::start().await;
    let by_default = ("GET app.test/me", 600);
    let by_route = ("GET acme.app.test/pages", 60);
    for (about, bound) in [by_default, by_route] {
        doors.freshen();
        doors.running.clock.advance(Duration::from_secs(bound));
        let reply = doors
            .ask_with_token(Dialect::Envoy, about, &token(&doors))
            .await;
        assert_eq!(reply.status, 200, "{about}");
        doors.running.clock.advance(Duration::from_secs(1));
        let reply = doors
            .ask_with_token(Dialect::Envoy, about, &token(&doors))
            .await;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, Some("1"))
        );
        assert_eq!(reply.header("doorward-reason"), Some("stale"));
    }
    let doors = Doors::with(|config| {
        config.listeners[0].deny_beyond = Some(Duration::from_secs(5));
    })
    .await;
    for (seconds, status) in [(5, 200), (1, 503)] {
        doors.running.clock.advance(Duration::from_secs(seconds));
        for (about, _) in [by_default, by_route] {
            let reply = doors
                .ask_with_token(Dialect::Nginx, about, &token(&doors))
                .await;
            assert_eq!(reply.status, status, "{about}");
        }
    }
}

#[tokio::test]
async fn a_door_is_where_the_listener_has_one() {
    let about = "GET app.test/health";
    let doors = Doors::with(|config| config.listeners[0].forward_auth = Some(false)).await;
    assert_eq!(doors.ask(Dialect::Nginx, about, "").await.status, 404);
    let unix = doors
        .running
        .raw_unix(&asking(Dialect::Nginx, about, ""))
        .await;
    assert_eq!(unix.status, 200);
    assert_eq!(
        Running::start()
            .await
            .raw(&asking(Dialect::Nginx, about, ""))
            .await
            .status,
        404
    );
    for (said, status) in [(None, 404), (Some(true), 200)] {
        let doors = Doors::with(|config| {
            config.listeners[0].address = "0.0.0.0:0".parse().unwrap();
            config.listeners[0].remote = true;
            config.listeners[0].forward_auth = said;
            config.credential = Some(Secret::new("c".to_owned()));
        })
        .await;
        assert_eq!(doors.ask(Dialect::Nginx, about, "").await.status, status);
    }
}

#[tokio::test]
async fn only_envoy_may_send_the_host_of_the_original_request() {
    let doors = Doors::start().await;
    for dialect in Dialect::HTTP {
        let request = asking(dialect, "GET app.test/health", "").replace("localhost", "evil.test");
        let status = doors.running.raw(&request).await.status;
        assert_eq!(status, if dialect == Dialect::Envoy { 200 } else { 421 });
    }
    let absolute = "GET http://app.test/forward-auth/envoy/health HTTP/1.1\r\nhost: app.test\r\n\
                    connection: close\r\n\r\n";
    assert_eq!(doors.running.raw(absolute).await.status, 421);
    let upgraded = asking(
        Dialect::Plain,
        "GET app.test/health",
        "upgrade: websocket\r\n",
    );
    assert_eq!(doors.running.raw(&upgraded).await.status, 200);
}

#[tokio::test]
async fn the_query_of_the_proxys_own_request_means_nothing() {
    let doors = Doors::start().await;
    let request = asking(Dialect::Caddy, "GET app.test/me", "");
    let steered = request.replace(
        "/forward-auth/caddy",
        "/forward-auth/caddy?uri=/health&policy=open",
    );
    assert_eq!(doors.running.raw(&steered).await.status, 401);
    for path in [
        "/forward-auth/",
        "/forward-auth/apache",
        "/forward-auth/nginx/health",
    ] {
        assert_eq!(doors.running.get(path).await.status, 404, "{path}");
    }
    let published = doors.running.get("/forward-auth").await.json();
    assert_eq!(published["identity"][0], "x-auth-user");
    assert!(
        published["strip"]
            .as_array()
            .unwrap()
            .contains(&"x-original-url".into())
    );
}

#[tokio::test]
async fn a_large_cookie_keeps_nobody_out() {
    let doors = Doors::start().await;
    let token = doors.token(|_| {});
    let headers = format!(
        "authorization: Bearer {token}\r\ncookie: {}\r\n",
        "c".repeat(12_000)
    );
    let reply = doors.ask(Dialect::Caddy, "GET app.test/me", &headers).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn routes_that_are_wrong_or_let_in_by_token_without_saying_whose_do_not_start() {
    let start = |routes: &str, tokens: Option<Rules>| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_data(folder.path());
        let file = folder.path().join("routes.toml");
        std::fs::write(&file, routes).unwrap();
        config.routes = Some(file);
        config.tokens = tokens;
        config.listeners = vec![Listener::at("127.0.0.1:0".parse().unwrap())];
        let tasks = Tasks::new();
        let started = Sidecar::start(
            &config,
            None,
            (clock() as _, Arc::new(SeededEntropy::new(7))),
            &Environment::default(),
            &tasks,
        );
        tasks.stop().request();
        started.err().map(|error| error.to_string())
    };
    let wrong = start(
        &ROUTES.replace("capture:org", "capture:nope"),
        Some(rules()),
    );
    let wrong = wrong.unwrap();
    assert!(
        wrong.contains("`read`") && wrong.contains("`organization`"),
        "{wrong}"
    );
    assert!(start(ROUTES, None).unwrap().contains("tokens.issuer"));
    assert_eq!(start(ROUTES, Some(rules())), None);
    let public =
        "[[route]]\nname = \"all\"\nhosts = [\"*\"]\npath = \"/{rest...}\"\npublic = true\n";
    assert_eq!(start(public, None), None);
}
