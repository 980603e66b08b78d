//! A sidecar with routes, and requests as each proxy would ask about them.

use std::fmt::Write as _;

use doorward::crypto::sign::AccessTokenSigner;
use doorward::protocol::forward_auth::Dialect;
use doorward::protocol::jose::AccessTokenClaims;
use doorward::runtime::Clock as _;
use doorward::sidecar::config::Config;

use super::token_world::*;
use super::world::*;

pub const ROUTES: &str = r#"
[[route]]
name = "health"
hosts = ["app.test", "*.app.test"]
path = "/health"
public = true

[[route]]
name = "me"
hosts = ["app.test"]
path = "/me"
signed_in = true

[[route]]
name = "read"
hosts = ["app.test"]
methods = ["GET"]
path = "/o/{org}/pages/{page}"
permission = "docs:page:read"
organization = "capture:org"
resource_id = "page"

[[route]]
name = "write"
hosts = ["app.test"]
methods = ["PUT"]
path = "/o/{org}/pages/{page}"
permission = "docs:page:write"
organization = "capture:org"
resource_id = "page"
preflight = true

[[route]]
name = "of-subdomain"
hosts = ["*.app.test"]
path = "/pages/{rest...}"
permission = "docs:page:read"
organization = "subdomain"
deny_beyond = "1m"

[[route]]
name = "of-header"
hosts = ["app.test"]
path = "/by-header"
permission = "docs:page:read"
organization = "header:X-Organization"

[[route]]
name = "of-claim"
hosts = ["app.test"]
path = "/by-claim"
permission = "docs:page:read"
organization = "claim"

[[route]]
name = "of-constant"
hosts = ["app.test"]
path = "/by-constant"
permission = "docs:page:read"
organization = "constant:acme"
"#;

pub struct Doors {
    pub running: Running,
    pub signer: AccessTokenSigner,
}

impl Doors {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let running = Running::with(|config| {
            let routes = config.data.join("routes.toml");
            std::fs::write(&routes, ROUTES).unwrap();
            config.routes = Some(routes);
            config.tokens = Some(rules());
            adjust(config);
        })
        .await;
        let signer = AccessTokenSigner::generate().unwrap();
        let mut doors = Self { running, signer };
        doors.running.apply(vec![
            key_row(&doors.signer, "access_token"),
            scope("docs:read", 1),
            scope("docs:edit", 1),
            scope("docs:edit", 2),
        ]);
        doors.freshen();
        doors
    }

    /// The authority is heard: nothing is newer.
    pub fn freshen(&self) {
        let state = self.running.sidecar.state();
        let revision = state.view().revision();
        state
            .hear(revision, self.running.clock.since_boot())
            .unwrap();
    }

    pub fn token(&self, change: impl FnOnce(&mut AccessTokenClaims)) -> String {
        let mut claims = claims_at(self.running.clock.now(), 1);
        change(&mut claims);
        self.signer.sign(&claims).unwrap()
    }

    /// Asks as a proxy of this dialect does about `PUT app.test/x`; `headers` each with its line end.
    pub async fn ask(&self, dialect: Dialect, about: &str, headers: &str) -> Reply {
        self.running.raw(&asking(dialect, about, headers)).await
    }

    pub async fn ask_with_token(&self, dialect: Dialect, about: &str, token: &str) -> Reply {
        let headers = format!("authorization: Bearer {token}\r\n");
        self.ask(dialect, about, &headers).await
    }
}

/// `about`: method, space, host and path.
pub fn asking(dialect: Dialect, about: &str, headers: &str) -> String {
    let (method, url) = about.split_once(' ').unwrap();
    let (host, uri) = url.split_at(url.find('/').unwrap());
    let prefix = match dialect {
        Dialect::Nginx => "X-Original-",
        Dialect::Traefik | Dialect::Caddy | Dialect::Haproxy => "X-Forwarded-",
        Dialect::Envoy => {
            return format!(
                "{method} /forward-auth/envoy{uri} HTTP/1.1\r\nhost: {host}\r\n\
                 content-length: 0\r\nconnection: close\r\n{headers}\r\n"
            );
        }
        Dialect::EnvoyGrpc => panic!("it asks over gRPC: see `grpc`"),
        Dialect::Plain => "Doorward-",
    };
    let mut request = format!("GET /forward-auth/{dialect} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in [("Method", method), ("Host", host), ("Uri", uri)] {
        write!(request, "{prefix}{name}: {value}\r\n").unwrap();
    }
    format!("{request}connection: close\r\n{headers}\r\n")
}

impl Reply {
    /// A header's value; the head is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    }
}
