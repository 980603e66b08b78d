//! Both daemons over loopback, in one process, on one manual clock. The authority can be stopped and
//! started again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorward::authority::app::App;
use doorward::authority::config::Config;
use doorward::authority::init::{Initialized, initialize};
use doorward::domain::{PlainToken, Timestamp};
use doorward::protocol::credentials::JoinToken;
use doorward::runtime::config::Environment;
use doorward::runtime::{Clock, Entropy, ManualClock, SeededEntropy, Tasks};
use doorward::sidecar::app::Sidecar;
use doorward::sidecar::config::{Config as SidecarConfig, Listener};
use doorward::sidecar::enrolment::Enrolment;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::oneshot;

const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// Waiting is for what will happen, never for how long it takes: this only ends a hung test.
const HUNG: Duration = Duration::from_mins(1);

pub struct Stack {
    pub clock: Arc<ManualClock>,
    entropy: Arc<dyn Entropy>,
    config: Config,
    address: SocketAddr,
    running: Option<Running>,
    sidecar: Sidecar,
    tasks: Tasks,
    operator_secret: String,
    client: Client<HttpConnector, Full<Bytes>>,
    _directory: tempfile::TempDir,
}

struct Running {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Stack {
    /// Both running, the sidecar enrolled by a join token.
    pub async fn start() -> Self {
        let directory = crate::support::directory();
        let clock = Arc::new(ManualClock::at(START));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(11));
        let mut config = Config::in_directory(&directory.path().join("authority"));
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        let shared: Arc<dyn Clock> = clock.clone();
        let Initialized::Made { secret, .. } = initialize(&config, &shared, &entropy).unwrap()
        else {
            panic!("the installation is there already");
        };
        let tasks = Tasks::new();
        let (running, address) = run(&config, &shared, &entropy, &tasks);
        // When it is started again it has to be found where it was.
        config.listen = vec![address.to_string().parse().unwrap()];
        let client = Client::builder(TokioExecutor::new()).build_http();
        let operator_secret = secret.expose().to_owned();
        let data = directory.path().join("sidecar");
        enrol(&client, address, &operator_secret)
            .await
            .save(&data)
            .unwrap();
        let mut sidecar_config = SidecarConfig::for_data(&data);
        sidecar_config.workers = 1;
        sidecar_config
            .listeners
            .push(Listener::at("127.0.0.1:0".parse().unwrap()));
        let follower = Enrolment::load(&data).unwrap().follower(&data);
        let sidecar = Sidecar::start(
            &sidecar_config,
            Some(follower),
            (shared, Arc::clone(&entropy)),
            &Environment::default(),
            &tasks,
        )
        .unwrap();
        Self {
            clock,
            entropy,
            config,
            address,
            running: Some(running),
            sidecar,
            tasks,
            operator_secret,
            client,
            _directory: directory,
        }
    }

    /// Stops the authority and waits until it is gone.
    pub async fn stop_authority(&mut self) {
        let running = self.running.take().expect("the authority runs");
        running.stop.send(()).unwrap();
        running.ended.await.unwrap();
    }

    /// Starts it again, at the same address.
    pub fn start_authority(&mut self) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (running, _) = run(&self.config, &clock, &self.entropy, &self.tasks);
        self.running = Some(running);
    }

    /// A request of the operator; the answer must be a success.
    pub async fn operator(&self, method: Method, path: &str, body: Value) -> Value {
        let token = token(&self.client, self.address, &self.operator_secret).await;
        let url = format!("http://{}{path}", self.address);
        call(&self.client, method, &url, Some(&token), body).await
    }

    /// Asks the sidecar over AuthZEN.
    pub async fn ask(&self, user: &str, organization: &str, permission: &str) -> Value {
        let (resource, action) = permission.rsplit_once(':').unwrap();
        let body = json!({
            "subject": {"type": "user", "id": user},
            "action": {"name": action},
            "resource": {"type": resource, "id": "1"},
            "context": {"organization": organization},
        });
        let address = self.sidecar.bound()[0].tcp().unwrap();
        let url = format!("http://{address}/access/v1/evaluation");
        call(&self.client, Method::POST, &url, None, body).await
    }

    /// Asks until the answer is as wanted, and gives it.
    pub async fn ask_until(
        &self,
        user: &str,
        permission: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let asking = async {
            loop {
                let answer = self.ask(user, "acme", permission).await;
                if wanted(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HUNG, asking)
            .await
            .expect("the answer never came out as wanted")
    }

    /// Whether the sidecar hears the authority.
    pub fn connected(&self) -> bool {
        self.sidecar.state().link().connected
    }

    /// Waits until it does, or does not.
    pub async fn until_connected(&self, wanted: bool) {
        let waiting = async {
            while self.connected() != wanted {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HUNG, waiting)
            .await
            .expect("the connection never became as wanted");
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.tasks.stop().request();
    }
}

fn run(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    tasks: &Tasks,
) -> (Running, SocketAddr) {
    let app = App::build(
        config.clone(),
        &Environment::default(),
        Arc::clone(clock),
        Arc::clone(entropy),
    )
    .unwrap();
    let address = app.addresses()[0].tcp().unwrap();
    let (stop, stopped) = oneshot::channel();
    let (done, ended) = oneshot::channel();
    tasks.spawn("authority", async move {
        let shutdown = async move {
            let _ = stopped.await;
        };
        app.run(shutdown).await.unwrap();
        let _ = done.send(());
    });
    (Running { stop, ended }, address)
}

async fn enrol(
    client: &Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    secret: &str,
) -> Enrolment {
    let token = token(client, address, secret).await;
    let base = format!("http://{address}");
    let invited = call(
        client,
        Method::POST,
        &format!("{base}/v1/sidecars/join-tokens"),
        Some(&token),
        json!({"name": "beside billing"}),
    )
    .await;
    let join: JoinToken = invited["join_token"].as_str().unwrap().parse().unwrap();
    let enrolled = call(
        client,
        Method::POST,
        &format!("{base}/v1/sidecars/enroll"),
        None,
        json!({"join_token": join.token.expose()}),
    )
    .await;
    assert_eq!(enrolled["feed_key"], join.feed_key);
    let text = |name: &str| enrolled[name].as_str().unwrap().to_owned();
    Enrolment {
        authority: base.parse().unwrap(),
        client_id: text("client_id").parse().unwrap(),
        client_secret: PlainToken::presented(text("client_secret")),
        feed_key: join.feed_key.parse().unwrap(),
        ca_file: None,
    }
}

async fn token(
    client: &Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    secret: &str,
) -> String {
    let body = format!(
        "grant_type=client_credentials&client_id=operator&client_secret={secret}&scope=doorward:admin"
    );
    let request = Request::post(format!("http://{address}/oauth2/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(body))
        .unwrap();
    let answer = exchange(client, request).await;
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn call(
    client: &Client<HttpConnector, Full<Bytes>>,
    method: Method,
    url: &str,
    bearer: Option<&str>,
    body: Value,
) -> Value {
    let mut request = Request::builder().method(method).uri(url);
    if let Some(token) = bearer {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let bytes = if body.is_null() {
        String::new()
    } else {
        request = request.header("content-type", "application/json");
        body.to_string()
    };
    exchange(client, request.body(Full::from(bytes)).unwrap()).await
}

async fn exchange(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Value {
    let asked = format!("{} {}", request.method(), request.uri());
    let response = client.request(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    assert!(status.is_success(), "{asked}: {status} {body:#}");
    body
}
