//! The sidecar's configuration.
//!
//! ```toml
//! data = "/var/lib/doorward-sidecar"      # the copy, the enrolment
//! public_url = "https://pdp.internal"     # base of the metadata document
//! policies = "/etc/doorward/policies"     # hand-written Cedar policies
//! routes = "/etc/doorward/routes.toml"    # what proxies ask about: see `sidecar::routes`
//! credential_file = "/etc/doorward/sidecar.secret"
//! workers = 2                             # runtime threads; default: one per core
//! door_deadline = "250ms"                 # proxies wait no longer for a decision
//!
//! [log]
//! format = "text"                         # or "json"
//! filter = "warn,doorward=info"
//!
//! [listen.local]
//! address = "127.0.0.1:7181"              # or "unix:/run/doorward/check.sock", "systemd"
//! hosts = ["pdp.internal"]                # accepted in `Host` besides the loopback names
//! deny_beyond = "10m"                     # deny when staler, or when staleness is unknown
//! metrics = true                          # `/metrics` without a credential
//! remote = false                          # needed to bind TCP beyond loopback
//! forward_auth = true                     # answer proxies; beyond loopback only where it is said
//! anonymous = ["check"]                   # what those may ask who are no known caller
//!
//! [listen.envoy]
//! address = "127.0.0.1:7182"
//! protocol = "envoy-grpc"                 # `ext_authz` over gRPC, and nothing else
//!
//! [tokens]                                # whose access tokens open the doors of proxies
//! issuer = "https://auth.example.com"
//! audiences = ["https://app.example.com"]
//!
//! [gate.board]                            # a browser login: see `sidecar::gate`
//! hosts = ["https://app.example.com"]
//! client_id = "board-gate"
//! keys_file = "/etc/doorward/gate.keys"
//!
//! [callers.billing]
//! credential_file = "/etc/doorward/billing.secret" # its bearer credential, or:
//! uid = 1001                              # its user, over the Unix socket
//! may = ["check", "search", "plan"]       # also "explain", "status", "metrics"
//! services = ["billing"]                  # resource types of these only; default: all
//!
//! [decision_log]                          # see `sidecar::decision_log`
//! directory = "/var/log/doorward-sidecar"
//!
//! [watch]                                 # see `sidecar::watch`
//! most = 10000
//!
//! [cache]
//! members = 200000
//! front = 16384                           # per runtime thread
//! depends = "16MiB"
//! tokens = "32MiB"                        # verified tokens
//! proofs = "16MiB"                        # proofs of possession of the last 80 seconds
//!
//! [mapping]
//! subject_types = ["user"]
//! default_service = "documents"           # for resource types without `service:`
//! action_prefixes = ["can_"]              # cut off before the action is looked up
//! fill_missing_from_defaults = true       # batches: see `protocol::authzen::resolve`
//! ```

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use crate::domain::{Secret, ServiceName};
use crate::runtime::config::{ConfigError, Environment, Reader, parse_duration};
use crate::runtime::listen::Address;
use crate::runtime::telemetry::{DEFAULT_FILTER, LogFormat};
use crate::sidecar::callers::{self, Ask, CallerConfig, Transport, anonymous};
use crate::sidecar::decision_log::{self, DecisionLogConfig};
use crate::sidecar::gate::{self, GateConfig};
use crate::sidecar::tokens::Rules;
use crate::sidecar::watch::{self, WatchConfig};

/// What environment variables begin with.
const PREFIX: &str = "DOORWARD_SIDECAR";

/// Where checks are answered when nothing is configured.
const DEFAULT_ADDRESS: &str = "127.0.0.1:7181";

/// A running sidecar's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the copy and the enrolment live.
    pub data: PathBuf,
    /// Base URL of the metadata document; the first TCP listener's when absent.
    pub public_url: Option<String>,
    /// Directory of hand-written policies.
    pub policies: Option<PathBuf>,
    /// The file of routes; without it no proxy is answered.
    pub routes: Option<PathBuf>,
    /// Whose access tokens open the doors of proxies.
    pub tokens: Option<Rules>,
    /// The browser logins of apps that have none.
    pub gates: Vec<GateConfig>,
    /// The bearer credential whose holder may ask everything.
    pub credential: Option<Secret<String>>,
    /// Who else is known, and what they may ask.
    pub callers: Vec<CallerConfig>,
    /// Bounds of watches.
    pub watch: WatchConfig,
    /// What is recorded of decisions, if anything is.
    pub decision_log: Option<DecisionLogConfig>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines there are, such as `warn,doorward=debug`.
    pub log_filter: String,
    /// Runtime threads.
    pub workers: usize,
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Sizes of caches.
    pub cache: CacheSizes,
    /// How callers' words become ours.
    pub mapping: Mapping,
    /// How long a request waits for the revision it asks for with `at_least`.
    pub at_least_wait: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a door may take to decide: what takes longer is denied.
    pub door_deadline: Duration,
    /// The most connections at once on each listener.
    pub max_connections: usize,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, with every endpoint.
    #[default]
    Http,
    /// Envoy's `ext_authz` over gRPC, and nothing else.
    EnvoyGrpc,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where.
    pub address: Address,
    /// What it speaks.
    pub protocol: Protocol,
    /// Further names accepted in `Host`.
    pub hosts: Vec<String>,
    /// Deny when staler than this, or when staleness is unknown.
    pub deny_beyond: Option<Duration>,
    /// Whether `/metrics` is open.
    pub metrics: bool,
    /// Whether TCP beyond loopback is meant.
    pub remote: bool,
    /// Whether proxies are answered; if not said, on loopback and Unix sockets only.
    pub forward_auth: Option<bool>,
    /// What those may ask who are no known caller. `None`: everything over a Unix socket, checks
    /// over loopback TCP, nothing over other TCP.
    pub anonymous: Option<Vec<Ask>>,
}

impl Listener {
    /// A listener with the defaults.
    pub const fn at(address: Address) -> Self {
        Self {
            address,
            protocol: Protocol::Http,
            hosts: Vec::new(),
            deny_beyond: None,
            metrics: false,
            remote: false,
            forward_auth: None,
            anonymous: None,
        }
    }
}

/// Bounds of the caches.
#[derive(Debug, Clone, Copy)]
pub struct CacheSizes {
    /// Members in moka.
    pub members: u64,
    /// Members in each thread's front.
    pub front: usize,
    /// Bytes of depends-answers.
    pub depends_bytes: u64,
    /// Bytes of verified tokens.
    pub token_bytes: u64,
    /// Bytes of proofs of possession that were shown.
    pub proof_bytes: u64,
    /// Bytes of registered instances.
    pub instance_bytes: u64,
    /// Distinct sets of roles that are interned.
    pub role_sets: u32,
}

impl Default for CacheSizes {
    fn default() -> Self {
        Self {
            members: 200_000,
            front: 16_384,
            depends_bytes: 16 << 20,
            token_bytes: 32 << 20,
            proof_bytes: 16 << 20,
            instance_bytes: 16 << 20,
            role_sets: 1 << 20,
        }
    }
}

/// How callers' words become `user`, `service:resource` and an action's name.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Subject types that mean a user.
    pub subject_types: Vec<String>,
    /// The service of resource types that name none.
    pub default_service: Option<ServiceName>,
    /// Cut off action names, the first that fits.
    pub action_prefixes: Vec<String>,
    /// Whether a batch's defaults fill a missing `type`, `id` or `name`.
    pub fill_missing_from_defaults: bool,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            subject_types: vec!["user".to_owned()],
            default_service: None,
            action_prefixes: Vec::new(),
            fill_missing_from_defaults: true,
        }
    }
}

impl Mapping {
    /// Whether a subject of this type is a user.
    pub fn is_user(&self, subject_type: &str) -> bool {
        self.subject_types.iter().any(|name| name == subject_type)
    }

    /// `service:resource` for a resource type as sent.
    pub fn resource_type<'a>(&self, sent: &'a str) -> Cow<'a, str> {
        match &self.default_service {
            Some(service) if !sent.contains(':') => Cow::Owned(format!("{service}:{sent}")),
            _ => Cow::Borrowed(sent),
        }
    }

    /// The action's own name.
    pub fn action<'a>(&self, sent: &'a str) -> &'a str {
        self.action_prefixes
            .iter()
            .find_map(|prefix| sent.strip_prefix(prefix.as_str()))
            .filter(|rest| !rest.is_empty())
            .unwrap_or(sent)
    }
}

impl Config {
    /// Settings for a data directory, everything else by default: one loopback listener.
    pub fn for_data(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            public_url: None,
            policies: None,
            routes: None,
            tokens: None,
            gates: Vec::new(),
            credential: None,
            callers: Vec::new(),
            decision_log: None,
            watch: WatchConfig::default(),
            log_format: LogFormat::default(),
            log_filter: DEFAULT_FILTER.to_owned(),
            workers: cores(),
            listeners: Vec::new(),
            cache: CacheSizes::default(),
            mapping: Mapping::default(),
            at_least_wait: Duration::from_millis(500),
            body_timeout: Duration::from_secs(10),
            door_deadline: Duration::from_millis(250),
            max_connections: 10_000,
        }
    }

    /// Reads the file and the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with every mistake at once.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        Self::read(Reader::open(file, environment, PREFIX)?)
    }

    /// Reads a text: for tests and embedding.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with every mistake at once.
    pub fn from_text(text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        Self::read(Reader::from_text(text, "the text", environment, PREFIX)?)
    }

    fn read(mut reader: Reader<'_>) -> Result<Self, ConfigError> {
        let mut config = Self::for_data(
            reader
                .path("data")
                .unwrap_or_else(|| "doorward-sidecar".into()),
        );
        config.public_url = reader.optional("public_url");
        if let Some(url) = &mut config.public_url {
            url.truncate(url.trim_end_matches('/').len());
            if let Some(mistake) = public_url_mistake(url) {
                reader.mistake("public_url", mistake);
            }
        }
        config.policies = reader.path("policies");
        config.routes = reader.path("routes");
        config.tokens = reader.section("tokens", tokens);
        config.gates = gate::read(&mut reader, config.tokens.is_some());
        config.credential = reader.secret("credential");
        config.callers = callers::read(&mut reader);
        config.watch = reader.section("watch", watch::read);
        config.decision_log = reader.section("decision_log", decision_log::read);
        (config.log_format, config.log_filter) = reader.section("log", |log| {
            (
                log.or("format", config.log_format),
                log.or("filter", config.log_filter),
            )
        });
        config.workers = reader.or("workers", config.workers).clamp(1, 256);
        config.at_least_wait = reader.duration("at_least_wait", config.at_least_wait);
        config.body_timeout = reader.duration("body_timeout", config.body_timeout);
        config.door_deadline = reader.duration("door_deadline", config.door_deadline);
        config.max_connections = reader.or("max_connections", config.max_connections).max(1);
        config.cache = reader.section("cache", |cache| {
            let default = CacheSizes::default();
            CacheSizes {
                members: cache.or("members", default.members),
                front: cache.or("front", default.front).min(1 << 22),
                depends_bytes: cache.size("depends", default.depends_bytes),
                token_bytes: cache.size("tokens", default.token_bytes),
                proof_bytes: cache.size("proofs", default.proof_bytes),
                instance_bytes: cache.size("instances", default.instance_bytes),
                role_sets: cache.or("role_sets", default.role_sets),
            }
        });
        config.mapping = reader.section("mapping", |mapping| {
            let default = Mapping::default();
            let subject_types = mapping.list("subject_types");
            Mapping {
                subject_types: if subject_types.is_empty() {
                    default.subject_types
                } else {
                    subject_types
                },
                default_service: mapping.optional("default_service"),
                action_prefixes: mapping.list("action_prefixes"),
                fill_missing_from_defaults: mapping.or("fill_missing_from_defaults", true),
            }
        });
        let addresses: Vec<Address> = reader.list("addresses");
        config.listeners = addresses.into_iter().map(Listener::at).collect();
        for (name, value) in reader.map("listen") {
            match listener(&value) {
                Ok(listener) => config.listeners.push(listener),
                Err(message) => reader.mistake(&format!("listen.{name}"), message),
            }
        }
        if config.listeners.is_empty()
            && let Ok(address) = DEFAULT_ADDRESS.parse()
        {
            config.listeners.push(Listener::at(address));
        }
        for mistake in config.exposure_mistakes() {
            reader.mistake("listen", mistake);
        }
        reader.finish()?;
        Ok(config)
    }

    /// TCP beyond loopback is never an accident: it must be said, and needs a credential.
    pub fn exposure_mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let has_credential = self.credential.is_some()
            || self
                .callers
                .iter()
                .any(|caller| caller.credential.is_some());
        for listener in &self.listeners {
            // An inherited socket's address is known only once it is there.
            let transport = match &listener.address {
                Address::Tcp(address) if address.ip().is_loopback() => Transport::Loopback,
                Address::Tcp(_) => Transport::Remote,
                Address::Unix { .. } => Transport::Unix,
                Address::Inherited(_) => continue,
            };
            mistakes.extend(anonymous(transport, listener.anonymous.as_deref()).err());
            let address = &listener.address;
            if transport != Transport::Remote {
                continue;
            }
            if !listener.remote {
                mistakes.push(format!(
                    "`{address}` is reachable from other hosts: set `remote = true` if that is \
                     meant"
                ));
            } else if !has_credential {
                mistakes.push(format!(
                    "`{address}` is reachable from other hosts and needs `credential_file`, or a \
                     caller that has one"
                ));
            }
        }
        mistakes
    }
}

/// The metadata document's identifier has to be `https`, and nothing may follow its path.
fn public_url_mistake(url: &str) -> Option<String> {
    let uri = url.parse::<http::Uri>().ok();
    let right = uri.is_some_and(|uri| {
        uri.scheme_str() == Some("https") && uri.host().is_some() && uri.query().is_none()
    });
    (!right || url.contains('#'))
        .then(|| format!("`{url}` is not an `https` URL without query and fragment"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn tokens(section: &mut Reader<'_>) -> Option<Rules> {
    let issuer: Option<String> = section.optional("issuer");
    let audiences: Vec<String> = section.list("audiences");
    match (issuer, audiences.is_empty()) {
        (Some(issuer), false) => Some(Rules { issuer, audiences }),
        (None, true) => None,
        (None, false) => {
            section.mistake("issuer", "it goes with `audiences`".to_owned());
            None
        }
        (Some(_), true) => {
            let message = "name for whom tokens must be meant: without, every token is refused";
            section.mistake("audiences", message.to_owned());
            None
        }
    }
}

fn listener(value: &Value) -> Result<Listener, String> {
    let table: &Table = value.as_table().ok_or("a table is wanted")?;
    let mut address = None;
    let mut listener = Listener::at(Address::Inherited(None));
    for (key, value) in table {
        let wrong = |wanted: &str| format!("`{key}`: {wanted} is wanted");
        match key.as_str() {
            "address" => {
                let text = value.as_str().ok_or_else(|| wrong("an address"))?;
                address = Some(text.parse()?);
            }
            "protocol" => {
                listener.protocol = match value.as_str() {
                    Some("http") => Protocol::Http,
                    Some("envoy-grpc") => Protocol::EnvoyGrpc,
                    _ => return Err(wrong("`http` or `envoy-grpc`")),
                };
            }
            "hosts" => {
                listener.hosts = value
                    .as_array()
                    .and_then(|hosts| {
                        hosts
                            .iter()
                            .map(|host| host.as_str().map(str::to_ascii_lowercase))
                            .collect()
                    })
                    .ok_or_else(|| wrong("a list of host names"))?;
            }
            "deny_beyond" => {
                let text = value.as_str().ok_or_else(|| wrong("a duration"))?;
                listener.deny_beyond = Some(parse_duration(text)?);
            }
            "metrics" => {
                listener.metrics = value.as_bool().ok_or_else(|| wrong("true or false"))?;
            }
            "anonymous" => {
                let words = value.as_array().ok_or_else(|| wrong("a list"))?;
                let asks: Result<Vec<Ask>, String> = words
                    .iter()
                    .map(|word| {
                        let word = word.as_str().ok_or_else(|| wrong("a list of words"))?;
                        word.parse()
                            .map_err(|error: callers::UnknownAsk| format!("`{key}`: {error}"))
                    })
                    .collect();
                listener.anonymous = Some(asks?);
            }
            "remote" => {
                listener.remote = value.as_bool().ok_or_else(|| wrong("true or false"))?;
            }
            "forward_auth" => {
                let flag = value.as_bool().ok_or_else(|| wrong("true or false"))?;
                listener.forward_auth = Some(flag);
            }
            _ => return Err(format!("`{key}` is no setting of a listener")),
        }
    }
    listener.address = address.ok_or("`address` must be set")?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::from_text(text, &Environment::default())
    }

    #[test]
    fn without_a_file_one_loopback_listener_answers() {
        let config = read("").unwrap();
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(config.listeners[0].address.to_string(), DEFAULT_ADDRESS);
    }

    #[test]
    fn every_setting_of_the_documented_example_is_read() {
        let mut config = read(
            r#"
            data = "/d"
            public_url = "https://pdp.internal/"
            policies = "/p"
            routes = "/r.toml"
            workers = 2
            door_deadline = "100ms"
            [listen.local]
            address = "127.0.0.1:0"
            hosts = ["PDP.internal"]
            deny_beyond = "10m"
            metrics = true
            remote = false
            forward_auth = true
            anonymous = []
            [listen.envoy]
            address = "unix:/run/envoy.sock"
            protocol = "envoy-grpc"
            [tokens]
            issuer = "https://auth.example.com"
            audiences = ["https://app.example.com"]
            [callers.billing]
            uid = 1001
            may = ["check", "search"]
            services = ["billing"]
            [cache]
            members = 5
            front = 4
            depends = "1MiB"
            [mapping]
            subject_types = ["user", "person"]
            default_service = "documents"
            action_prefixes = ["can_"]
            fill_missing_from_defaults = false
            "#,
        )
        .unwrap();
        assert_eq!(config.public_url.as_deref(), Some("https://pdp.internal"));
        // Sections come in the order of their names.
        let envoy = config.listeners.remove(0);
        assert_eq!(envoy.protocol, Protocol::EnvoyGrpc);
        assert_eq!(config.listeners[0].protocol, Protocol::Http);
        assert_eq!(config.door_deadline, Duration::from_millis(100));
        assert_eq!(config.listeners[0].hosts, ["pdp.internal"]);
        assert_eq!(
            config.listeners[0].deny_beyond,
            Some(Duration::from_mins(10))
        );
        assert_eq!(
            (config.cache.members, config.cache.depends_bytes),
            (5, 1 << 20)
        );
        assert_eq!(config.routes.as_deref(), Some(Path::new("/r.toml")));
        assert_eq!(config.listeners[0].forward_auth, Some(true));
        assert_eq!(
            config.tokens.unwrap().audiences,
            ["https://app.example.com"]
        );
        assert!(!config.mapping.fill_missing_from_defaults);
        assert_eq!(config.listeners[0].anonymous, Some(Vec::new()));
        let caller = &config.callers[0];
        assert_eq!((caller.name.as_str(), caller.uid), ("billing", Some(1001)));
        assert_eq!(caller.may, [Ask::Check, Ask::Search]);
        assert_eq!(caller.services[0].as_str(), "billing");
    }

    #[test]
    fn an_unknown_setting_or_a_wrong_value_is_named() {
        for (text, named) in [
            ("colour = 1", "colour"),
            ("public_url = \"http://pdp.internal\"", "public_url"),
            ("public_url = \"https://pdp.internal/?a=b\"", "public_url"),
            ("public_url = \"https://pdp.internal/#a\"", "public_url"),
            ("public_url = \"pdp.internal\"", "public_url"),
            ("[listen.x]\naddress = \"nowhere\"", "listen.x"),
            ("[listen.x]\nport = 1", "port"),
            ("[listen.x]\nprotocol = \"grpc\"", "protocol"),
            (
                "[listen.x]\naddress = \"unix:/s\"\nanonymous = [\"all\"]",
                "`all` cannot be asked for",
            ),
            (
                "[listen.x]\naddress = \"127.0.0.1:0\"\nanonymous = [\"search\"]",
                "`search` over TCP needs a credential",
            ),
            (
                "[callers.x]\nmay = [\"check\"]",
                "callers.x.credential_file",
            ),
            ("[callers.x]\nuid = 5", "callers.x.may"),
            ("[callers.x]\nuid = 5\nmay = [\"fly\"]", "callers.x.may"),
            (
                "[callers.x]\nuid = 5\nmay = [\"check\"]\n[callers.y]\nuid = 5\nmay = [\"check\"]",
                "callers.y.uid",
            ),
            ("[listen.x]\n", "address"),
            ("[tokens]\nissuer = \"https://a\"", "tokens.audiences"),
            ("[tokens]\naudiences = [\"https://a\"]", "tokens.issuer"),
            ("[mapping]\ndefault_service = \"A B\"", "default_service"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn tcp_beyond_loopback_must_be_said_and_needs_a_credential() {
        let open = "[listen.x]\naddress = \"0.0.0.0:7181\"\n";
        assert!(
            read(open)
                .unwrap_err()
                .to_string()
                .contains("`remote = true`")
        );
        let said = format!("{open}remote = true");
        assert!(
            read(&said)
                .unwrap_err()
                .to_string()
                .contains("credential_file")
        );
    }

    #[test]
    fn the_mapping_turns_other_shapes_into_ours() {
        let mapping = Mapping {
            default_service: Some("documents".parse().unwrap()),
            action_prefixes: vec!["can_".to_owned()],
            subject_types: vec!["user".to_owned(), "person".to_owned()],
            ..Mapping::default()
        };
        assert_eq!(mapping.resource_type("page"), "documents:page");
        assert_eq!(mapping.resource_type("billing:invoice"), "billing:invoice");
        assert_eq!(mapping.action("can_read"), "read");
        assert_eq!(mapping.action("can_"), "can_");
        assert_eq!(mapping.action("read"), "read");
        assert!(mapping.is_user("person") && !mapping.is_user("robot"));
    }
}
