//! An authority in this process: real SQLite (or PostgreSQL), a manual clock, loopback HTTP.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use doorward::authority::app::Authority;
use doorward::authority::config::Config;
use doorward::authority::credentials::{Doer, tokens};
use doorward::authority::http::Api;
use doorward::authority::init::{Initialized, initialize};
use doorward::authority::manifests;
use doorward::domain::user::{User, UserState};
use doorward::domain::{MemberId, OrganizationId, Scopes, Timestamp, UserId};
use doorward::protocol::manifest;
use doorward::runtime::config::Environment;
use doorward::runtime::listen::{Bound, Listening};
use doorward::runtime::serve::{ServeLimits, serve};
use doorward::runtime::{Clock, Entropy, ManualClock, SeededEntropy};
use doorward::store::{StoreConfig, StoreError, members, organizations, roles, users};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// 2027-01-15, in whole seconds.
const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// A service with a plain role, one with an `assignable_by` of its own, and one that is deprecated.
pub const BILLING: &str = r#"{
  "service": "billing",
  "permissions": {
    "invoice": { "read": "See invoices", "write": "Write invoices" },
    "role": { "assign": "Give billing's sensitive roles" }
  },
  "roles": {
    "viewer": { "permissions": ["invoice:read"] },
    "editor": { "permissions": ["invoice:read", "invoice:write"] },
    "treasurer": {
      "permissions": ["invoice:read", "role:assign"],
      "assignable_by": "billing:role:assign"
    },
    "legacy": { "permissions": ["invoice:read"], "deprecated": true }
  }
}"#;

/// A running authority.
pub struct TestApp {
    pub authority: Arc<Authority>,
    pub clock: Arc<ManualClock>,
    pub entropy: Arc<dyn Entropy>,
    pub address: SocketAddr,
    pub operator_secret: String,
    operator_token: String,
    client: Client<HttpConnector, Full<Bytes>>,
    directory: tempfile::TempDir,
}

impl TestApp {
    /// Over SQLite, with the service [`BILLING`] synced.
    pub async fn start() -> Self {
        Self::start_on(None).await
    }

    /// Over a store of the caller's.
    pub async fn start_on(store: Option<StoreConfig>) -> Self {
        Self::start_with(store, |_, _| {}).await
    }

    /// With a configuration that the caller changes, who is told where it will listen.
    pub async fn start_with(
        store: Option<StoreConfig>,
        change: impl FnOnce(&mut Config, SocketAddr),
    ) -> Self {
        let directory = super::directory();
        let mut config = Config::in_directory(directory.path());
        if let Some(store) = store {
            config.store = store;
        }
        let (listening, address) = bind();
        change(&mut config, address);
        let clock = Arc::new(ManualClock::at(START));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(7));
        let (authority, operator_secret) = {
            let (clock, entropy) = (Arc::clone(&clock), Arc::clone(&entropy));
            // A thread of its own: PostgreSQL's client must not start on an async worker.
            std::thread::spawn(move || {
                let clock: Arc<dyn Clock> = clock;
                let made = initialize(&config, &clock, &entropy).unwrap();
                let Initialized::Made { secret, .. } = made else {
                    panic!("the installation is there already");
                };
                let authority = Authority::open(config, clock, entropy).unwrap();
                (Arc::new(authority), secret.expose().to_owned())
            })
            .join()
            .unwrap()
        };
        let service = Api::new(Arc::clone(&authority));
        serve(listening, service, ServeLimits::default(), &authority.tasks).unwrap();
        let mut app = Self {
            authority,
            clock,
            entropy,
            address,
            operator_secret,
            operator_token: String::new(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            directory,
        };
        app.operator_token = app.fetch_token("operator", "doorward:admin").await;
        app.sync(BILLING).await;
        app
    }

    /// The installation as a new process finds it when this one is killed now: with SQLite, by the
    /// files as they lie there.
    pub fn restarted(self) -> Self {
        self.restarted_with(|_| {})
    }

    /// The same, with another configuration.
    pub fn restarted_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.authority.stop().request();
        let mut config = (*self.authority.config).clone();
        change(&mut config);
        if let StoreConfig::Sqlite { path } = &mut config.store {
            let directory = super::directory();
            for entry in std::fs::read_dir(&config.data).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name();
                // The index of the log is memory, not disk.
                let kept = !name.to_string_lossy().ends_with("-shm");
                if kept && entry.file_type().unwrap().is_file() {
                    std::fs::copy(entry.path(), directory.path().join(name)).unwrap();
                }
            }
            *path = directory.path().join(path.file_name().unwrap());
            config.key_file = directory.path().join(config.key_file.file_name().unwrap());
            directory.path().clone_into(&mut config.data);
            drop(std::mem::replace(&mut self.directory, directory));
        }
        (self.authority, self.address) = listen(config, &self.clock, &self.entropy);
        self
    }

    /// Another authority on the same PostgreSQL, with the same configuration and clock.
    pub fn beside(&self) -> Self {
        let config = (*self.authority.config).clone();
        assert!(matches!(config.store, StoreConfig::Postgres { .. }));
        let (authority, address) = listen(config, &self.clock, &self.entropy);
        Self {
            authority,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            address,
            operator_secret: self.operator_secret.clone(),
            operator_token: self.operator_token.clone(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            directory: super::directory(),
        }
    }

    /// Asks the token endpoint for a client's token, with the first operator's secret.
    async fn fetch_token(&self, client: &str, scope: &str) -> String {
        let body = format!(
            "grant_type=client_credentials&client_id={client}&client_secret={}&scope={scope}",
            self.operator_secret
        );
        let request = Request::post(format!("http://{}/oauth2/token", self.address))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(body))
            .unwrap();
        let reply = self.exchange(request).await.expect(200);
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    /// The first operator's token: scope `doorward:admin`.
    pub fn operator(&self) -> &str {
        &self.operator_token
    }

    /// Applies a manifest, straight to the store.
    pub async fn sync(&self, text: &str) {
        let manifest = manifest::from_json(text.as_bytes(), None).unwrap();
        let sync = manifests::Sync {
            manifest,
            bound_to: None,
            allow_rollback: false,
            applied_by: "system".to_owned(),
        };
        let (now, entropy) = (self.clock.now(), Arc::clone(&self.entropy));
        self.authority
            .store
            .write(move |tx| manifests::apply_in(tx, &sync, now, &*entropy))
            .await
            .unwrap();
    }

    /// A new user of that name.
    pub async fn user(&self, name: &str) -> UserId {
        let now = self.clock.now();
        let id = UserId::mint(now, self.entropy.id_bits());
        let user = User {
            id,
            email: format!("{name}-{id}@example.com"),
            display_name: name.to_owned(),
            avatar_url: None,
            state: UserState::Active,
            token_epoch: 0,
            created_at: now,
            updated_at: now,
        };
        self.authority
            .store
            .write::<_, StoreError>(move |tx| users::insert(tx, &user))
            .await
            .unwrap();
        id
    }

    /// A token of the user's with the scope `doorward:organizations`.
    pub async fn token(&self, user: UserId) -> String {
        self.token_with(user, "doorward:organizations").await
    }

    /// A token of the user's with other scopes.
    pub async fn token_with(&self, user: UserId, scopes: &str) -> String {
        let doer = Doer::Host("test".to_owned());
        let scopes = Scopes::parse(scopes).unwrap();
        tokens::for_user(&self.authority, &doer, user, scopes)
            .await
            .unwrap()
            .access_token
    }

    /// A new user who owns a new organization, with a token.
    pub async fn owner_of(&self, slug: &str) -> Person {
        let person = self.person(slug).await;
        self.post("/v1/organizations")
            .by(&person.token)
            .json(&json!({ "name": slug, "slug": slug }))
            .await
            .expect(201);
        person
    }

    /// A new user with a token.
    pub async fn person(&self, name: &str) -> Person {
        let id = self.user(name).await;
        Person {
            id,
            token: self.token(id).await,
        }
    }

    /// A new user with that role in the organization, put there straight in the store.
    pub async fn member_of(&self, slug: &str, role: &str) -> Person {
        let person = self.person(role).await;
        self.join(slug, person.id, role).await;
        person
    }

    /// Makes the user a member, straight in the store.
    pub async fn join(&self, slug: &str, user: UserId, role: &str) {
        let (now, slug, role) = (
            self.clock.now(),
            slug.parse().unwrap(),
            role.parse().unwrap(),
        );
        let id = MemberId::mint(now, self.entropy.id_bits());
        self.authority
            .store
            .write::<_, StoreError>(move |tx| {
                let organization = organizations::find_by_slug(tx, &slug)?.unwrap();
                let role = roles::find(tx, &role)?.unwrap();
                let member = doorward::domain::member::Member {
                    id,
                    organization_id: organization.id,
                    user_id: user,
                    role_id: role.id,
                    further_role_ids: Vec::new(),
                    created_at: now,
                    updated_at: now,
                };
                members::insert(tx, &member)
            })
            .await
            .unwrap();
    }

    /// The id of an organization.
    pub async fn organization(&self, slug: &str) -> OrganizationId {
        let slug = slug.parse().unwrap();
        self.authority
            .store
            .read::<_, StoreError>(move |tx| organizations::find_by_slug(tx, &slug))
            .await
            .unwrap()
            .unwrap()
            .id
    }

    /// Suspends a user.
    pub async fn suspend(&self, user: UserId) {
        self.authority
            .store
            .write::<_, StoreError>(move |tx| users::put_state(tx, user, UserState::Suspended, 1))
            .await
            .unwrap();
    }

    /// The feed's head.
    pub fn revision(&self) -> u64 {
        self.authority.store.subscribe().borrow().revision.get()
    }

    /// How many audit rows tell of `event`.
    pub async fn audited(&self, event: &'static str) -> usize {
        let sql = "SELECT id FROM audit_log WHERE event = ?1";
        self.authority
            .store
            .read::<_, StoreError>(move |tx| Ok(tx.rows(sql, &[event.into()])?.len()))
            .await
            .unwrap()
    }

    pub fn get(&self, path: impl fmt::Display) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: impl fmt::Display) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub fn put(&self, path: impl fmt::Display) -> Call<'_> {
        self.call(Method::PUT, path)
    }

    pub fn patch(&self, path: impl fmt::Display) -> Call<'_> {
        self.call(Method::PATCH, path)
    }

    pub fn delete(&self, path: impl fmt::Display) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    /// A request about to be made.
    pub fn call(&self, method: Method, path: impl fmt::Display) -> Call<'_> {
        Call {
            app: self,
            request: Request::builder()
                .method(method)
                .uri(format!("http://{}{path}", self.address)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Reply {
        let asked = format!("{} {}", request.method(), request.uri());
        let mut sent = self.client.request(request.clone()).await;
        // A body that is refused before it is read may break the pipe before the answer is seen.
        for _ in 0..8 {
            match &sent {
                Err(error) if format!("{error:?}").contains("BodyWrite") => {
                    sent = self.client.request(request.clone()).await;
                }
                _ => break,
            }
        }
        let response = sent.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply {
            asked,
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned())),
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.authority.stop().request();
    }
}

/// Opens an installation that is there and serves it.
fn listen(
    config: Config,
    clock: &Arc<ManualClock>,
    entropy: &Arc<dyn Entropy>,
) -> (Arc<Authority>, SocketAddr) {
    let clock: Arc<dyn Clock> = clock.clone();
    let entropy = Arc::clone(entropy);
    // A thread of its own: PostgreSQL's client must not start on an async worker.
    let authority = std::thread::spawn(move || Authority::open(config, clock, entropy).unwrap())
        .join()
        .map(Arc::new)
        .unwrap();
    let (listening, address) = bind();
    let service = Api::new(Arc::clone(&authority));
    serve(listening, service, ServeLimits::default(), &authority.tasks).unwrap();
    (authority, address)
}

fn bind() -> (Listening, SocketAddr) {
    let listening =
        Listening::bind(&"127.0.0.1:0".parse().unwrap(), &Environment::default()).unwrap();
    let Bound::Tcp(address) = listening.bound().clone() else {
        panic!("a TCP address was asked for");
    };
    (listening, address)
}

/// A user with a token.
#[derive(Clone)]
pub struct Person {
    pub id: UserId,
    pub token: String,
}

/// A request about to be made.
pub struct Call<'a> {
    app: &'a TestApp,
    request: http::request::Builder,
}

impl Call<'_> {
    /// With a bearer token.
    pub fn by(mut self, token: &str) -> Self {
        self.request = self
            .request
            .header("authorization", format!("Bearer {token}"));
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Without a body.
    pub async fn send(self) -> Reply {
        let request = self.request.body(Full::default()).unwrap();
        self.app.exchange(request).await
    }

    /// With a JSON body.
    pub async fn json(self, body: &Value) -> Reply {
        self.bytes("application/json", body.to_string()).await
    }

    /// With any body.
    pub async fn bytes(self, media_type: &str, body: impl Into<Bytes>) -> Reply {
        let request = self
            .request
            .header("content-type", media_type)
            .body(Full::new(body.into()))
            .unwrap();
        self.app.exchange(request).await
    }
}

/// An answer. Printed whole when it is not the one expected.
#[derive(Debug)]
pub struct Reply {
    pub asked: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// Itself, if the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {self:#?}", self.asked);
        self
    }

    /// Itself, if it is a problem of that kind.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.body["code"], code, "{reply:#?}");
        assert_eq!(
            reply.header("content-type"),
            "application/problem+json",
            "{reply:#?}"
        );
        reply
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header `{name}`: {self:#?}"))
            .to_str()
            .unwrap()
    }

    /// The pointer of the first mistake.
    #[track_caller]
    pub fn pointer(&self) -> &str {
        self.body["errors"][0]["pointer"]
            .as_str()
            .unwrap_or_else(|| panic!("no mistake is pointed at: {self:#?}"))
    }

    /// The freshness token, the same as header and as field.
    #[track_caller]
    pub fn freshness(&self) -> &str {
        let token = self.header("doorward-freshness");
        assert_eq!(self.body["freshness"], token, "{self:#?}");
        token
    }
}
