//! The client.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use tower::Service;

use crate::domain::Secret;
use crate::protocol::host::host_and_port;
use crate::runtime::chain;

use super::address::is_public;

/// The most of an answer that is read.
pub const ANSWER_BYTES: usize = 256 * 1024;
/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The longest URL.
const URL_MAX: usize = 4 * 1024;

/// A host that may be on a private network or on this machine, and may be spoken to without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    port: Option<u16>,
}

impl AllowedHost {
    fn allows(&self, host: &str, port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(host) && (self.port.is_none() || self.port == port)
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a host: `name` or `name:port` is wanted");
        let authority: http::uri::Authority = text.parse().map_err(|_| refuse())?;
        if authority.host().is_empty() || text.contains('@') {
            return Err(refuse());
        }
        Ok(Self {
            host: bare(authority.host()).to_owned(),
            port: authority.port_u16(),
        })
    }
}

/// What is configured of outbound requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundConfig {
    /// Hosts that may be private.
    pub allow_hosts: Vec<AllowedHost>,
    /// Certificates (PEM) to trust beside the public roots.
    pub ca_file: Option<PathBuf>,
    /// How long a request may take, from the name's resolution to the last byte.
    pub timeout: Duration,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            allow_hosts: Vec::new(),
            ca_file: None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why there is no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Not a URL that is ever asked.
    #[error("not a URL that is asked: {0}")]
    Url(&'static str),
    /// Every address of the host is private, and the host is not among the allowed ones.
    #[error("the host has no public address, and `outbound.allow_hosts` does not name it")]
    Private,
    /// No connection, or it broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// No whole answer in time.
    #[error("no answer in time")]
    Timeout,
    /// More than [`ANSWER_BYTES`].
    #[error("the answer is too large")]
    TooLarge,
    /// Another status than the caller can use.
    #[error("answered {0}")]
    Status(StatusCode),
    /// Not what was asked for.
    #[error("the answer is not understood: {0}")]
    Answer(&'static str),
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status: a redirect is an answer like any other.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

impl Answer {
    /// The body, if the status is a success.
    ///
    /// # Errors
    ///
    /// [`OutboundError::Status`] otherwise.
    pub fn success(self) -> Result<Self, OutboundError> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(OutboundError::Status(self.status))
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// [`OutboundError::Answer`]; the parser's words are left out: they could quote a secret.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, OutboundError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| OutboundError::Answer("it is not the JSON that was asked for"))
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum OutboundSetupError {
    /// The certificates cannot be used.
    #[error("`{path}` holds no usable certificates")]
    Certificates {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The TLS library refused.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

type Connector = HttpsConnector<HttpConnector<Guard>>;

/// The client.
pub struct Outbound {
    /// For hosts that must be public.
    public: Client<Connector, Full<Bytes>>,
    /// For hosts that the configuration names.
    allowed: Client<Connector, Full<Bytes>>,
    config: OutboundConfig,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Outbound {
    /// A client; it connects when first used.
    ///
    /// # Errors
    ///
    /// [`OutboundSetupError`] for certificates that cannot be read.
    pub fn new(config: OutboundConfig) -> Result<Self, OutboundSetupError> {
        let tls = tls(&config)?;
        let client = |private| {
            let mut tcp = HttpConnector::new_with_resolver(Guard {
                resolver: GaiResolver::new(),
                private,
            });
            tcp.enforce_http(false);
            tcp.set_nodelay(true);
            tcp.set_connect_timeout(Some(CONNECT_TIME.min(config.timeout)));
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
                .enable_http1()
                .wrap_connector(tcp);
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(2)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_timer(TokioTimer::new())
                .http1_max_headers(64)
                .build(connector)
        };
        Ok(Self {
            public: client(false),
            allowed: client(true),
            config,
        })
    }

    /// Whether a URL could be asked at all: `https`, or `http` to an allowed host; no user, no
    /// fragment; no private address in the place of a host.
    ///
    /// # Errors
    ///
    /// [`OutboundError::Url`] or [`OutboundError::Private`]. Names are not resolved here.
    pub fn check_url(&self, url: &str) -> Result<(), OutboundError> {
        self.target(url).map(|_| ())
    }

    /// Whether the configuration names the URL's host as one that may be private.
    ///
    /// # Errors
    ///
    /// As [`Self::check_url`].
    pub fn may_be_private(&self, url: &str) -> Result<bool, OutboundError> {
        self.target(url).map(|(_, allowed)| allowed)
    }

    /// `GET`s JSON.
    ///
    /// # Errors
    ///
    /// [`OutboundError`]; any status but 200 is one.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        url: &str,
        bearer: Option<&Secret<String>>,
    ) -> Result<T, OutboundError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, bearer_header(bearer)?);
        }
        let answer = self.get(url, headers).await?;
        if answer.status != StatusCode::OK {
            return Err(OutboundError::Status(answer.status));
        }
        answer.json()
    }

    /// `GET`s anything.
    pub async fn get(&self, url: &str, headers: HeaderMap) -> Result<Answer, OutboundError> {
        self.exchange(Method::GET, url, headers, Bytes::new()).await
    }

    /// `POST`s a form. The answer is the caller's to judge, whatever its status.
    pub async fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, OutboundError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        self.post(
            url,
            "application/x-www-form-urlencoded",
            body.into(),
            headers,
        )
        .await
    }

    /// `POST`s anything.
    pub async fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: Bytes,
        mut headers: HeaderMap,
    ) -> Result<Answer, OutboundError> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.exchange(Method::POST, url, headers, body).await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, OutboundError> {
        let (uri, allowed) = self.target(url)?;
        let client = if allowed { &self.allowed } else { &self.public };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        // GitHub answers nothing to who does not say who they are.
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static("doorward-authority"));
        let exchange = async {
            let response = client.request(request).await.map_err(|error| {
                if is_private(&error) {
                    OutboundError::Private
                } else {
                    OutboundError::Unreachable(chain(&error))
                }
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES)
                .collect()
                .await
                .map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        OutboundError::TooLarge
                    } else {
                        OutboundError::Unreachable(error.to_string())
                    }
                })?
                .to_bytes();
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            })
        };
        tokio::time::timeout(self.config.timeout, exchange)
            .await
            .map_err(|_| OutboundError::Timeout)?
    }

    /// The URL, and whether its host is among the allowed ones.
    fn target(&self, url: &str) -> Result<(Uri, bool), OutboundError> {
        if url.len() > URL_MAX {
            return Err(OutboundError::Url("it is too long"));
        }
        if url.contains('#') {
            return Err(OutboundError::Url("it has a fragment"));
        }
        let uri: Uri = url.parse().map_err(|_| OutboundError::Url("it is none"))?;
        let Some(authority) = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
        else {
            return Err(OutboundError::Url("it has no host"));
        };
        if authority.as_str().contains('@') {
            return Err(OutboundError::Url("it names a user"));
        }
        let (host, port) =
            host_and_port(authority).ok_or(OutboundError::Url("its port is none"))?;
        let host = bare(host);
        let default_port = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => return Err(OutboundError::Url("its scheme is not `https`")),
        };
        let port = Some(port.unwrap_or(default_port));
        let allowed = self
            .config
            .allow_hosts
            .iter()
            .any(|entry| entry.allows(host, port));
        if !allowed && uri.scheme_str() != Some("https") {
            return Err(OutboundError::Url("its scheme is not `https`"));
        }
        // A literal address never reaches the resolver, in whatever spelling the system takes.
        if !allowed && literal(host).is_some_and(|address| !is_public(address)) {
            return Err(OutboundError::Private);
        }
        Ok((uri, allowed))
    }
}

fn bearer_header(bearer: &Secret<String>) -> Result<HeaderValue, OutboundError> {
    let text = Secret::new(format!("Bearer {}", bearer.expose()));
    let mut value = HeaderValue::from_str(text.expose())
        .map_err(|_| OutboundError::Answer("a token that is no header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn literal(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}

/// Resolves names and lets only addresses through that may be connected to.
#[derive(Clone)]
struct Guard {
    resolver: GaiResolver,
    private: bool,
}

/// The name has addresses, and none that may be used.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
struct PrivateAddress;

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.resolver.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        let resolving = self.resolver.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = resolving.await?.collect();
            let known = !found.is_empty();
            let usable: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| private || is_public(address.ip()))
                .collect();
            if known && usable.is_empty() {
                return Err(PrivateAddress.into());
            }
            Ok(usable.into_iter())
        })
    }
}

fn is_private(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<PrivateAddress>)
}

fn tls(config: &OutboundConfig) -> Result<rustls::ClientConfig, OutboundSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = &config.ca_file {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| OutboundSetupError::Certificates {
                path: path.display().to_string(),
                source,
            };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| failed(e.into()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failed(error.into()))?;
            roots
                .add(certificate)
                .map_err(|error| failed(error.into()))?;
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
