//! Connections: where to, over TLS or not, and how each session is set up.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::postgres::config::SslMode;
use ::postgres::{Client, Config, NoTls, Statement};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::domain::Secret;
use crate::store::StoreError;

use super::values::failed;

const CONNECT: Duration = Duration::from_secs(5);
/// Dynamic SQL (lists of varying length) must not fill the server's memory.
const STATEMENTS: usize = 512;

/// Every wait has an end; times are read and written in UTC.
const SESSION: &str = "SET statement_timeout = '60s';
     SET lock_timeout = '5s';
     SET idle_in_transaction_session_timeout = '60s';
     SET TimeZone = 'UTC';
     SET client_min_messages = 'warning'";

/// Where the database is and how to reach it; makes connections for the pool.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the URL. Never repeats any of it in an error: it holds the password.
    pub(super) fn new(url: &Secret<String>) -> Result<Self, StoreError> {
        let (url, root_file) = split_root_file(url.expose());
        let mut config: Config = url
            .expose()
            .parse()
            .map_err(|_| StoreError::Unavailable("the PostgreSQL URL cannot be read".to_owned()))?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("doorward-authority");
        }
        let tls = if config.get_ssl_mode() == SslMode::Require {
            Some(tls(root_file.as_deref())?)
        } else {
            config.ssl_mode(SslMode::Disable);
            None
        };
        Ok(Self { config, tls })
    }

    fn client(&self) -> Result<Client, ::postgres::Error> {
        let mut client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone())?,
            None => self.config.connect(NoTls)?,
        };
        client.batch_execute(SESSION)?;
        Ok(client)
    }

    /// A connection outside the pool.
    pub(super) fn open(&self) -> Result<Connection, StoreError> {
        self.client().map(Connection::new).map_err(|error| {
            // The chain says which host and why; it does not hold the password.
            let source = std::error::Error::source(&error)
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            match failed(&error) {
                StoreError::Unavailable(_) | StoreError::Other(_) => StoreError::Unavailable(
                    format!("cannot connect to PostgreSQL: {error}{source}"),
                ),
                other => other,
            }
        })
    }
}

impl r2d2::ManageConnection for Connector {
    type Connection = Connection;
    type Error = ::postgres::Error;

    fn connect(&self) -> Result<Connection, ::postgres::Error> {
        self.client().map(Connection::new)
    }

    fn is_valid(&self, connection: &mut Connection) -> Result<(), ::postgres::Error> {
        connection.client.is_valid(CONNECT)
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.broken || connection.client.is_closed()
    }
}

/// A session with the statements it has prepared.
pub(super) struct Connection {
    pub(super) client: Client,
    statements: HashMap<Box<str>, Statement>,
    /// Not to be used again.
    pub(super) broken: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("statements", &self.statements.len())
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl Connection {
    fn new(client: Client) -> Self {
        Self {
            client,
            statements: HashMap::new(),
            broken: false,
        }
    }

    /// The prepared form of portable SQL.
    pub(super) fn prepare(&mut self, sql: &str) -> Result<Statement, ::postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&translate(sql))?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }
}

/// `?1` becomes `$1`, except in literals, quoted names and comments.
fn translate(sql: &str) -> String {
    let mut translated = String::with_capacity(sql.len());
    let mut characters = sql.chars().peekable();
    let mut inside = None;
    while let Some(character) = characters.next() {
        let mut next = character;
        match (inside, character) {
            (None, '\'' | '"') => inside = Some(character),
            (None, '-') if characters.peek() == Some(&'-') => inside = Some('\n'),
            (None, '?') if characters.peek().is_some_and(char::is_ascii_digit) => next = '$',
            (Some(end), _) if end == character => inside = None,
            _ => {}
        }
        translated.push(next);
    }
    translated
}

/// Takes `sslrootcert` out of a URL, which the client does not know, and reads the stricter
/// `sslmode`s as `require`, which here always checks the certificate.
fn split_root_file(url: &str) -> (Secret<String>, Option<String>) {
    let Some((base, query)) = url.split_once('?') else {
        return (Secret::new(url.to_owned()), None);
    };
    let mut root_file = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", value)) => {
                root_file = form_urlencoded::parse(format!("f={value}").as_bytes())
                    .next()
                    .map(|(_, file)| file.into_owned());
            }
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            _ => kept.push(pair),
        }
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    (Secret::new(url), root_file)
}

fn tls(root_file: Option<&str>) -> Result<MakeRustlsConnect, StoreError> {
    let unusable = |what: String| {
        StoreError::Unavailable(format!("TLS for PostgreSQL cannot be set up: {what}"))
    };
    let mut roots = RootCertStore::empty();
    match root_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            let certificates = CertificateDer::pem_file_iter(file)
                .map_err(|error| unusable(format!("`{file}`: {error}")))?;
            for certificate in certificates {
                let certificate =
                    certificate.map_err(|error| unusable(format!("`{file}`: {error}")))?;
                roots
                    .add(certificate)
                    .map_err(|error| unusable(format!("`{file}`: {error}")))?;
            }
            if roots.is_empty() {
                return Err(unusable(format!("`{file}` holds no certificate")));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_translated_outside_literals_and_comments() {
        for (portable, postgres) in [
            ("a = ?1 AND b = ?12", "a = $1 AND b = $12"),
            ("a = '?1' AND b = ?2", "a = '?1' AND b = $2"),
            ("a = 'it''s ?1' AND b = ?2", "a = 'it''s ?1' AND b = $2"),
            ("\"?1\" = ?1 -- ?2\nAND ?3", "\"?1\" = $1 -- ?2\nAND $3"),
            ("a ? b", "a ? b"),
        ] {
            assert_eq!(translate(portable), postgres);
        }
    }

    #[test]
    fn a_root_file_leaves_the_url_and_strict_modes_become_require() {
        let (url, file) =
            split_root_file("postgres://u:p@h/d?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem");
        assert_eq!(url.expose(), "postgres://u:p@h/d?sslmode=require");
        assert_eq!(file.as_deref(), Some("/etc/ca.pem"));
        let (url, file) = split_root_file("postgres://u:p@h/d");
        assert_eq!((url.expose().as_str(), file), ("postgres://u:p@h/d", None));
    }

    #[test]
    fn an_unreadable_url_is_not_repeated_in_the_error() {
        let url = Secret::new("postgres://u:hunter2@h/d?nonsense=1".to_owned());
        let error = Connector::new(&url).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    #[test]
    fn tls_is_used_when_it_is_required_and_needs_its_root_file() {
        let open = |query: &str| Connector::new(&Secret::new(format!("postgres://h/d?{query}")));
        assert!(open("sslmode=require").unwrap().tls.is_some());
        assert!(open("sslmode=prefer").unwrap().tls.is_none());
        assert!(open("sslmode=require&sslrootcert=/nonexistent.pem").is_err());
    }
}
