//! Machine credentials over loopback HTTP: tokens, clients, sidecars; and bad starts.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use doorward::authority::app::{App, Authority, StartError};
use doorward::authority::config::Config;
use doorward::authority::control::{self, Command, Given};
use doorward::authority::init::{FIRST_OPERATOR, Initialized, initialize};
use doorward::authority::keys::{KeysError, read_ring, reseal};
use doorward::crypto::sign::FeedPublicKey;
use doorward::domain::{Timestamp, UserId};
use doorward::protocol::credentials::JoinToken;
use doorward::runtime::config::{ConfigError, Environment};
use doorward::runtime::listen::Bound;
use doorward::runtime::{Clock, Entropy, Exit, ManualClock, SeededEntropy, Stop, Tasks};
use doorward::store::{StoreConfig, StoreError};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::support;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// An installation that nobody serves yet.
struct Installation {
    config: Config,
    clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
    secret: String,
    _directory: tempfile::TempDir,
}

impl Installation {
    fn new() -> Self {
        Self::new_on(None)
    }

    fn new_on(store: Option<StoreConfig>) -> Self {
        let directory = support::directory();
        let mut config = Config::in_directory(&directory.path().join("data"));
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.resources = vec!["https://billing.example".to_owned()];
        if let Some(store) = store {
            config.store = store;
        }
        let clock = Arc::new(ManualClock::at(NOW));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let dynamic: Arc<dyn Clock> = clock.clone();
        let Initialized::Made { secret, .. } = initialize(&config, &dynamic, &entropy).unwrap()
        else {
            panic!("the first init makes an installation");
        };
        Self {
            config,
            clock,
            entropy,
            secret: secret.expose().to_owned(),
            _directory: directory,
        }
    }

    fn build(&self, config: Config) -> Result<App, StartError> {
        App::build(
            config,
            &Environment::default(),
            self.clock.clone(),
            Arc::clone(&self.entropy),
        )
    }

    fn initialize_again(&self) -> Initialized {
        let clock: Arc<dyn Clock> = self.clock.clone();
        initialize(&self.config, &clock, &self.entropy).unwrap()
    }

    fn key_file(&self) -> PathBuf {
        self.config.key_file.clone()
    }
}

/// A served authority.
struct Served {
    installation: Installation,
    authority: Arc<Authority>,
    base: String,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
    stop: Stop,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Served {
    async fn start() -> Self {
        Self::start_on(None).await
    }

    async fn start_on(store: Option<StoreConfig>) -> Self {
        let installation = tokio::task::block_in_place(|| Installation::new_on(store));
        let mut app =
            tokio::task::block_in_place(|| installation.build(installation.config.clone()))
                .unwrap();
        app.listen_for_control(&control::socket(&installation.config.data))
            .unwrap();
        let authority = Arc::clone(app.authority());
        let [Bound::Tcp(address)] = app.addresses()[..] else {
            panic!("one TCP listener is wanted");
        };
        let stop = Stop::default();
        let stopped = stop.clone();
        let run = async move { app.run(async move { stopped.requested().await }).await };
        Tasks::new().spawn("app", async move {
            run.await.unwrap();
        });
        tokio::task::yield_now().await;
        Self {
            installation,
            authority,
            base: format!("http://{address}"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            stop,
        }
    }

    async fn send(&self, request: Request<Full<bytes::Bytes>>) -> Answered {
        let response = self.client.request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answered {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Value,
    ) -> Answered {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let bytes = if body.is_null() {
            bytes::Bytes::new()
        } else {
            request = request.header("content-type", "application/json");
            body.to_string().into()
        };
        self.send(request.body(Full::new(bytes)).unwrap()).await
    }

    async fn token_request(&self, client: &str, secret: &str, more: &str) -> Answered {
        let basic = BASE64.encode(format!("{client}:{secret}").as_bytes());
        let request = Request::post(format!("{}/oauth2/token", self.base))
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(
                format!("grant_type=client_credentials{more}").into(),
            ))
            .unwrap();
        self.send(request).await
    }

    async fn token(&self, client: &str, secret: &str) -> String {
        let answered = self.token_request(client, secret, "").await;
        assert_eq!(answered.status, 200, "{}", answered.body);
        answered.body["access_token"].as_str().unwrap().to_owned()
    }

    async fn operator(&self) -> String {
        self.token(FIRST_OPERATOR, &self.installation.secret).await
    }

    async fn invite(&self, operator: &str) -> String {
        let answered = self
            .call(
                Method::POST,
                "/v1/sidecars/join-tokens",
                Some(operator),
                json!({ "name": "web-1" }),
            )
            .await;
        assert_eq!(answered.status, 201, "{}", answered.body);
        answered.body["join_token"].as_str().unwrap().to_owned()
    }

    async fn enroll(&self, join_token: &str) -> Answered {
        self.call(
            Method::POST,
            "/v1/sidecars/enroll",
            None,
            json!({ "join_token": join_token }),
        )
        .await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.request();
    }
}

/// Instantiates behaviours of a served authority as tests of each engine.
macro_rules! on_both_engines {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Served::start().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(store) = $crate::support::postgres::database() {
                    super::$name(super::Served::start_on(Some(store)).await).await;
                }
            })*
        }
    };
}

on_both_engines! {
    the_first_operator_gets_a_token_and_the_token_works,
    unknown_clients_wrong_secrets_and_retired_clients_are_answered_alike,
    a_token_ends_with_its_time_and_is_for_its_audience_and_scope_only,
    ten_wrong_secrets_slow_the_next_one_down_but_never_the_right_one,
    a_rotated_secret_leaves_the_one_before_it_for_its_time,
    a_join_token_pins_the_feed_key_and_works_once_even_when_raced,
    a_revoked_sidecar_is_refused_everywhere_at_once,
    metadata_and_keys_say_what_works,
    the_host_mints_a_users_token_which_ends_with_the_users_epoch,
}

async fn the_first_operator_gets_a_token_and_the_token_works(served: Served) {
    let answered = served
        .token_request(FIRST_OPERATOR, &served.installation.secret, "")
        .await;
    assert_eq!(answered.status, 200);
    assert_eq!(answered.headers["cache-control"], "no-store");
    assert_eq!(answered.body["scope"], "doorward:admin");
    assert_eq!(answered.body["expires_in"], 600);
    let token = answered.body["access_token"].as_str().unwrap();
    let clients = served
        .call(Method::GET, "/v1/clients", Some(token), Value::Null)
        .await;
    assert_eq!(clients.status, 200);
    let items = clients.body["items"].as_array().unwrap();
    assert!(items.iter().any(|item| item["client_id"] == FIRST_OPERATOR));
    assert!(!clients.body.to_string().contains("secret"));
}

async fn unknown_clients_wrong_secrets_and_retired_clients_are_answered_alike(served: Served) {
    let operator = served.operator().await;
    let made = served
        .call(
            Method::POST,
            "/v1/clients",
            Some(&operator),
            json!({ "client_id": "billing", "kind": "service", "service": "billing" }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    let secret = made.body["client_secret"].as_str().unwrap();
    let token = served.token("billing", secret).await;
    let retired = served
        .call(
            Method::DELETE,
            "/v1/clients/billing",
            Some(&operator),
            Value::Null,
        )
        .await;
    assert_eq!(retired.body["state"], "retired");
    assert!(retired.headers.contains_key("doorward-freshness"));

    let mut answers = Vec::new();
    for (client, secret) in [
        ("nobody-at-all", "dwc_x"),
        ("!!", "dwc_x"),
        (FIRST_OPERATOR, "dwc_x"),
        ("billing", secret),
        ("doorward-cli", ""),
    ] {
        let answered = served.token_request(client, secret, "").await;
        assert_eq!(answered.status, 401, "{client}");
        assert_eq!(
            answered.headers["www-authenticate"],
            "Basic realm=\"doorward\", charset=\"UTF-8\""
        );
        answers.push(answered.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["error"], "invalid_client");
    let refused = served
        .call(Method::GET, "/v1/services", Some(&token), Value::Null)
        .await;
    assert_eq!(refused.status, 401, "a retired client's token is refused");
}

async fn a_token_ends_with_its_time_and_is_for_its_audience_and_scope_only(served: Served) {
    let secret = served.installation.secret.clone();
    let token = served.operator().await;
    let other = served
        .token_request(FIRST_OPERATOR, &secret, "&resource=https://billing.example")
        .await;
    let other = other.body["access_token"].as_str().unwrap().to_owned();
    let clients = async |token: &str| {
        served
            .call(Method::GET, "/v1/clients", Some(token), Value::Null)
            .await
    };
    assert_eq!(clients(&token).await.status, 200);
    assert_eq!(clients(&other).await.status, 401);
    served.installation.clock.advance(Duration::from_mins(11));
    let expired = clients(&token).await;
    assert_eq!(expired.status, 401);
    let challenge = expired.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");

    for (more, error) in [
        ("&resource=https://elsewhere.example", "invalid_target"),
        ("&scope=doorward:feed", "invalid_scope"),
        ("&scope=%22", "invalid_scope"),
        ("&grant_type=password", "invalid_request"),
    ] {
        let answered = served.token_request(FIRST_OPERATOR, &secret, more).await;
        assert_eq!(answered.status, 400, "{more}");
        assert_eq!(answered.body["error"], error);
    }
}

async fn ten_wrong_secrets_slow_the_next_one_down_but_never_the_right_one(served: Served) {
    for _ in 0..10 {
        let answered = served.token_request(FIRST_OPERATOR, "dwc_x", "").await;
        assert_eq!(answered.status, 401);
    }
    let slowed = served.token_request(FIRST_OPERATOR, "dwc_x", "").await;
    assert_eq!(slowed.status, 429);
    assert!(slowed.headers.contains_key("retry-after"));
    served.operator().await;
}

async fn a_rotated_secret_leaves_the_one_before_it_for_its_time(served: Served) {
    let operator = served.operator().await;
    let first = served.installation.secret.clone();
    let path = format!("/v1/clients/{FIRST_OPERATOR}/secret");
    let rotate = async |body: Value| {
        let answered = served
            .call(Method::POST, &path, Some(&operator), body)
            .await;
        assert_eq!(answered.status, 200, "{}", answered.body);
        answered.body["client_secret"].as_str().unwrap().to_owned()
    };
    let second = rotate(json!({ "overlap_seconds": 60 })).await;
    served.token(FIRST_OPERATOR, &first).await;
    served.token(FIRST_OPERATOR, &second).await;
    served.installation.clock.advance(Duration::from_mins(1));
    let ended = served.token_request(FIRST_OPERATOR, &first, "").await;
    assert_eq!(ended.status, 401);
    let third = rotate(json!({ "overlap_seconds": 0 })).await;
    let ended = served.token_request(FIRST_OPERATOR, &second, "").await;
    assert_eq!(ended.status, 401);
    served.token(FIRST_OPERATOR, &third).await;
}

async fn a_join_token_pins_the_feed_key_and_works_once_even_when_raced(served: Served) {
    let operator = served.operator().await;
    let text = served.invite(&operator).await;
    let token: JoinToken = text.parse().unwrap();
    let pinned: FeedPublicKey = token.feed_key.parse().unwrap();
    assert_eq!(pinned, served.authority.keys.feed().public());

    let raced = tokio::join!(
        served.enroll(&text),
        served.enroll(&text),
        served.enroll(token.token.expose()),
    );
    let mut statuses = [raced.0.status, raced.1.status, raced.2.status];
    statuses.sort();
    assert_eq!(
        statuses,
        [201, 401, 401].map(|code| StatusCode::from_u16(code).unwrap())
    );
    assert_eq!(served.enroll(&text).await.status, 401);

    let late = served.invite(&operator).await;
    served.installation.clock.advance(Duration::from_hours(1));
    assert_eq!(served.enroll(&late).await.status, 401);
    assert_eq!(served.enroll("dwj_never").await.status, 401);
}

async fn a_revoked_sidecar_is_refused_everywhere_at_once(served: Served) {
    let operator = served.operator().await;
    let enrolled = served.enroll(&served.invite(&operator).await).await;
    assert_eq!(enrolled.status, 201, "{}", enrolled.body);
    let client = enrolled.body["client_id"].as_str().unwrap();
    let secret = enrolled.body["client_secret"].as_str().unwrap();
    let answered = served.token_request(client, secret, "").await;
    assert_eq!(answered.body["scope"], "doorward:feed");
    let token = answered.body["access_token"].as_str().unwrap();
    let authenticated =
        doorward::authority::credentials::authenticate(&served.authority, token).await;
    assert!(authenticated.is_ok());
    let beyond = served
        .call(Method::GET, "/v1/sidecars", Some(token), Value::Null)
        .await;
    assert_eq!(beyond.status, 403, "a sidecar sees no other sidecars");

    let path = format!(
        "/v1/sidecars/{}",
        enrolled.body["sidecar_id"].as_str().unwrap()
    );
    let revoked = served
        .call(Method::DELETE, &path, Some(&operator), Value::Null)
        .await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
    assert_eq!(served.token_request(client, secret, "").await.status, 401);
    let authenticated =
        doorward::authority::credentials::authenticate(&served.authority, token).await;
    assert!(authenticated.is_err());
    let shown = served
        .call(Method::GET, &path, Some(&operator), Value::Null)
        .await;
    assert!(shown.body["revoked_at"].is_string());
}

async fn metadata_and_keys_say_what_works(served: Served) {
    let path = "/.well-known/oauth-authorization-server";
    let metadata = served.call(Method::GET, path, None, Value::Null).await.body;
    assert_eq!(metadata["issuer"], "http://127.0.0.1:7180");
    assert_eq!(
        metadata["grant_types_supported"],
        json!([
            "authorization_code",
            "client_credentials",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ])
    );
    let keys = served
        .call(Method::GET, "/.well-known/jwks.json", None, Value::Null)
        .await
        .body;
    // One of access tokens, two of ID tokens.
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0]["alg"], "ES256");
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        let without = keys.iter().all(|key| key.get(private).is_none());
        assert!(without, "no private half");
    }
}

async fn the_host_mints_a_users_token_which_ends_with_the_users_epoch(served: Served) {
    let operator = served.operator().await;
    let made = served
        .call(
            Method::POST,
            "/v1/users",
            Some(&operator),
            json!({ "display_name": "Ada" }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    let user: UserId = made.body["id"].as_str().unwrap().parse().unwrap();
    let socket = control::socket(&served.installation.config.data);
    let ask = Command::Token { user, scope: None };
    let Given::Token { access_token } = control::ask(&socket, &ask).await.unwrap().unwrap() else {
        panic!("a token is wanted");
    };
    let shown = served
        .call(
            Method::GET,
            &format!("/v1/users/{user}"),
            Some(&access_token),
            Value::Null,
        )
        .await;
    assert_eq!(shown.status, 200, "{}", shown.body);

    let suspended = served
        .authority
        .store
        .write(move |tx| {
            doorward::store::users::put_state(
                tx,
                user,
                doorward::domain::user::UserState::Active,
                1,
            )
        })
        .await;
    suspended.unwrap();
    let refused = served
        .call(
            Method::GET,
            &format!("/v1/users/{user}"),
            Some(&access_token),
            Value::Null,
        )
        .await;
    assert_eq!(refused.status, 401);
    let unknown = Command::Token {
        user: UserId::from_u128(1),
        scope: None,
    };
    assert!(control::ask(&socket, &unknown).await.is_err());
}

#[test]
fn a_second_init_changes_nothing_and_shows_no_secret() {
    let installation = Installation::new();
    let keys = std::fs::read(installation.key_file()).unwrap();
    assert!(matches!(
        installation.initialize_again(),
        Initialized::Already
    ));
    assert_eq!(std::fs::read(installation.key_file()).unwrap(), keys);
}

#[test]
fn a_wrong_missing_or_exposed_key_file_is_told_apart() {
    let installation = Installation::new();
    let path = installation.key_file();
    let start = || installation.build(installation.config.clone()).unwrap_err();

    set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let error = start();
    assert!(matches!(error, StartError::Keys(KeysError::Exposed { .. })));
    assert_eq!(error.exit(), Exit::Config);

    std::fs::rename(&path, path.with_extension("away")).unwrap();
    assert!(matches!(start(), StartError::Keys(KeysError::File(_))));
    doorward::authority::keys::create_ring(&path, &SeededEntropy::new(99)).unwrap();
    assert!(matches!(start(), StartError::Keys(KeysError::Foreign(_))));
}

#[test]
fn a_new_sealing_key_takes_over_and_the_old_one_can_go() {
    let installation = Installation::new();
    let app = installation.build(installation.config.clone()).unwrap();
    let ring = read_ring(&installation.key_file()).unwrap();
    ring.add(&[9; 32]);
    let resealed = app
        .authority()
        .store
        .write_blocking(|tx| reseal(tx, &ring))
        .unwrap();
    // Four signing keys, the canary and the derivation secret.
    assert_eq!(resealed.value, 6);
    drop(app);
    let only_new = doorward::crypto::seal::KeyRing::new(&[9; 32]);
    std::fs::write(installation.key_file(), only_new.to_text().as_bytes()).unwrap();
    assert!(installation.build(installation.config.clone()).is_ok());
}

#[test]
fn a_port_in_use_is_named_before_the_store_is_touched() {
    let installation = Installation::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut config = installation.config.clone();
    config.listen = vec![address.parse().unwrap()];
    let error = installation.build(config).unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
    assert_eq!(error.exit(), Exit::Failed);
}

#[test]
fn a_directory_that_init_never_saw_says_so() {
    let directory = support::directory();
    let mut config = Config::in_directory(&directory.path().join("data"));
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
    let error = App::build(config, &Environment::default(), clock, entropy).unwrap_err();
    assert!(error.to_string().contains("init"), "{error}");
    assert_eq!(error.exit(), Exit::Config);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_io_error() {
    let directory = support::directory();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config = Config::in_directory(&file.join("data"));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
    let error = initialize(&config, &clock, &entropy).unwrap_err();
    assert!(error.to_string().contains("data"), "{error}");
    let read_only = StartError::Store(StoreError::ReadOnly(String::new()));
    assert_eq!(read_only.exit(), Exit::Io);
}

#[test]
fn a_missing_and_a_broken_configuration_are_told_with_their_file() {
    let directory = support::directory();
    let file = directory.path().join("authority.toml");
    let load = || Config::load(Some(&file), None, &Environment::default()).unwrap_err();
    assert!(matches!(load(), ConfigError::Missing { .. }));
    std::fs::write(&file, "data = 5\nissuer = 'x'\nextra = 1").unwrap();
    let error = load().to_string();
    for part in ["authority.toml", "issuer", "extra"] {
        assert!(error.contains(part), "{part} is missing in {error}");
    }
}
