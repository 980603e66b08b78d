//! An authority, a sidecar with a gate beside an app, and people with browsers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use doorward::authority::oauth::authorize::AUTHORIZE;
use doorward::authority::revocation;
use doorward::crypto::seal::KeyRing;
use doorward::domain::Scopes;
use doorward::domain::app::GrantType;
use doorward::protocol::forward_auth::Dialect;
use doorward::runtime::config::Environment;
use doorward::runtime::{Clock, Tasks};
use doorward::sidecar::app::Sidecar;
use doorward::sidecar::config::Config;
use doorward::sidecar::enrolment::Enrolment;
use doorward::store::StoreError;
use doorward::store::apps::App;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use uuid::Uuid;

use crate::oauth::sidecars::{Running, enrolment};
use crate::oauth::world::{Browser, World, app};
use crate::sidecar::door_world::asking;

/// Waiting is for what will happen, never for how long it takes: this only ends a hung test.
const HUNG: Duration = Duration::from_mins(1);
/// The app's origin.
pub const ORIGIN: &str = "https://app.test";
/// The gate's secret at the authority.
const SECRET: &str = "dwc_gate";

const ROUTES: &str = r#"
[[route]]
name = "health"
hosts = ["app.test", "other.test", "alone.test"]
path = "/health"
public = true

[[route]]
name = "me"
hosts = ["app.test", "other.test", "third.test", "alone.test"]
path = "/me"
signed_in = true

[[route]]
name = "invoices"
hosts = ["app.test", "third.test"]
path = "/o/{org}/invoices"
permission = "billing:invoice:read"
organization = "capture:org"

[[route]]
name = "everything"
hosts = ["app.test"]
path = "/all/{rest...}"
signed_in = true
"#;

/// What is between a person and the app.
pub struct Gated {
    pub world: World,
    pub sidecar: Sidecar,
    pub tasks: Running,
    enrolment: Enrolment,
    folder: tempfile::TempDir,
    setup: Setup,
}

/// How a sidecar is set up.
#[derive(Clone)]
pub struct Setup {
    pub address: String,
    pub routes: String,
    /// The configuration's part about gates.
    pub gates: String,
}

/// An answer to a browser or a proxy.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:#?}");
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn location(&self) -> &str {
        self.header("location")
            .unwrap_or_else(|| panic!("it leads nowhere: {self:#?}"))
    }

    /// The address that the page's link leads to.
    #[track_caller]
    pub fn link(&self) -> String {
        let (_, rest) = self.body.split_once("<a class").unwrap();
        let (_, rest) = rest.split_once("href=\"").unwrap();
        let link = rest.split_once('"').unwrap().0;
        link.replace("&amp;", "&")
    }
}

/// A person's browser: cookies of the app's host, and a session at the authority.
#[derive(Clone)]
pub struct Person {
    pub at_authority: Option<Browser>,
    pub cookies: BTreeMap<String, String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:0".to_owned(),
            routes: ROUTES.to_owned(),
            gates: GATES.to_owned(),
        }
    }
}

impl Setup {
    /// The sidecar's configuration.
    fn text(&self, world: &World, folder: &Path) -> String {
        let (issuer, address) = (world.issuer(), &self.address);
        format!(
            "data = 'FOLDER/data'\nroutes = 'FOLDER/routes.toml'\n[listen.local]\naddress = \
             '{address}'\n[tokens]\nissuer = '{issuer}'\naudiences = ['{issuer}', 'https://api.notes.example']\n{}",
            self.gates
        )
        .replace("FOLDER", &folder.display().to_string())
        .replace("AUTHORITY", &world.app.address.to_string())
    }
}

const GATES: &str = "
[gate.app]
hosts = ['https://app.test', 'https://other.test']
client_id = 'gate'
client_secret_file = 'FOLDER/secret'
scope = 'openid doorward:full'
lifetime = '1h'
keys_file = 'FOLDER/keys'
authority = 'http://AUTHORITY'

[gate.third]
hosts = ['https://third.test:8443']
client_id = 'gate'
client_secret_file = 'FOLDER/secret'
path = '/gate/here/'
keys_file = 'FOLDER/keys'
authority = 'http://AUTHORITY'
";

impl Gated {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// With other gates.
    pub async fn guarding(gates: &str) -> Self {
        Self::with(Setup {
            gates: gates.to_owned(),
            ..Setup::default()
        })
        .await
    }

    pub async fn with(setup: Setup) -> Self {
        let world = World::start().await;
        world.register_with(gate_app("gate"), Some(SECRET)).await;
        let folder = crate::support::directory();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        write("routes.toml", &setup.routes);
        write("secret", SECRET);
        write("keys", &KeyRing::new(&[5; 32]).to_text());
        let enrolment = enrolment(&world.app).await;
        let (sidecar, tasks) = serve(&world, &enrolment, folder.path(), &setup);
        let gated = Self {
            world,
            sidecar,
            tasks,
            enrolment,
            folder,
            setup,
        };
        gated.hear().await;
        gated
    }

    /// Starts the sidecar anew with these sealing keys, as another replica would be.
    pub async fn restarted_with(self, keys: &KeyRing) -> Self {
        let Self {
            world,
            sidecar,
            tasks,
            enrolment,
            folder,
            setup,
        } = self;
        tasks.0.shutdown(HUNG).await.unwrap();
        drop(sidecar);
        std::fs::write(folder.path().join("keys"), keys.to_text().as_bytes()).unwrap();
        let (sidecar, tasks) = serve(&world, &enrolment, folder.path(), &setup);
        let gated = Self {
            world,
            sidecar,
            tasks,
            enrolment,
            folder,
            setup,
        };
        gated.hear().await;
        gated
    }

    /// Starts the sidecar anew with other settings of its gates.
    pub async fn restarted_where(mut self, from: &str, to: &str) -> Self {
        assert!(self.setup.gates.contains(from));
        self.setup.gates = self.setup.gates.replacen(from, to, 1);
        self.restarted_with(&KeyRing::new(&[5; 32])).await
    }

    /// Waits until the sidecar has applied all that the authority has committed, and knows how old
    /// that is.
    pub async fn hear(&self) {
        let state = self.sidecar.state();
        let head = self.world.app.revision();
        let waiting = async {
            loop {
                let position = state.view().position;
                let there = position.is_some_and(|position| position.revision.get() >= head);
                if there && state.staleness().is_some() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HUNG, waiting)
            .await
            .expect("the sidecar never heard of it");
        // The clock may have been moved on: the authority is heard again.
        let revision = state.view().revision();
        state
            .hear(revision, self.world.app.clock.since_boot())
            .unwrap();
    }

    /// A person who is logged in at the authority.
    pub async fn person(&self, name: &str) -> Person {
        Person {
            at_authority: Some(self.world.log_in(name).await),
            cookies: BTreeMap::new(),
        }
    }

    /// What a proxy is answered about `METHOD host/path` with further headers, each with its line
    /// end.
    pub async fn ask(&self, dialect: Dialect, about: &str, headers: &str) -> Answer {
        self.send(&asking(dialect, about, headers), "").await
    }

    /// The same of a person who goes there.
    pub async fn navigate(&self, dialect: Dialect, about: &str, person: &Person) -> Answer {
        let headers = format!(
            "sec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n{}",
            person.cookie_header()
        );
        self.ask(dialect, about, &headers).await
    }

    /// A visit to the reserved path, by its whole address; the person's cookies are kept.
    pub async fn visit(&self, person: &mut Person, url: &str) -> Answer {
        let answer = self.look(person, url, "GET", "").await;
        person.keep(&answer);
        answer
    }

    /// A visit that changes no cookie.
    pub async fn look(&self, person: &Person, url: &str, method: &str, headers: &str) -> Answer {
        let (_, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{}{headers}\r\n",
            person.cookie_header()
        );
        self.send(&request, "").await
    }

    /// Where the authority sends a person who comes with a request for a code.
    pub async fn authorize(&self, person: &Person, url: &str) -> String {
        let (issuer, path) = url.split_at(url.find(AUTHORIZE).unwrap());
        assert_eq!(issuer, self.world.issuer());
        let reply = self.world.visit(person.at_authority.as_ref(), path).await;
        reply.expect(303).header("location").to_owned()
    }

    /// From the app's door to the answer of the callback.
    pub async fn arrive(&self, person: &mut Person, about: &str) -> Answer {
        let asked = self.navigate(Dialect::Nginx, about, person).await;
        let begun = self.visit(person, asked.expect(401).location()).await;
        let back = self.authorize(person, begun.expect(303).location()).await;
        self.visit(person, &back).await
    }

    /// Ends a person's session at the authority, and waits until the sidecar has heard of it.
    pub async fn end_session(&self, browser: &Browser) {
        let (now, authority) = (self.world.app.clock.now(), &self.world.app.authority);
        let (session, lifetimes) = (browser.session, authority.config.lifetimes);
        let ended = authority.store.write::<_, StoreError>(move |tx| {
            revocation::end_session(tx, session, now, &lifetimes, &mut Uuid::nil)
        });
        assert!(ended.await.unwrap().value.is_some());
        self.hear().await;
    }

    /// A person who has signed in to the app.
    pub async fn signed_in(&self, name: &str) -> Person {
        let mut person = self.person(name).await;
        self.arrive(&mut person, "GET app.test/me")
            .await
            .expect(303);
        person
    }

    /// The status of the door for a person's request to `/me`.
    pub async fn me(&self, person: &Person) -> u16 {
        let headers = person.cookie_header();
        let asked = self.ask(Dialect::Nginx, "GET app.test/me", &headers).await;
        asked.status.as_u16()
    }

    /// Sends a request as it is written, without `connection`, and reads one answer.
    async fn send(&self, request: &str, body: &'static str) -> Answer {
        let address = self.sidecar.bound()[0].tcp().unwrap();
        let mut lines = request.trim_end().split("\r\n");
        let line: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let mut builder = Request::builder()
            .method(line[0])
            .uri(format!("http://{address}{}", line[1]));
        for header in lines.filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once(':').unwrap();
            if !name.eq_ignore_ascii_case("connection") {
                builder = builder.header(name, value.trim());
            }
        }
        let request = builder.body(Full::new(bytes::Bytes::from(body))).unwrap();
        let client: Client<_, Full<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

impl Person {
    /// The `Cookie` line; nothing where there is none.
    pub fn cookie_header(&self) -> String {
        if self.cookies.is_empty() {
            return String::new();
        }
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("cookie: {}\r\n", pairs.join("; "))
    }

    fn keep(&mut self, answer: &Answer) {
        for value in answer.headers.get_all("set-cookie") {
            let text = value.to_str().unwrap();
            let (pair, attributes) = text.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            for attribute in ["Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.contains(attribute), "{text}");
            }
            assert!(!attributes.contains("Domain"), "{text}");
            assert!(text.len() < 4096, "{text}");
            if name.starts_with("__Host-") {
                assert!(attributes.contains("Path=/;"), "{text}");
            } else {
                assert!(name.starts_with("__Secure-"), "{text}");
                assert!(!attributes.contains("Path=/;"), "{text}");
            }
            if attributes.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The cookies of attempts.
    pub fn attempts(&self) -> Vec<&str> {
        self.cookies
            .keys()
            .map(String::as_str)
            .filter(|name| name.starts_with("__Host-doorward-try-"))
            .collect()
    }

    pub fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-doorward-gate").map(String::as_str)
    }
}

/// A first-party app for a gate: codes only.
pub fn gate_app(name: &str) -> App {
    let mut app = app(name);
    app.spec.scopes = Scopes::parse("openid doorward:full billing:read").unwrap();
    app.spec.grant_types = std::iter::once(GrantType::AuthorizationCode).collect();
    app.spec.redirect_uris = [
        "https://app.test/.doorward/callback",
        "https://other.test/.doorward/callback",
        "https://app.example/.doorward/callback",
        "https://third.test:8443/gate/here/callback",
    ]
    .map(str::to_owned)
    .to_vec();
    app.spec
        .resources
        .push("https://api.notes.example".to_owned());
    app.spec.post_logout_redirect_uris = vec![format!("{ORIGIN}/.doorward/signed-out")];
    app
}

fn serve(world: &World, enrolment: &Enrolment, folder: &Path, setup: &Setup) -> (Sidecar, Running) {
    let clock: Arc<dyn Clock> = world.app.clock.clone();
    let text = setup.text(world, folder);
    let config = Config::from_text(&text, &Environment::default()).unwrap();
    let tasks = Tasks::new();
    std::fs::create_dir_all(&config.data).unwrap();
    let sidecar = Sidecar::start(
        &config,
        Some(enrolment.follower(&config.data)),
        (clock, Arc::clone(&world.app.entropy)),
        &Environment::default(),
        &tasks,
    )
    .unwrap();
    (sidecar, Running(tasks))
}
