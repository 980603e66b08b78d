//! The sidecar's HTTP client to its authority: tokens, streams, snapshots, acknowledgements.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::domain::{
    ClientIdentifier, FeedName, PlainToken, Position, Revision, Secret, Timestamp,
};
use crate::protocol::feed::{Ack, FEED_SCHEMA};
use crate::runtime::{Clock, chain};

/// The scope a sidecar asks for.
const SCOPE: &str = "doorward:feed";
/// A token is renewed this long before it expires.
const RENEW_BEFORE: Duration = Duration::from_mins(1);
/// How long the first byte of an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The most of a small answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// Why the authority gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// No connection, or it broke.
    #[error("the authority cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the authority does not answer")]
    Timeout,
    /// The credentials were refused.
    #[error("the authority refused the credentials: {0}")]
    Credentials(StatusCode),
    /// Any other answer.
    #[error("the authority answered {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// When to come back, if it says.
        retry_after: Option<Duration>,
    },
    /// An answer that is not what was asked for.
    #[error("the authority's answer is not understood: {0}")]
    Answer(String),
}

/// Where the authority is and who we are.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Base URL, without a path: `https://authority.example`.
    pub authority: Uri,
    /// Who we are.
    pub client_id: ClientIdentifier,
    /// Our secret.
    pub client_secret: PlainToken,
    /// Certificates (PEM) to trust instead of the public roots.
    pub ca_file: Option<PathBuf>,
}

/// A connection pool with a token. One per follower.
pub struct AuthorityClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    config: ClientConfig,
    clock: Arc<dyn Clock>,
    token: tokio::sync::Mutex<Option<Token>>,
}

/// What is missing of a snapshot whose transfer broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Bytes that are here.
    pub from: u64,
    /// Of which file.
    pub etag: header::HeaderValue,
}

struct Token {
    bearer: Secret<String>,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
}

impl std::fmt::Debug for AuthorityClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AuthorityClient({})", self.base)
    }
}

impl AuthorityClient {
    /// A client; connects when first used.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] for a URL or a certificate file that cannot be used.
    pub fn new(config: ClientConfig, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let (Some(scheme), Some(host)) =
            (config.authority.scheme_str(), config.authority.authority())
        else {
            return Err(ClientError::Config(format!(
                "`{}` is not a base URL",
                config.authority
            )));
        };
        let connector = connector(config.ca_file.as_deref())?;
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            base: format!("{scheme}://{host}"),
            config,
            clock,
            token: tokio::sync::Mutex::new(None),
        })
    }

    /// Opens the stream of changes after `position`.
    pub async fn changes(&self, position: &Position) -> Result<Response<Incoming>, ClientError> {
        let path = format!(
            "/v1/feeds/{}/changes?epoch={}&revision={}&chain={}&schema={FEED_SCHEMA}",
            position.feed, position.epoch, position.revision, position.chain
        );
        self.authorized(Method::GET, &path, Bytes::new()).await
    }

    /// Asks for a snapshot that has at least this revision; for the rest of one, when part of it is
    /// here. The answer is `206` with the rest, or `200` with another one from its beginning.
    pub async fn snapshot(
        &self,
        feed: FeedName,
        at_least: Revision,
        rest: Option<&Rest>,
    ) -> Result<Response<Incoming>, ClientError> {
        let path = format!("/v1/feeds/{feed}/snapshot?at_least={at_least}");
        let mut request = Request::builder().method(Method::GET);
        if let Some(rest) = rest {
            request = request
                .header(header::RANGE, format!("bytes={}-", rest.from))
                .header(header::IF_RANGE, &rest.etag);
        }
        self.exchange(request, &path, Bytes::new()).await
    }

    /// Reports a position.
    pub async fn acknowledge(&self, feed: FeedName, ack: &Ack) -> Result<(), ClientError> {
        let body = serde_json::to_vec(ack).map_err(|e| ClientError::Answer(e.to_string()))?;
        let path = format!("/v1/feeds/{feed}/acks");
        self.authorized(Method::POST, &path, body.into()).await?;
        Ok(())
    }

    /// Forgets the token: the next request asks for a new one.
    pub async fn forget_token(&self) {
        *self.token.lock().await = None;
    }

    async fn authorized(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder().method(method);
        self.exchange(request, path, body).await
    }

    async fn exchange(
        &self,
        request: http::request::Builder,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let bearer = self.bearer().await?;
        let mut authorization =
            header::HeaderValue::from_str(&format!("Bearer {}", bearer.expose()))
                .map_err(|_| ClientError::Answer("a token that is no header value".to_owned()))?;
        authorization.set_sensitive(true);
        let request = request
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::Config(error.to_string()))?;
        let response = self.send(request).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                self.forget_token().await;
                Err(ClientError::Credentials(status))
            }
            status => Err(ClientError::Status {
                status,
                retry_after: retry_after(&response),
            }),
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        match tokio::time::timeout(ANSWER_TIMEOUT, self.http.request(request)).await {
            Err(_) => Err(ClientError::Timeout),
            Ok(Err(error)) => Err(ClientError::Unreachable(chain(&error))),
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// A token with some life left in it.
    async fn bearer(&self) -> Result<Secret<String>, ClientError> {
        let mut held = self.token.lock().await;
        let now = self.clock.now();
        if let Some(token) = held.as_ref()
            && now.plus(RENEW_BEFORE) < token.expires_at
        {
            return Ok(token.bearer.clone());
        }
        let answer = self.request_token().await?;
        let bearer = Secret::new(answer.access_token);
        *held = Some(Token {
            bearer: bearer.clone(),
            expires_at: now.plus(Duration::from_secs(answer.expires_in)),
        });
        Ok(bearer)
    }

    /// RFC 6749 §4.4 with §2.3.1's Basic credentials.
    async fn request_token(&self) -> Result<TokenAnswer, ClientError> {
        let authorization = basic(&self.config.client_id, self.config.client_secret.expose())?;
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", SCOPE)
            .finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/oauth2/token", self.base))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(body.into()))
            .map_err(|error| ClientError::Config(error.to_string()))?;
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(match status {
                StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    ClientError::Credentials(status)
                }
                _ => ClientError::Status {
                    status,
                    retry_after: retry_after(&response),
                },
            });
        }
        let body = tokio::time::timeout(
            ANSWER_TIMEOUT,
            Limited::new(response.into_body(), ANSWER_BYTES).collect(),
        )
        .await
        .map_err(|_| ClientError::Timeout)?
        .map_err(|error| ClientError::Unreachable(error.to_string()))?;
        // The parser's message could quote the token.
        serde_json::from_slice(&body.to_bytes())
            .map_err(|_| ClientError::Answer("no token in the answer".to_owned()))
    }
}

/// RFC 6749 §2.3.1.
fn basic(client_id: &ClientIdentifier, secret: &str) -> Result<header::HeaderValue, ClientError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = Secret::new(format!("{}:{}", encode(client_id.as_str()), encode(secret)));
    let basic = Secret::new(format!(
        "Basic {}",
        BASE64.encode(credentials.expose().as_bytes())
    ));
    let mut value = header::HeaderValue::from_str(basic.expose())
        .map_err(|_| ClientError::Config("a secret that is no header value".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Posts forms to an authority, each over a connection of its own: they are few, and a connection
/// that is kept belongs to the thread that opened it.
pub struct FormClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
}

impl std::fmt::Debug for FormClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FormClient({})", self.base)
    }
}

impl FormClient {
    /// A client of the authority at this base URL, which may have a path.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] for a certificate file that cannot be used.
    pub fn new(base: &str, ca_file: Option<&Path>) -> Result<Self, ClientError> {
        Ok(Self {
            http: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector(ca_file)?),
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// Posts a form, with a client's secret if it has one, and gives status and body.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: no connection, no answer in time, too long an answer.
    pub async fn post(
        &self,
        path: &str,
        credentials: Option<(&ClientIdentifier, &Secret<String>)>,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some((client_id, secret)) = credentials {
            request = request.header(header::AUTHORIZATION, basic(client_id, secret.expose())?);
        }
        let request = request
            .body(Full::new(body.into()))
            .map_err(|error| ClientError::Config(error.to_string()))?;
        exchange_once(&self.http, request).await
    }
}

async fn exchange_once(
    http: &Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let exchange = async {
        let response = http
            .request(request)
            .await
            .map_err(|error| ClientError::Unreachable(chain(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| ClientError::Unreachable(error.to_string()))?;
        Ok((status, body.to_bytes()))
    };
    tokio::time::timeout(ANSWER_TIMEOUT, exchange)
        .await
        .map_err(|_| ClientError::Timeout)?
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// Posts JSON without credentials, for the first contact, and gives status and body.
///
/// # Errors
///
/// [`ClientError`]: no usable URL, no connection, no answer in time.
pub async fn post_json(
    authority: &Uri,
    ca_file: Option<&Path>,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let (Some(scheme), Some(host)) = (authority.scheme_str(), authority.authority()) else {
        return Err(ClientError::Config(format!(
            "`{authority}` is not a base URL"
        )));
    };
    let http: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(connector(ca_file)?);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{scheme}://{host}{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .map_err(|error| ClientError::Config(error.to_string()))?;
    exchange_once(&http, request).await
}

fn connector(ca_file: Option<&Path>) -> Result<HttpsConnector<HttpConnector>, ClientError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(5)));
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls(ca_file)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp))
}

fn tls(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = |error: &dyn std::fmt::Display| ClientError::Config(error.to_string());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| config(&error))?;
    let mut roots = rustls::RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .map_err(|error| config(&format!("`{}`: {error}", path.display())))?;
            for certificate in certificates {
                let certificate = certificate
                    .map_err(|error| config(&format!("`{}`: {error}", path.display())))?;
                roots.add(certificate).map_err(|error| config(&error))?;
            }
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
