//! Real providers: npm `oidc-provider`, and npm `oauth2-mock-server` for ID tokens that are wrong.
//!
//! `test.sh` installs them below `target/`. Without them these tests say that they did nothing,
//! unless `DOORWARD_REQUIRE_UPSTREAM` is set.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use doorward::authority::login::{ConfiguredProvider, LoginRequest};
use doorward::domain::Secret;
use doorward::domain::provider::{ProviderKind, ProviderSettings, ProviderSpec};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::browser::Browser;
use super::upstream::{CLIENT_ID, CLIENT_SECRET};
use super::world::{HOME, NOW};
use crate::support::app::{Reply, TestApp};

/// A provider in a process of its own.
struct Process {
    child: Child,
    orders: ChildStdin,
    says: BufReader<ChildStdout>,
    issuer: String,
}

impl Process {
    #[expect(clippy::print_stderr, reason = "skipped in sight, never in silence")]
    /// Starts a script of `tests/upstream`; `None` when its packages are not installed.
    fn start(script: &str) -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let installed = root.join("target/upstream");
        if !installed.join("node_modules").is_dir() {
            assert!(
                std::env::var_os("DOORWARD_REQUIRE_UPSTREAM").is_none(),
                "no packages in {}",
                installed.display()
            );
            eprintln!(
                "SKIPPED: no packages in {}: run test.sh",
                installed.display()
            );
            return None;
        }
        for file in ["clock.mjs", script] {
            std::fs::copy(root.join("tests/upstream").join(file), installed.join(file)).unwrap();
        }
        // Providers know `http://127.0.0.1:7180` as the authority's issuer.
        let mut child = Command::new("node")
            .arg(installed.join(script))
            .arg((NOW - 20).to_string())
            .arg("http://127.0.0.1:7180/login/callback/real")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let issuer = said(&mut says);
        Some(Self {
            child,
            orders,
            says,
            issuer,
        })
    }

    fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").unwrap();
        assert_eq!(said(&mut self.says), "done");
    }

    async fn app(&self) -> TestApp {
        let provider = ConfiguredProvider {
            spec: ProviderSpec {
                provider: "real".parse().unwrap(),
                kind: ProviderKind::Oidc,
                issuer: self.issuer.clone(),
                name: "Real".to_owned(),
                client_id: CLIENT_ID.to_owned(),
                settings: ProviderSettings::default(),
            },
            secret: Some(Secret::new(CLIENT_SECRET.to_owned())),
        };
        let host = self
            .issuer
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        TestApp::start_with(None, move |config, _| {
            config.providers = vec![provider];
            config.outbound.allow_hosts = vec![host];
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(says: &mut BufReader<ChildStdout>) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(says.read_line(&mut line).unwrap(), 0, "the provider ended");
        let line = line.trim();
        if line == "done" || line.starts_with("http://") {
            return line.to_owned();
        }
    }
}

/// A person at the provider: follows it, with its cookies, until it sends the browser back.
struct Person {
    client: Client<HttpConnector, Full<Bytes>>,
    cookies: BTreeMap<String, String>,
}

impl Person {
    fn new() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            cookies: BTreeMap::new(),
        }
    }

    async fn ask(&mut self, method: Method, url: &str, form: &str) -> (Option<String>, String) {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("cookie", cookies.join("; "))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form.to_owned()))
            .unwrap();
        let response = self.client.request(request).await.unwrap();
        for value in response.headers().get_all("set-cookie") {
            let (pair, _) = value.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response
            .headers()
            .get("location")
            .map(|value| value.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (location, String::from_utf8_lossy(&body).into_owned())
    }

    /// Logs in as `name` where asked, and agrees to everything.
    async fn agree(&mut self, url: &str, name: &str) -> String {
        let base = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let (mut location, mut body) = self.ask(Method::GET, url, "").await;
        for _ in 0..12 {
            let next = match location {
                Some(to) if to.starts_with('/') => format!("{base}{to}"),
                Some(to) => to,
                None => {
                    let (action, form) = form_of(&body, name);
                    (location, body) = self.ask(Method::POST, &action, &form).await;
                    continue;
                }
            };
            if !next.starts_with(&base) {
                return next;
            }
            (location, body) = self.ask(Method::GET, &next, "").await;
        }
        panic!("the provider goes in circles");
    }
}

/// The page's form, filled in.
fn form_of(html: &str, name: &str) -> (String, String) {
    let attribute = |from: &str, name: &str| -> Option<String> {
        let start = format!("{name}=\"");
        let at = from.find(&start)? + start.len();
        let end = from[at..].find('"')? + at;
        Some(from[at..end].to_owned())
    };
    let action = attribute(html, "action").unwrap_or_else(|| panic!("no form: {html}"));
    let prompt = if html.contains("value=\"login\"") {
        "login"
    } else {
        "consent"
    };
    (action, format!("prompt={prompt}&login={name}&password=x"))
}

async fn log_in(app: &TestApp, person: &str) -> (Reply, bool) {
    let mut browser = Browser::new(app);
    let begun = doorward::authority::login::begin(&app.authority, &LoginRequest::to(HOME)).unwrap();
    let page = browser.sign_in_page(&begun).await;
    let sent = browser.choose(&page, "real").await;
    if sent.status != 303 {
        return (sent, false);
    }
    let back = Person::new().agree(sent.header("location"), person).await;
    let reply = browser.get(&back).await;
    let in_session = browser.session().is_some();
    (reply, in_session)
}

async fn users(app: &TestApp) -> Value {
    let reply = app.get("/v1/users").by(app.operator()).send().await;
    reply.expect(200).body["items"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oidc_provider_logs_people_in_with_what_it_says_now_and_across_a_rotation() {
    let Some(mut provider) = Process::start("provider.mjs") else {
        return;
    };
    let app = provider.app().await;
    provider.order(
        &json!({"claims": {"email": "ada@example.com", "email_verified": true,
        "name": "Ada Abara"}}),
    );
    let (reply, in_session) = log_in(&app, "ada").await;
    assert_eq!(reply.expect(303).header("location"), HOME);
    assert!(in_session);
    let before = users(&app).await;
    assert_eq!(before[0]["email"], "ada@example.com");
    // The claims change before the next login.
    provider.order(
        &json!({"claims": {"email": "ada@berg.example", "email_verified": true,
        "name": "Ada Berg"}}),
    );
    log_in(&app, "ada").await.0.expect(303);
    let after = users(&app).await;
    assert_eq!(after[0]["id"], before[0]["id"]);
    assert_eq!(after[0]["email"], "ada@berg.example");
    assert_eq!(after[0]["display_name"], "Ada Berg");
    // Its endpoints fail, one after the other.
    for path in ["/token", "/me"] {
        provider.order(&json!({ "fail": path }));
        let (reply, in_session) = log_in(&app, "ada").await;
        reply.expect(502);
        assert!(!in_session, "{path}");
        provider.order(&json!({"mend": true}));
    }
    // All its keys change at once.
    app.clock.advance(Duration::from_secs(31));
    provider.order(&json!({"rotate": true}));
    log_in(&app, "ada").await.0.expect(303);
    assert_eq!(users(&app).await.as_array().unwrap().len(), 1);
    log_in(&app, "bo").await.0.expect(303);
    assert_eq!(users(&app).await.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oauth2_mock_server_is_believed_only_when_its_tokens_are_right() {
    let Some(mut provider) = Process::start("mock.mjs") else {
        return;
    };
    let app = provider.app().await;
    for alg in ["RS256", "PS256", "ES256", "EdDSA"] {
        provider.order(&json!({ "alg": alg }));
        app.clock.advance(Duration::from_secs(31));
        let (reply, in_session) = log_in(&app, "").await;
        assert!(in_session, "{alg}: {reply:#?}");
    }
    let now = NOW + 124;
    for wrong in [
        json!({"cut": true}),
        json!({"unsigned": true}),
        json!({"header": {"kid": "unknown"}}),
        json!({"header": {"typ": "at+jwt"}}),
        json!({"payload": {"iss": "http://127.0.0.1:1"}}),
        json!({"payload": {"aud": "them"}}),
        json!({"payload": {"nonce": "old"}}),
        json!({"payload": {"exp": now - 61}}),
        json!({"payload": {"exp": "soon"}}),
        json!({"payload": {"iat": now + 61}}),
        json!({"payload": {"nbf": now + 61}}),
        json!({"payload": {"sub": null}}),
    ] {
        provider.order(&wrong);
        let (reply, in_session) = log_in(&app, "").await;
        assert!(!in_session, "{wrong}");
        assert_eq!(reply.status, 502, "{wrong}");
    }
    for alg in ["RS384", "ES384", "PS512"] {
        provider.order(&json!({ "alg": alg }));
        app.clock.advance(Duration::from_secs(31));
        let (reply, in_session) = log_in(&app, "").await;
        assert!(!in_session, "{alg}");
        assert_eq!(reply.status, 502, "{alg}");
    }
}
