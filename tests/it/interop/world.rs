//! The authority as a process, with an app of every kind, and npm's `oidc-provider` upstream.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use doorward::crypto::digest::token_digest;
use doorward::domain::app::{
    AppSpec, ApplicationType, AuthMethod, ClientSource, GrantType, IdTokenAlg, RefreshBinding,
};
use doorward::domain::registration::RegistrationPolicy;
use doorward::domain::{ClientId, ClientKind, PlainToken, RegistrationTokenId, Scopes, Secret};
use doorward::runtime::{Clock, Entropy, SystemClock, SystemEntropy};
use doorward::store::apps::{self, App};
use doorward::store::clients::{self, Client, ClientState};
use doorward::store::registration_tokens::{self, RegistrationToken};
use doorward::store::{Store, StoreConfig, StoreError, Tx};
use serde_json::{Value, json};

use super::programs::{Running, installed, scripts};
use crate::hardening::process::{AUTHORITY, Process, run, until};

/// Who has it may register clients: as many as the scripts want.
const REGISTRATION_TOKEN: &str = "dwt_interop-interop-interop-interop-interop-x";

/// Where web apps are sent back to. Nothing answers there: people stop at that redirect.
const WEB: &str = "https://rp.example/callback";
/// What native apps registered; they come with a port of their own.
const NATIVE: &str = "http://127.0.0.1/callback";
const AFTER_LOGOUT: &str = "https://rp.example/bye";
const RESOURCE: &str = "https://api.example";
const SCOPES: &str = "openid profile email offline_access";

/// What a world is made of.
#[derive(Default)]
pub struct Setup {
    /// The URL of a PostgreSQL database; SQLite without.
    pub postgres: Option<String>,
    /// What the authority logs, when it is not the usual.
    pub log: Option<&'static str>,
}

impl Setup {
    /// The store of the installation in `home`.
    pub fn store(&self, home: &Path) -> StoreConfig {
        match &self.postgres {
            None => StoreConfig::Sqlite {
                path: home.join("data/doorward.db"),
            },
            Some(url) => StoreConfig::Postgres {
                url: Secret::new(url.clone()),
                max_connections: 4,
            },
        }
    }
}

/// A running authority that people can log in at.
pub struct World {
    pub home: PathBuf,
    process: Option<Process>,
    _upstream: Running,
    _directory: Option<tempfile::TempDir>,
}

/// An app to be, with what its own side of it has to know.
pub struct Registration {
    pub app: App,
    pub kind: ClientKind,
    pub secret: Option<String>,
}

impl Registration {
    /// A confidential web app that people log in through; the rest is the caller's.
    fn new(identifier: &str) -> Self {
        let (clock, entropy) = (SystemClock, SystemEntropy::default());
        let now = clock.now();
        let secret = PlainToken::from_random("", entropy.token_bits());
        Self {
            secret: Some(secret.expose().to_owned()),
            kind: ClientKind::App,
            app: App {
                id: ClientId::mint(now, entropy.id_bits()),
                spec: AppSpec {
                    identifier: identifier.parse().unwrap(),
                    name: format!("The {identifier} app"),
                    scopes: Scopes::parse(SCOPES).unwrap(),
                    redirect_uris: vec![WEB.to_owned()],
                    application_type: ApplicationType::Web,
                    auth_method: AuthMethod::ClientSecretBasic,
                    grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken]
                        .into_iter()
                        .collect(),
                    resources: vec![RESOURCE.to_owned()],
                    post_logout_redirect_uris: vec![AFTER_LOGOUT.to_owned()],
                    backchannel_logout_uri: None,
                    jwks: None,
                    first_party: false,
                    require_par: false,
                    dpop_bound: false,
                    refresh_binding: RefreshBinding::Session,
                    id_token_alg: IdTokenAlg::RS256,
                    logo_uri: None,
                    client_uri: None,
                    policy_uri: None,
                    tos_uri: None,
                },
                state: ClientState::Active,
                token_epoch: 0,
                created_at: now,
                source: ClientSource::Api,
                expires_at: None,
            },
        }
    }

    /// Without a secret, on the person's own machine.
    fn public(mut self) -> Self {
        self.secret = None;
        self.app.spec.auth_method = AuthMethod::None;
        self.app.spec.application_type = ApplicationType::Native;
        self.app.spec.redirect_uris = vec![NATIVE.to_owned()];
        self
    }

    /// By `client_secret_post` instead.
    fn post(mut self) -> Self {
        self.app.spec.auth_method = AuthMethod::ClientSecretPost;
        self
    }

    /// By a key instead of a secret.
    fn key(mut self, public_jwk: &Value) -> Self {
        self.secret = None;
        self.app.spec.auth_method = AuthMethod::PrivateKeyJwt;
        self.app.spec.jwks = Some(json!({ "keys": [public_jwk] }).to_string());
        self
    }

    fn grants(mut self, grants: &[GrantType]) -> Self {
        self.app.spec.grant_types = grants.iter().copied().collect();
        self
    }

    /// One that acts for itself.
    fn service(self) -> Self {
        let mut service = self.grants(&[GrantType::ClientCredentials]);
        service.app.spec.redirect_uris.clear();
        service.app.spec.scopes = Scopes::parse("api:read").unwrap();
        service
    }

    /// What a script is told of it.
    fn told(&self, private_jwk: &Value) -> Value {
        let app = &self.app;
        let redirect = app.spec.redirect_uris.first();
        let native = app.spec.application_type == ApplicationType::Native;
        let mut told = json!({
            "id": app.spec.identifier.as_str(),
            "method": app.spec.auth_method.as_str(),
            "id_token_alg": app.spec.id_token_alg.as_str(),
            "after_logout": AFTER_LOGOUT,
            "backchannel": app.spec.backchannel_logout_uri.is_some(),
        });
        if let Some(redirect) = redirect {
            let redirect = if native {
                redirect.replace("127.0.0.1", "127.0.0.1:49321")
            } else {
                redirect.clone()
            };
            told["redirect"] = redirect.into();
        }
        if let Some(secret) = &self.secret {
            told["secret"] = secret.as_str().into();
        }
        if app.spec.auth_method == AuthMethod::PrivateKeyJwt {
            told["jwk"] = private_jwk.clone();
        }
        told
    }
}

/// The apps by the names the scripts have for them.
fn registrations(public_jwk: &Value, apache: &str) -> Vec<(&'static str, Registration)> {
    let mut post = Registration::new("post").post();
    post.app.spec.id_token_alg = IdTokenAlg::ES256;
    let mut par = Registration::new("par");
    par.app.spec.require_par = true;
    let mut dpop = Registration::new("dpop");
    dpop.app.spec.dpop_bound = true;
    let mut device = Registration::new("device")
        .public()
        .grants(&[GrantType::DeviceCode, GrantType::RefreshToken]);
    device.app.spec.redirect_uris.clear();
    let mut front = Registration::new("apache");
    front.app.spec.redirect_uris = vec![format!("{apache}/protected/redirect")];
    front.app.spec.post_logout_redirect_uris = vec![format!("{apache}/bye")];
    front.app.spec.backchannel_logout_uri =
        Some(format!("{apache}/protected/redirect?logout=backchannel"));
    front.app.spec.first_party = true;
    let service = |name: &str| Registration::new(name).service();
    // Whoever serves an API may look at the tokens that are for it.
    let mut api = service("api");
    api.kind = ClientKind::Service("api".parse().unwrap());
    vec![
        ("basic", Registration::new("basic")),
        ("post", post),
        ("jwt", Registration::new("jwt").key(public_jwk)),
        ("par", par),
        ("dpop", dpop),
        ("public", Registration::new("public").public()),
        ("device", device),
        ("apache", front),
        ("api", api),
        ("service", service("service")),
        ("service_post", service("service-post").post()),
        ("service_jwt", service("service-jwt").key(public_jwk)),
    ]
}

impl World {
    /// Starts it all.
    pub fn start(setup: &Setup) -> Self {
        let directory = crate::support::directory();
        let (process, upstream) = (None, prepare(directory.path(), setup));
        let mut world = Self {
            home: directory.path().to_owned(),
            process,
            _upstream: upstream,
            _directory: Some(directory),
        };
        world.run();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Starts the authority, or starts it again.
    pub fn run(&mut self) {
        let (config, log) = (self.path("authority.toml"), self.path("authority.log"));
        let from = std::fs::metadata(&log).map_or(0, |file| file.len());
        let arguments = ["serve", "--config", config.to_str().unwrap()];
        let mut process = Process::start(AUTHORITY, &arguments, &log);
        process.line(usize::try_from(from).unwrap(), "listening address=");
        self.process = Some(process);
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process.take().expect("the authority runs").stop();
    }

    /// A script of Node's with this world's settings.
    pub fn node(&self, script: &str) -> Command {
        let mut command = node(&self.home, script);
        command.arg(self.path("settings.json"));
        command
    }

    /// A script of Python's with this world's settings.
    pub fn python(&self, script: &str) -> Command {
        let mut command = Command::new("python3");
        command
            .args(["-W", "ignore", "-B"])
            .arg(scripts().join(script))
            .arg(self.path("settings.json"))
            .env("PYTHONPATH", installed().join("python"));
        command
    }
}

/// Makes an installation in `home` with its apps, its configuration `authority.toml` and the scripts'
/// `settings.json`; gives the provider upstream, running.
pub fn prepare(home: &Path, setup: &Setup) -> Running {
    let ports: [u16; 2] = free_ports();
    let issuer = format!("http://127.0.0.1:{}", ports[0]);
    let apache = format!("http://127.0.0.1:{}", ports[1]);
    let (upstream, yardstick) = yardstick(home, &issuer);
    let private_jwk = yardstick["clients"]["jwt"]["jwk"].clone();
    let mut public_jwk = private_jwk.clone();
    public_jwk.as_object_mut().unwrap().remove("d");

    let write_file = |name: &str, text: &str| std::fs::write(home.join(name), text).unwrap();
    write_file("upstream.secret", "yardstick-secret-yardstick-secret");
    let store = setup.postgres.as_ref().map_or_else(String::new, |url| {
        write_file("postgres.url", url);
        format!(
            "[store]\npostgres_url_file = '{}'\n",
            home.join("postgres.url").display()
        )
    });
    let log = setup.log.map_or_else(String::new, |filter| {
        format!("[log]\nfilter = '{filter}'\n")
    });
    write_file(
        "authority.toml",
        &format!(
            "data = '{}'\nissuer = '{issuer}'\nlisten = ['127.0.0.1:{}']\n\
             {store}{log}[services.api]\nresources = ['{RESOURCE}']\n\
             [outbound]\nallow_hosts = ['127.0.0.1']\n\
             [registration]\ndynamic = true\nmetadata_documents = true\n\
             document_hosts = ['127.0.0.1']\n\
             document_scope = 'openid profile email offline_access'\n\
             [providers.npm]\nkind = 'oidc'\nissuer = {}\nclient_id = 'doorward'\n\
             client_secret_file = '{}'\nkeep_tokens = true\nscopes = ['openid', 'profile', 'email']\n",
            home.join("data").display(),
            ports[0],
            yardstick["issuer"],
            home.join("upstream.secret").display(),
        ),
    );
    let config = home.join("authority.toml");
    run(
        AUTHORITY,
        &["init", "--config", config.to_str().unwrap()],
        &[],
    )
    .succeeded();

    let apps = registrations(&public_jwk, &apache);
    let clients: serde_json::Map<_, _> = apps
        .iter()
        .map(|(name, registration)| ((*name).to_owned(), registration.told(&private_jwk)))
        .collect();
    let settings = json!({
        "issuer": issuer,
        "person": "alice",
        "provider": "npm",
        "service_scope": "api:read",
        "resource": RESOURCE,
        "registration_token": REGISTRATION_TOKEN,
        "metadata_documents": true,
        "clients": clients,
    });
    write_file("settings.json", &settings.to_string());
    write(
        &setup.store(home),
        apps.into_iter().map(|(_, registration)| registration),
    );
    upstream
}

/// What the scripts are told.
pub fn settings(home: &Path) -> Value {
    let text = std::fs::read_to_string(home.join("settings.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A script of Node's, beside the packages that are installed.
pub fn node(home: &Path, script: &str) -> Command {
    let folder = home.join("scripts");
    std::fs::create_dir_all(folder.join("lib")).unwrap();
    for name in [script, "lib/person.mjs", "lib/cases.mjs"] {
        std::fs::copy(scripts().join(name), folder.join(name)).unwrap();
    }
    let packages = folder.join("node_modules");
    if !packages.exists() {
        std::os::unix::fs::symlink(installed().join("node_modules"), packages).unwrap();
    }
    let mut command = Command::new("node");
    command.arg(folder.join(script));
    command
}

/// Starts npm's `oidc-provider`, with its settings for the scripts in `upstream.json` and what it
/// gave out in `upstream.tokens`.
pub fn yardstick(home: &Path, downstream: &str) -> (Running, Value) {
    let settings = home.join("upstream.json");
    let [port] = free_ports();
    let child = node(home, "yardstick.mjs")
        .arg(port.to_string())
        .arg(&settings)
        .env(
            "UPSTREAM_REDIRECT",
            format!("{downstream}/login/callback/npm"),
        )
        .env("TOKENS_FILE", home.join("upstream.tokens"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    let text = until("npm's oidc-provider", || {
        std::fs::read_to_string(&settings).ok()
    });
    (running, serde_json::from_str(&text).unwrap())
}

/// Ports that were free a moment ago: an issuer has to know its own before it listens.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Adds apps to an installation that does not run.
fn write(config: &StoreConfig, apps: impl Iterator<Item = Registration>) {
    let entropy = Arc::new(SystemEntropy::default());
    let store = Store::open(config, Arc::new(SystemClock), entropy).unwrap();
    let apps: Vec<Registration> = apps.collect();
    store
        .write_blocking::<_, StoreError>(|tx| {
            registration_token(tx)?;
            for Registration { app, kind, secret } in &apps {
                let digest = secret
                    .as_ref()
                    .map(|secret| token_digest(&PlainToken::presented(secret.clone())));
                if *kind == ClientKind::App {
                    apps::insert(tx, app, digest, SystemClock.now())?;
                } else {
                    let kind = kind.clone();
                    clients::insert(
                        tx,
                        &Client {
                            kind,
                            ..app.client()
                        },
                        digest,
                    )?;
                }
            }
            Ok(())
        })
        .unwrap();
}

/// What `doorward client token create` makes.
fn registration_token(tx: &mut dyn Tx) -> Result<(), StoreError> {
    let now = SystemClock.now();
    let policy = RegistrationPolicy {
        redirect_hosts: vec!["rp.example".parse().unwrap()],
        loopback: true,
        scope: Scopes::parse(SCOPES).unwrap(),
        ..RegistrationPolicy::default()
    };
    let token = RegistrationToken {
        id: RegistrationTokenId::mint(now, SystemEntropy::default().id_bits()),
        name: "interop".to_owned(),
        uses_left: 100,
        policy: json!(policy).to_string(),
        created_by: "system".to_owned(),
        created_at: now,
        expires_at: now.plus(Duration::from_hours(1)),
    };
    let presented = PlainToken::presented(REGISTRATION_TOKEN.to_owned());
    registration_tokens::insert(tx, &token, token_digest(&presented))
}
