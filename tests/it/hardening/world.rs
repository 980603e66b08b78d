//! An authority and sidecars as processes, with a small world in them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use doorward::domain::{Chain, Revision};
use doorward::runtime::{SystemClock, SystemEntropy};
use doorward::store::{Store, StoreConfig, feed};
use serde_json::{Value, json};

use super::process::{AUTHORITY, Process, SIDECAR, run, until};
use super::wire::{At, Reply, by, exchange, request};

/// A running authority.
pub struct Authority {
    process: Option<Process>,
    pub address: SocketAddr,
    pub data: PathBuf,
    pub config: PathBuf,
    log: PathBuf,
    pub secret: String,
    /// Configuration and log: on a disk that is never full.
    _beside: tempfile::TempDir,
}

/// Runs `init` in a directory and gives the operator's secret.
pub fn init(data: &Path) -> String {
    let printed = run(AUTHORITY, &["init", "--data", data.to_str().unwrap()], &[]).succeeded();
    printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("client_secret"))
        .expect("a secret is printed")
        .trim()
        .to_owned()
}

impl Authority {
    /// A new one, in a directory; `more` is further configuration.
    pub fn start(data: &Path, more: &str) -> Self {
        let secret = init(data);
        let mut authority = Self::reopen(data, more);
        authority.secret = secret;
        authority
    }

    /// One that was initialized before.
    pub fn reopen(data: &Path, more: &str) -> Self {
        let beside = crate::support::directory();
        let mut authority = Self {
            process: None,
            address: "127.0.0.1:0".parse().unwrap(),
            data: data.to_owned(),
            config: beside.path().join("authority.toml"),
            log: beside.path().join("authority.log"),
            secret: String::new(),
            _beside: beside,
        };
        authority.configure(more);
        authority.run();
        authority
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "data = '{}'\nlisten = ['{}']\n{more}\n",
            self.data.display(),
            self.address
        );
        std::fs::write(&self.config, text).unwrap();
    }

    /// Starts it again where it was.
    pub fn run(&mut self) {
        let from = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        let mut process = Process::start(
            AUTHORITY,
            &["serve", "--config", self.config.to_str().unwrap()],
            &self.log,
        );
        let line = process.line(usize::try_from(from).unwrap(), "listening address=");
        let (_, address) = line.split_once("http://").unwrap();
        let address: SocketAddr = address.trim().parse().unwrap();
        if self.address.port() == 0 {
            self.address = address;
            let text = std::fs::read_to_string(&self.config).unwrap();
            let text = text.replace("127.0.0.1:0", &address.to_string());
            std::fs::write(&self.config, text).unwrap();
        }
        self.process = Some(process);
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the authority runs")
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn stop(&mut self) {
        self.process.take().expect("the authority runs").stop();
    }

    pub fn kill(&mut self) {
        self.process.take().expect("the authority runs").kill();
    }

    /// `kill -9` while others use it; [`Self::reap`] afterwards.
    pub fn kill_shared(&self) {
        self.process
            .as_ref()
            .expect("the authority runs")
            .signal_kill();
    }

    /// Waits for the end of a killed process.
    pub fn reap(&mut self) {
        self.process.take().expect("the authority ran").kill();
    }

    /// Asks for a client's token.
    pub fn ask_token(&self, client: &str, secret: &str, scope: &str) -> Reply {
        let body = format!(
            "grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={scope}"
        );
        let headers = "content-type: application/x-www-form-urlencoded\r\n";
        self.raw("POST", "/oauth2/token", headers, body.as_bytes())
    }

    pub fn token(&self) -> String {
        let answer = self.ask_token("operator", &self.secret, "doorward:admin");
        answer.expect(200)["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A request of any kind; the authority must be there.
    pub fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        exchange(At::Tcp(self.address), &request(method, path, headers, body))
            .expect("the authority answers")
    }

    /// A request by the bearer of a token; `None` if there was no answer.
    pub fn try_call(&self, token: &str, method: &str, path: &str, body: &Value) -> Option<Reply> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let bytes = request(method, path, &by(token), body.as_bytes());
        exchange(At::Tcp(self.address), &bytes)
    }

    pub fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        self.try_call(token, method, path, body)
            .expect("the authority answers")
    }

    /// The revision of the feed.
    pub fn revision(&self) -> u64 {
        self.raw("GET", "/readyz", "", b"").expect(200)["revision"]
            .as_u64()
            .unwrap()
    }

    /// A service, an organization and a member who may read; gives the member's id.
    pub fn furnish(&self) -> String {
        let token = self.token();
        let manifest = json!({
            "service": "billing",
            "permissions": {"invoice": {"read": "See", "write": "Write"}},
            "roles": {
                "viewer": {"permissions": ["invoice:read"]},
                "editor": {"permissions": ["invoice:*"]},
            },
        });
        self.call(&token, "PUT", "/v1/services/billing/manifest", &manifest)
            .expect(200);
        let owner = self.user(&token, "Olga Owner");
        let body = json!({"name": "Acme", "slug": "acme", "owner": owner});
        self.call(&token, "POST", "/v1/organizations", &body)
            .expect(201);
        self.member(&token, "Mara Member")
    }

    pub fn user(&self, token: &str, name: &str) -> String {
        let made = self.call(token, "POST", "/v1/users", &json!({"display_name": name}));
        made.expect(201)["id"].as_str().unwrap().to_owned()
    }

    /// A new member of `acme` who may read.
    pub fn member(&self, token: &str, name: &str) -> String {
        let user = self.user(token, name);
        let body = json!({"user": user, "role": "billing/viewer"});
        self.call(token, "POST", "/v1/organizations/acme/members", &body)
            .expect(201);
        user
    }

    /// A join token.
    pub fn invite(&self) -> String {
        let answer = self.call(
            &self.token(),
            "POST",
            "/v1/sidecars/join-tokens",
            &json!({"name": "beside billing"}),
        );
        answer.expect(201)["join_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The store, once the process is gone.
    pub fn store(&self) -> Store {
        assert!(self.process.is_none(), "it has the database to itself");
        Store::open(
            &StoreConfig::Sqlite {
                path: self.data.join("doorward.db"),
            },
            Arc::new(SystemClock),
            Arc::new(SystemEntropy::default()),
        )
        .unwrap()
    }
}

/// The chain of the whole history must be unbroken. Gives its last revision.
pub fn verify_history(store: &Store) -> u64 {
    let (head, frames) = store
        .read_blocking(|tx| {
            let head = feed::head(tx)?;
            let frames = feed::frames_after(tx, Revision::ZERO, usize::MAX >> 1, usize::MAX >> 1)?;
            Ok::<_, doorward::store::StoreError>((head, frames))
        })
        .unwrap();
    let (mut chain, mut revision) = (Chain::ZERO, Revision::ZERO);
    for frame in frames {
        revision = revision.next();
        assert_eq!(frame.revision, revision);
        chain = chain.extend(revision, &frame.payload);
        assert_eq!(frame.chain, chain);
    }
    assert_eq!(
        (head.position.revision, head.position.chain),
        (revision, chain)
    );
    revision.get()
}

/// A sidecar, running or not.
pub struct Sidecar {
    process: Option<Process>,
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub data: PathBuf,
    pub config: PathBuf,
    log: PathBuf,
    _beside: tempfile::TempDir,
}

/// Runs `enroll`.
pub fn enroll(data: &Path, authority: &str, join_token: &str) -> super::process::Finished {
    run(
        SIDECAR,
        &[
            "enroll",
            "--authority",
            authority,
            "--data",
            data.to_str().unwrap(),
        ],
        &[("DOORWARD_JOIN_TOKEN", join_token)],
    )
}

impl Sidecar {
    /// Enrolled in a directory, not running.
    pub fn enrolled(authority: &Authority, data: &Path) -> Self {
        let url = format!("http://{}", authority.address);
        enroll(data, &url, &authority.invite()).succeeded();
        let beside = crate::support::directory();
        let config = beside.path().join("sidecar.toml");
        let socket = beside.path().join("check.sock");
        let text = format!(
            "data = '{}'\nworkers = 1\naddresses = ['127.0.0.1:0', 'unix:{}']\n",
            data.display(),
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        Self {
            process: None,
            address: "127.0.0.1:0".parse().unwrap(),
            socket,
            data: data.to_owned(),
            config,
            log: beside.path().join("sidecar.log"),
            _beside: beside,
        }
    }

    /// Enrolled and running.
    pub fn start(authority: &Authority, data: &Path) -> Self {
        let mut sidecar = Self::enrolled(authority, data);
        sidecar.run();
        sidecar
    }

    pub fn run(&mut self) {
        let from = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        let mut process = Process::start(
            SIDECAR,
            &["serve", "--config", self.config.to_str().unwrap()],
            &self.log,
        );
        let from = usize::try_from(from).unwrap();
        let line = process.line(from, "answering checks bound=http://");
        let (_, address) = line.split_once("http://").unwrap();
        self.address = address.trim().parse().unwrap();
        self.process = Some(process);
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the sidecar runs")
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn stop(&mut self) {
        self.process.take().expect("the sidecar runs").stop();
    }

    pub fn kill(&mut self) {
        self.process.take().expect("the sidecar runs").kill();
    }

    pub fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        exchange(At::Tcp(self.address), &request(method, path, headers, body))
            .expect("the sidecar answers")
    }

    /// `/v1/status`, over the Unix socket.
    pub fn status(&self) -> Value {
        exchange(
            At::Unix(&self.socket),
            &request("GET", "/v1/status", "", b""),
        )
        .expect("the sidecar answers")
        .expect(200)
    }

    /// Whether a user of `acme` may: the whole answer.
    pub fn ask(&self, user: &str, permission: &str) -> Value {
        let (resource, action) = permission.rsplit_once(':').unwrap();
        let body = json!({
            "subject": {"type": "user", "id": user},
            "action": {"name": action},
            "resource": {"type": resource, "id": "1"},
            "context": {"organization": "acme"},
        });
        let headers = "content-type: application/json\r\n";
        self.raw(
            "POST",
            "/access/v1/evaluation",
            headers,
            body.to_string().as_bytes(),
        )
        .expect(200)
    }

    pub fn allows(&self, user: &str, permission: &str) -> bool {
        self.ask(user, permission)["decision"] == true
    }

    /// Waits until the decision is this one.
    pub fn until(&self, user: &str, permission: &str, allowed: bool) {
        until(&format!("{permission} of {user}: {allowed}"), || {
            (self.allows(user, permission) == allowed).then_some(())
        });
    }

    /// Waits until it knows of a revision.
    pub fn until_revision(&self, revision: u64) {
        until(&format!("revision {revision}"), || {
            (self.status()["revision"].as_u64() >= Some(revision)).then_some(())
        });
    }

    /// Waits until it hears the authority, or does not.
    pub fn until_connected(&self, connected: bool) {
        until(&format!("connected: {connected}"), || {
            (self.status()["connected"] == connected).then_some(())
        });
    }
}
