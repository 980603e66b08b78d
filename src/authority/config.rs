//! The authority's configuration: `authority.toml`, variables `DOORWARD_AUTHORITY__…`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

use crate::domain::Secret;
use crate::runtime::config::{ConfigError, Environment, Reader};
use crate::runtime::listen::Address;
use crate::runtime::telemetry::{DEFAULT_FILTER, LogFormat};
use crate::store::StoreConfig;

use super::apps::{ConfiguredApp, RegistrationConfig, read_clients};
use super::brand::Brand;
use super::instances::Quotas;
use super::load::LoadLimits;
use super::login::ConfiguredProvider;
use super::outbound::OutboundConfig;
use super::providers::read_providers;
use super::proxies::Proxies;
use super::resource_servers::ResourceServers;

/// Prefix of the environment variables.
pub const VARIABLES: &str = "DOORWARD_AUTHORITY";

const DEFAULT_ISSUER: &str = "http://127.0.0.1:7180";
const DEFAULT_ADDRESS: &str = "127.0.0.1:7180";
const ROTATE_KEYS_EVERY: Duration = Duration::from_hours(24 * 90);

/// A request that waits for others must still end before its own time is over.
const OUTBOUND_TIME_MAX: Duration = Duration::from_secs(20);

/// How the authority runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The URL it is known by: `iss` of its tokens and the audience of its own API.
    pub issuer: Issuer,
    /// Where it listens.
    pub listen: Vec<Address>,
    /// The directory that is its own.
    pub data: PathBuf,
    /// The sealing keys.
    pub key_file: PathBuf,
    /// The database.
    pub store: StoreConfig,
    /// Who else its access tokens may be for (RFC 8707 `resource`).
    pub resources: Vec<String>,
    /// Which of them are whose: a service may ask about the tokens for its own.
    pub resource_servers: ResourceServers,
    /// How long what it issues lives.
    pub lifetimes: Lifetimes,
    /// How long a signing key signs before the next one does.
    pub rotate_keys_every: Duration,
    /// The requests that it makes.
    pub outbound: OutboundConfig,
    /// Who tells where requests come from.
    pub proxies: Proxies,
    /// How much one address may ask.
    pub limits: LoadLimits,
    /// How much services may register.
    pub instances: Quotas,
    /// How its pages introduce themselves.
    pub brand: Brand,
    /// Who vouches for people.
    pub providers: Vec<ConfiguredProvider>,
    /// Whether the demo provider runs, which lets anybody be anybody. No file and no variable can
    /// say so: only `doorward dev` does.
    pub demo_provider: bool,
    /// The apps that people log in through, as far as they are declared here.
    pub clients: Vec<ConfiguredApp>,
    /// Whether clients may make themselves known, and how.
    pub registration: RegistrationConfig,
    /// How it logs.
    pub log_format: LogFormat,
    /// What it logs.
    pub log_filter: String,
}

/// How long credentials live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// A client's access token.
    pub access: Duration,
    /// An access token minted on the host for a user.
    pub user: Duration,
    /// A sidecar's join token.
    pub join: Duration,
    /// A client secret after it was replaced, unless the rotation says otherwise.
    pub previous_secret: Duration,
    /// An authorization code.
    pub code: Duration,
    /// An ID token.
    pub id_token: Duration,
    /// A login session, used or not.
    pub session: Duration,
    /// A login session that nobody uses.
    pub session_idle: Duration,
    /// A refresh token that nobody uses.
    pub refresh_idle: Duration,
    /// A grant and its refresh tokens, used or not.
    pub refresh: Duration,
    /// For how long a refresh token that was just used gives the same successor again.
    pub refresh_reuse: Duration,
    /// A pushed authorization request.
    pub pushed_request: Duration,
    /// A device code.
    pub device_code: Duration,
    /// The state of a login or a consent that travels through the browser.
    pub interaction: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access: Duration::from_mins(10),
            user: Duration::from_mins(10),
            join: Duration::from_hours(1),
            previous_secret: Duration::from_hours(24),
            code: Duration::from_mins(1),
            id_token: Duration::from_mins(10),
            session: Duration::from_hours(24 * 7),
            session_idle: Duration::from_hours(24),
            refresh_idle: Duration::from_hours(24 * 14),
            refresh: Duration::from_hours(24 * 90),
            refresh_reuse: Duration::from_secs(30),
            pushed_request: Duration::from_secs(90),
            device_code: Duration::from_mins(10),
            interaction: Duration::from_hours(1),
        }
    }
}

impl Config {
    /// Reads the file, if there is one, and the environment. `data` (an argument) wins over both.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every mistake.
    pub fn load(
        file: Option<&Path>,
        data: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::open(file, environment, VARIABLES)?;
        let config = Self::read(&mut reader, data);
        reader.finish()?;
        Ok(config)
    }

    /// Everything as it is by default, in a directory.
    pub fn in_directory(data: &Path) -> Self {
        Self {
            issuer: Issuer(DEFAULT_ISSUER.to_owned()),
            listen: DEFAULT_ADDRESS.parse().into_iter().collect(),
            data: data.to_owned(),
            key_file: data.join("doorward.keys"),
            store: StoreConfig::Sqlite {
                path: data.join("doorward.db"),
            },
            resources: Vec::new(),
            resource_servers: ResourceServers::default(),
            lifetimes: Lifetimes::default(),
            rotate_keys_every: ROTATE_KEYS_EVERY,
            outbound: OutboundConfig::default(),
            proxies: Proxies::default(),
            limits: LoadLimits::default(),
            instances: Quotas::default(),
            brand: Brand::default(),
            providers: Vec::new(),
            demo_provider: false,
            clients: Vec::new(),
            registration: RegistrationConfig::default(),
            log_format: LogFormat::default(),
            log_filter: DEFAULT_FILTER.to_owned(),
        }
    }

    fn read(reader: &mut Reader<'_>, argument: Option<&Path>) -> Self {
        let configured = reader.path("data");
        let data = argument.map(Path::to_owned).or(configured);
        if data.is_none() {
            reader.mistake(
                "data",
                "it must be set, here, as `DOORWARD_AUTHORITY__DATA` or by `--data`".to_owned(),
            );
        }
        let defaults = Self::in_directory(&data.unwrap_or_default());
        let issuer = reader.or("issuer", defaults.issuer);
        let listen = reader.list("listen");
        let key_file = reader.path("key_file").unwrap_or(defaults.key_file);
        let further = reader.list::<Issuer>("resources");
        let resource_servers = reader.section("services", |services| {
            ResourceServers::read(services, &issuer)
        });
        let resources = further
            .into_iter()
            .map(|Issuer(url)| url)
            .chain(resource_servers.resources().cloned())
            .collect();
        let store = reader.section("store", |store| read_store(store, defaults.store));
        let lifetimes = reader.section("lifetimes", read_lifetimes);
        let rotate_keys_every = reader.section("keys", read_keys);
        let outbound = reader.section("outbound", read_outbound);
        let proxies = reader.section("proxies", Proxies::read);
        let limits = reader.section("limits", LoadLimits::read);
        let instances = reader.section("instances", Quotas::read);
        let brand = reader.section("brand", Brand::read);
        let providers = reader.section("providers", read_providers);
        let clients = reader.section("clients", read_clients);
        let registration = reader.section("registration", RegistrationConfig::read);
        let (log_format, log_filter) = reader.section("log", |log| {
            (
                log.or("format", defaults.log_format),
                log.or("filter", defaults.log_filter),
            )
        });
        Self {
            issuer,
            listen: if listen.is_empty() {
                defaults.listen
            } else {
                listen
            },
            data: defaults.data,
            key_file,
            store,
            resources,
            resource_servers,
            lifetimes,
            rotate_keys_every,
            outbound,
            proxies,
            limits,
            instances,
            brand,
            providers,
            demo_provider: false,
            clients,
            registration,
            log_format,
            log_filter,
        }
    }
}

fn read_store(reader: &mut Reader<'_>, default: StoreConfig) -> StoreConfig {
    let sqlite = reader.path("sqlite");
    let postgres: Option<Secret<String>> = reader.secret("postgres_url");
    let max_connections = reader.or("max_connections", 16_u32);
    if max_connections == 0 {
        reader.mistake("max_connections", "at least 1 is wanted".to_owned());
    }
    match (sqlite, postgres) {
        (Some(_), Some(_)) => {
            reader.mistake(
                "postgres_url_file",
                "`sqlite` and `postgres_url_file` exclude each other".to_owned(),
            );
            default
        }
        (Some(path), None) => StoreConfig::Sqlite { path },
        (None, Some(url)) => StoreConfig::Postgres {
            url,
            max_connections,
        },
        (None, None) => default,
    }
}

const DAY: Duration = Duration::from_hours(24);

fn read_outbound(reader: &mut Reader<'_>) -> OutboundConfig {
    let default = OutboundConfig::default();
    let timeout = reader.duration("timeout", default.timeout);
    if timeout.is_zero() || timeout > OUTBOUND_TIME_MAX {
        let most = OUTBOUND_TIME_MAX.as_secs();
        reader.mistake(
            "timeout",
            format!("at least 1s and at most {most}s is wanted"),
        );
    }
    OutboundConfig {
        allow_hosts: reader.list("allow_hosts"),
        ca_file: reader.path("ca_file"),
        timeout,
    }
}

fn read_keys(reader: &mut Reader<'_>) -> Duration {
    const KEY: &str = "rotate_every";
    const DAY: Duration = Duration::from_hours(24);
    let every = reader.duration(KEY, ROTATE_KEYS_EVERY);
    if every < DAY || every > 3650 * DAY {
        reader.mistake(KEY, "at least 1d and at most 3650d is wanted".to_owned());
    }
    every
}

fn read_lifetimes(reader: &mut Reader<'_>) -> Lifetimes {
    let default = Lifetimes::default();
    let mut bounded = |key: &str, default: Duration, most: Duration| {
        let value = reader.duration(key, default);
        if value.is_zero() || value > most {
            reader.mistake(
                key,
                format!("at least 1s and at most {}s is wanted", most.as_secs()),
            );
        }
        value
    };
    Lifetimes {
        access: bounded("access", default.access, Duration::from_hours(24)),
        user: bounded("user", default.user, Duration::from_hours(1)),
        join: bounded("join", default.join, Duration::from_hours(24 * 7)),
        previous_secret: bounded(
            "previous_secret",
            default.previous_secret,
            Duration::from_hours(24 * 30),
        ),
        code: bounded("code", default.code, Duration::from_mins(10)),
        id_token: bounded("id_token", default.id_token, Duration::from_hours(24)),
        session: bounded("session", default.session, DAY * 365),
        session_idle: bounded("session_idle", default.session_idle, DAY * 365),
        refresh_idle: bounded("refresh_idle", default.refresh_idle, DAY * 365),
        refresh: bounded("refresh", default.refresh, DAY * 3650),
        refresh_reuse: bounded(
            "refresh_reuse",
            default.refresh_reuse,
            Duration::from_mins(5),
        ),
        pushed_request: bounded(
            "pushed_request",
            default.pushed_request,
            Duration::from_mins(10),
        ),
        device_code: bounded("device_code", default.device_code, Duration::from_hours(1)),
        interaction: bounded("interaction", default.interaction, Duration::from_hours(24)),
    }
}

/// An issuer URL (RFC 8414 §2): no query, no fragment, no slash at its end, compared whole. Plain
/// HTTP only on the machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Issuer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("`{text}` is not an issuer URL: {why}"));
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse("`https://auth.example.com` is wanted");
        };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return refuse("it has no host");
        };
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if matches!(host, "127.0.0.1" | "[::1]" | "localhost") => {}
            Some("http") => return refuse("`https` is wanted, except on the machine itself"),
            _ => return refuse("`https` is wanted"),
        }
        if text.contains(['?', '#', '@']) {
            return refuse("it may not have a query, a fragment or a user");
        }
        if text.ends_with('/') {
            return refuse("it may not end in `/`");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("authority.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file), None, &Environment::default())
    }

    #[test]
    fn a_directory_is_configuration_enough() {
        let config = Config::load(None, Some(Path::new("/d")), &Environment::default()).unwrap();
        assert_eq!(config.issuer.as_str(), DEFAULT_ISSUER);
        assert_eq!(config.key_file, Path::new("/d/doorward.keys"));
        assert_eq!(config.listen.len(), 1);
    }

    #[test]
    fn nothing_at_all_says_what_is_missing() {
        let error = Config::load(None, None, &Environment::default()).unwrap_err();
        assert!(error.to_string().contains("--data"), "{error}");
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        let error = load(
            "data = '/d'\nissuer = 'http://auth.example.com'\nlisten = ['7180']\n\
             [lifetimes]\naccess = '2d'\n[store]\nsqlite = 'a'\nmysql = 'b'",
        )
        .unwrap_err()
        .to_string();
        for key in [
            "issuer: ",
            "listen: ",
            "lifetimes.access: ",
            "store.mysql: ",
        ] {
            assert!(error.contains(key), "{key} is missing in {error}");
        }
    }

    #[test]
    fn what_a_service_owns_gets_tokens_and_has_one_owner_who_is_not_the_authority() {
        let config = load(
            "data = '/d'\nresources = ['https://a.example']\n[services.billing]\n\
             resources = ['https://billing.example', 'https://b.example']\n[services.other]",
        )
        .unwrap();
        let wanted = [
            "https://a.example",
            "https://b.example",
            "https://billing.example",
        ];
        assert_eq!(config.resources, wanted);
        let error = load(
            "data = '/d'\nissuer = 'https://id.example'\n\
             [services.a]\nresources = ['https://x.example', 'https://id.example', 'x']\n\
             [services.b]\nresources = ['https://x.example']\n[services.'no name']",
        )
        .unwrap_err()
        .to_string();
        for part in [
            "services.a.resources: `https://id.example`",
            "`x` is not",
            "services.b.resources: `https://x.example` is service `a`",
            "services.no name: ",
        ] {
            assert!(error.contains(part), "{part} is missing in {error}");
        }
    }

    #[test]
    fn an_issuer_is_https_or_local_and_has_one_spelling() {
        for good in [
            "https://auth.example.com",
            "https://example.com/auth",
            "http://127.0.0.1:7180",
            "http://[::1]:7180",
        ] {
            assert!(good.parse::<Issuer>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "auth.example.com",
            "http://auth.example.com",
            "https://auth.example.com/",
            "https://auth.example.com?a",
            "https://auth.example.com#a",
            "https://user@auth.example.com",
            "ftp://auth.example.com",
        ] {
            assert!(bad.parse::<Issuer>().is_err(), "{bad}");
        }
    }
}
