//! One story for each proxy: the sidecar is down, comes, decides, grows stale and goes.

use std::fmt::Write as _;
use std::time::Duration;

use doorward::protocol::forward_auth::Dialect;
use doorward::sidecar::config::Protocol;

use super::app;
use super::proxy::{Proxy, free, is_there};
use crate::sidecar::door_world::Doors;
use crate::sidecar::possession::Holder;
use crate::sidecar::world::{organization, user};

const PAGE: &str = "/orgs/acme/pages/p1";

/// Everything that differs between proxies: what a client is answered.
struct Expected {
    dialect: Dialect,
    /// While the sidecar does not answer.
    down: u16,
    /// A sidecar that cannot tell.
    unsure: u16,
    /// A request that the sidecar refuses for its form.
    malformed: u16,
    /// Two `Authorization` headers.
    twice: &'static [u16],
}

const NGINX: Expected = Expected {
    dialect: Dialect::Nginx,
    down: 500,
    unsure: 500,
    malformed: 403,
    twice: &[400],
};

const TRAEFIK: Expected = Expected {
    dialect: Dialect::Traefik,
    down: 500,
    unsure: 503,
    malformed: 400,
    twice: &[400],
};

const CADDY: Expected = Expected {
    dialect: Dialect::Caddy,
    down: 502,
    unsure: 503,
    malformed: 400,
    twice: &[400],
};

const HAPROXY: Expected = Expected {
    dialect: Dialect::Haproxy,
    down: 503,
    unsure: 503,
    malformed: 400,
    twice: &[400],
};

const ENVOY: Expected = Expected {
    dialect: Dialect::Envoy,
    down: 503,
    unsure: 503,
    malformed: 400,
    twice: &[400],
};

const ENVOY_GRPC: Expected = Expected {
    dialect: Dialect::EnvoyGrpc,
    ..ENVOY
};

struct Story {
    expected: Expected,
    proxy: Proxy,
    doors: Doors,
}

impl Story {
    /// Starts the proxy alone, sees that nobody passes, then starts the sidecar.
    async fn begin(expected: Expected) -> Option<Self> {
        if !is_there(expected.dialect) {
            return None;
        }
        let (sidecar, app) = (free(), app::start().await);
        let proxy = Proxy::start(expected.dialect, sidecar, app).await;
        let down = proxy.get("GET /health", "").await;
        assert_eq!(down.status, expected.down, "{}", proxy.log());
        assert!(down.app().is_none());
        let doors = Doors::with(|config| {
            let routes = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/proxies/routes.toml");
            config.routes = Some(routes.into());
            config.listeners[0].address = sidecar.to_string().parse().unwrap();
            if expected.dialect == Dialect::EnvoyGrpc {
                config.listeners[0].protocol = Protocol::EnvoyGrpc;
            }
        })
        .await;
        Some(Self {
            expected,
            proxy,
            doors,
        })
    }

    fn bearer(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.doors.token(|_| {}))
    }

    /// Asks, and expects a status and that the app was asked only by what passed.
    async fn expect(&self, line: &str, headers: &str, statuses: &[u16]) -> super::proxy::Answer {
        let answer = self.proxy.get(line, headers).await;
        assert!(
            statuses.contains(&answer.status),
            "{line} {headers}: {answer:?}\n{}",
            self.proxy.log()
        );
        assert_eq!(answer.app().is_some(), answer.status == 200, "{answer:?}");
        answer
    }

    async fn run(self) {
        self.decides().await;
        self.forms_are_refused().await;
        self.proofs_open_for_whoever_has_the_key().await;
        self.nothing_is_smuggled().await;
        self.paths_are_not_played_with().await;
        self.web_sockets_and_preflights().await;
        self.ends().await;
    }

    async fn decides(&self) {
        let bearer = self.bearer();
        let public = self.expect("GET /health", "", &[200]).await;
        let nobody = public.app_header("x-auth-user");
        assert!(nobody.iter().all(String::is_empty), "{nobody:?}");
        let anonymous = self.expect("GET /me", "", &[401]).await;
        let lower = anonymous.text.to_ascii_lowercase();
        assert!(lower.contains("www-authenticate: bearer"), "{lower}");
        self.expect("GET /me", "authorization: Bearer nonsense\r\n", &[401])
            .await;
        let me = self.expect("GET /me", &bearer, &[200]).await;
        assert_eq!(me.app_header("x-auth-user"), [user(1).to_string()]);
        let line = format!("PUT {PAGE}?draft=1");
        let write = self
            .expect(&line, &format!("{bearer}content-length: 0\r\n"), &[200])
            .await;
        assert_eq!(
            write.app_header("x-auth-org"),
            [organization(1).to_string()]
        );
        assert_eq!(write.app_header("x-auth-client"), ["board"]);
        assert!(
            write
                .app()
                .unwrap()
                .starts_with("put /orgs/acme/pages/p1?draft=1 http/1.")
        );
        let other = format!("PUT {}", PAGE.replace("acme", "globex"));
        self.expect(&other, &format!("{bearer}content-length: 0\r\n"), &[403])
            .await;
        self.expect("GET /nothing", &bearer, &[403]).await;
        self.expect("GET /_doorward", &bearer, &[403, 404]).await;
        let unknown = self
            .proxy
            .raw("GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
        assert!(unknown.await.app().is_none());
    }

    async fn forms_are_refused(&self) {
        let (bearer, malformed) = (self.bearer(), self.expected.malformed);
        let twice = format!("{bearer}{bearer}");
        self.expect("GET /me", &twice, self.expected.twice).await;
        let joined = bearer.replace("\r\n", ", Bearer x\r\n");
        self.expect("GET /me", &joined, &[malformed]).await;
        for scheme in ["DPoP", "Basic"] {
            self.expect("GET /me", &bearer.replace("Bearer", scheme), &[401])
                .await;
        }
        let long = format!("{bearer}cookie: {}\r\n", "c".repeat(6_000));
        self.expect("GET /me", &long, &[200]).await;
        let mut many = bearer;
        for number in 0..150 {
            write!(many, "x-{number}: y\r\n").unwrap();
        }
        let answer = self.proxy.get("GET /me", &many).await;
        assert!(answer.status == 200 || answer.app().is_none(), "{answer:?}");
    }

    /// Tokens that are bound to a key. The shipped routes say under which origin the app is known.
    async fn proofs_open_for_whoever_has_the_key(&self) {
        let holder = Holder::new(&self.doors);
        let origin = "http://app.example:8080";
        let prove = |method, path| {
            let proof = holder.proof(&self.doors, method, &format!("{origin}{path}"));
            holder.headers(&proof)
        };
        let me = prove("GET", "/me");
        for _ in 0..2 {
            let answer = self.expect("GET /me?a=b", &me, &[200]).await;
            assert_eq!(answer.app_header("x-auth-user"), [user(1).to_string()]);
            // The app may check it again.
            assert_eq!(answer.app_header("dpop").len(), 1);
        }
        let write = format!("{}content-length: 0\r\n", prove("PUT", PAGE));
        self.expect(&format!("PUT {PAGE}"), &write, &[200]).await;
        let (_, proof) = me.split_once("dpop: ").unwrap();
        for (wrong, statuses) in [
            (me.replace("DPoP ey", "Bearer ey"), vec![401]),
            (me.replace(&format!("dpop: {proof}"), ""), vec![401]),
            (prove("POST", "/me"), vec![401]),
            (prove("GET", "/health"), vec![401]),
            (
                format!("{me}dpop: {proof}"),
                vec![self.expected.malformed, 401],
            ),
            (
                // Some proxies keep `Connection` to themselves, and hand the proof on all the same.
                format!("{me}connection: dpop\r\n"),
                vec![self.expected.malformed, 401, 200],
            ),
        ] {
            let answer = self.expect("GET /me", &wrong, &statuses).await;
            if answer.status == 401 {
                let lower = answer.text.to_ascii_lowercase();
                let challenge = lower.split("www-authenticate: dpop error=").nth(1);
                assert!(
                    challenge.is_some_and(|rest| rest.contains("algs=")),
                    "{lower}"
                );
            }
        }
        let anonymous = self.expect("GET /me", "", &[401]).await;
        let lower = anonymous.text.to_ascii_lowercase();
        assert!(lower.contains("bearer, dpop algs=\"es256"), "{lower}");
    }

    /// Headers by which a client would be somebody else, or ask about something else.
    async fn nothing_is_smuggled(&self) {
        let bearer = self.bearer();
        let spoofed = "x-auth-user: root\r\nx-auth-org: root\r\nx-auth-client: root\r\n";
        for (line, headers) in [
            ("GET /health", spoofed.to_owned()),
            ("GET /me", format!("{spoofed}{bearer}")),
            ("GET /me", format!("{bearer}{spoofed}{spoofed}")),
            (
                "GET /me",
                format!("{bearer}connection: x-auth-user\r\n{spoofed}"),
            ),
            ("GET /me", format!("{bearer}connection: x-auth-user\r\n")),
            ("GET /health", "x_auth_user: root\r\n".to_owned()),
            (
                "GET /me",
                format!("{bearer}x_auth_user: root\r\nx-auth_org: root\r\n"),
            ),
        ] {
            let answer = self.proxy.get(line, &headers).await;
            let Some(app) = answer.app() else {
                assert!((400..500).contains(&answer.status), "{headers}: {answer:?}");
                continue;
            };
            assert!(!app.contains("root"), "{line} {headers}: {app}");
            if line == "GET /me" {
                assert_eq!(answer.app_header("x-auth-user"), [user(1).to_string()]);
            }
        }
        for name in [
            "x-original-url",
            "x-original-uri",
            "x-original-method",
            "x-original-host",
            "x-rewrite-url",
            "x-forwarded-uri",
            "x-forwarded-method",
            "x-forwarded-host",
            "x_forwarded_uri",
            "x_original_uri",
            "doorward-uri",
            "x-http-method-override",
            "connection",
        ] {
            let value = if name == "connection" {
                "x-forwarded-uri, x-original-uri"
            } else {
                "/health"
            };
            for value in [value, "OPTIONS", "http://app.example/health"] {
                let answer = self
                    .proxy
                    .get("GET /me", &format!("{name}: {value}\r\n"))
                    .await;
                assert!(answer.app().is_none(), "{name}: {value}: {answer:?}");
                assert!((400..500).contains(&answer.status), "{name}: {answer:?}");
            }
        }
    }

    /// `/health` is open, `/me` is not: no spelling of one leads to the other.
    async fn paths_are_not_played_with(&self) {
        for path in [
            "/health/../me",
            "/health/%2e%2e/me",
            "/./me",
            "//me",
            "/health//../me",
            "/%6de",
            "/health%2f..%2fme",
            "/health/..;/me",
            "/health;/../me",
            "/health\\..\\me",
            "/health%5c..%5cme",
            "/health%00",
            "/me%00/../health",
            "/health#/../me",
            "/health?/../me#",
            "*",
            "http://app.example/me",
            "http://evil.example/me",
            "/%2568ealth",
        ] {
            let answer = self.proxy.get(&format!("GET {path}"), "").await;
            let Some(app) = answer.app() else {
                continue;
            };
            // What passes without a token is what is open, in the plainest spelling.
            let target = app.split(' ').nth(1).unwrap();
            let plain = target.split('?').next().unwrap();
            assert_eq!(plain, "/health", "{path}: {app}");
        }
        let absolute = self.proxy.get("GET http://app.example/health", "").await;
        if let Some(app) = absolute.app() {
            assert!(app.contains("host: app.example"), "{app}");
        }
        self.expect("GET /health?x=/../me", "", &[200]).await;
    }

    async fn web_sockets_and_preflights(&self) {
        assert_eq!(self.proxy.web_socket("").await, Err(401));
        assert_eq!(self.proxy.web_socket(&self.bearer()).await, Ok(()));
        let preflight = "origin: https://other.example\r\naccess-control-request-method: PUT\r\n";
        let line = format!("OPTIONS {PAGE}");
        self.expect(&line, preflight, &[200]).await;
        self.expect(&line, &preflight.replace("PUT", "GET"), &[403])
            .await;
        self.expect("OPTIONS /me", preflight, &[401, 403]).await;
    }

    /// The facts grow stale and are fresh again; the sidecar stops.
    async fn ends(self) {
        let bearer = format!(
            "authorization: Bearer {}\r\n",
            self.doors.token(|claims| claims.exp += 3_600)
        );
        self.doors.running.clock.advance(Duration::from_mins(11));
        self.expect("GET /me", &bearer, &[self.expected.unsure])
            .await;
        self.doors.freshen();
        self.expect("GET /me", &bearer, &[200]).await;
        self.expect("GET /health", "", &[200]).await;
        let _ = self
            .doors
            .running
            .tasks
            .shutdown(Duration::from_secs(5))
            .await;
        self.expect("GET /me", &bearer, &[self.expected.down]).await;
        self.expect("GET /health", "", &[self.expected.down]).await;
    }
}

macro_rules! stories {
    ($($name:ident: $expected:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if let Some(story) = Story::begin($expected).await {
                story.run().await;
            }
        }
    )*};
}

stories! {
    nginx_lets_pass_what_the_sidecar_allows_and_nothing_else: NGINX
    traefik_lets_pass_what_the_sidecar_allows_and_nothing_else: TRAEFIK
    caddy_lets_pass_what_the_sidecar_allows_and_nothing_else: CADDY
    haproxy_lets_pass_what_the_sidecar_allows_and_nothing_else: HAPROXY
    envoy_lets_pass_what_the_sidecar_allows_and_nothing_else: ENVOY
    envoy_over_grpc_lets_pass_what_the_sidecar_allows_and_nothing_else: ENVOY_GRPC
}
